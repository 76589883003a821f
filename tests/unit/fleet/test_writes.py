# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the oracle of the cluster tests makes of a client's record. The record is written by hand, the fleet is a double."""

from __future__ import annotations

import json
import types

import pytest

from tests.fleet import Writer

M1, M2 = "10.77.0.11", "10.77.0.12"


@pytest.fixture(name="writer")
def _writer(tmp_path):
    writer = Writer(types.SimpleNamespace(home=tmp_path))

    def record(*entries, torn=""):
        lines = [json.dumps({"id": number, "at": at, "server": server, "timeline": timeline, "errors": 0}) + "\n"
                 for number, (at, server, timeline) in enumerate(entries, 1)]
        writer.path.write_text("".join(lines) + torn)
        return writer

    return record


def test_a_line_that_is_still_being_written_is_not_acknowledged(writer):
    assert len(writer((0.0, M1, 1), torn='{"id": 2, "at"').acknowledged) == 1


def test_an_outage_tells_how_long_and_who_took_the_next_write(writer):
    (outage,) = writer((0.0, M1, 1), (0.05, M1, 1), (4.05, M2, 2), (4.95, M2, 2)).outages()
    assert outage == (0.05, 4.0, (M1, 1), (M2, 2))


def test_a_change_of_server_or_of_timeline_alone_is_a_change_of_leader(writer):
    assert writer((0.0, M1, 1), (0.1, M1, 1), (0.2, M2, 1), (0.3, M2, 2), (0.4, M1, 2)).leaders() == [(M1, 1), (M2, 1), (M2, 2), (M1, 2)]
