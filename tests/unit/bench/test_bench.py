# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench says what it compares with what; that it measures is seen by running it."""

from __future__ import annotations

import pathlib

import pytest

from tests.bench import rollbacks, snapshots, watching
from tests.bench.__main__ import main, workplace
from tests.bench.playing import Failed
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
    assert "there is no speed; choose from pins, upgrade, signals, rollbacks, watching, snapshots" in capsys.readouterr().err


def test_workplace_is_gone_afterwards(monkeypatch):
    monkeypatch.setenv("LEASEHOLD_STAGE", "")
    with workplace() as directory:
        assert directory.is_dir()
    assert not pathlib.Path(directory).exists()


def test_rollback_has_begun_when_the_journal_first_says_so_and_a_torn_line_says_nothing():
    journal = "\n".join([
        '{"event": "state", "state": "ROLLBACK_REQUESTED", "ts": 7.5, "seq": 1}', '{"event": "log", "msg": "ROLLING_BACK", "ts": 7.6, "seq": 2}',
        '{"event": "state", "state": "ROLLING_BACK", "ts": 8.25, "seq": 3}', '{"event": "state", "state": "ROLLING_BACK", "ts": 9, "seq": 4}', '{"event": "st'])
    assert rollbacks.moment(journal, "ROLLING_BACK") == 8.25
    assert rollbacks.moment(journal, "ROLLED_BACK") is None


def test_the_slowest_machine_is_the_figure_and_a_missing_one_is_no_figure():
    assert rollbacks.last(10.0, [10.5, 12.0, 11.0]) == 2.0
    assert rollbacks.last(10.0004, [10.0]) == 0.0
    with pytest.raises(Failed):
        rollbacks.last(10.0, [10.5, None])


def test_processor_time_is_read_behind_a_name_that_looks_like_fields():
    stat = "42 (py) 9 (thon 3) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 1 0 5000 1 1"
    assert watching.spent(stat, ticks=100) == 1.75


def test_memory_is_the_proportional_share_and_not_one_of_its_parts():
    assert watching.pss("55-7f ---p 0 0 [rollup]\nRss:  25000 kB\nPss:  1000 kB\nPss_Dirty:  900 kB\nPss_Anon:  800 kB\n") == 1.024


def test_snapshots_are_not_measured_without_root_and_the_table_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(snapshots.os, "geteuid", lambda: 1000)
    table = snapshots.measure(tmp_path, quick=True)
    assert table.rows == [] and "Not measured: it needs root." in table.text()
