# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench says what it compares with what; that it measures is seen by running it."""

from __future__ import annotations

import pathlib

import pytest

from tests.bench.__main__ import main, workplace
from tests.bench.table import Table


def test_rows_are_compared_with_the_first_of_their_unit():
    table = Table("Signal")
    table.add("ours", 2.0, "s")
    table.add("rival", 5.0, "s")
    table.add("tasks", 3, "tasks")
    table.notes = ["On one machine."]
    assert table.text() == "Signal\n  ours       2.000 s\n  rival      5.000 s   x 2.50\n  tasks      3.000 tasks\n  On one machine."


def test_subject_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there is no speed; choose from pins, upgrade, signals" in capsys.readouterr().err


def test_workplace_is_gone_afterwards(monkeypatch):
    monkeypatch.setenv("LEASEHOLD_STAGE", "")
    with workplace() as directory:
        assert directory.is_dir()
    assert not pathlib.Path(directory).exists()
