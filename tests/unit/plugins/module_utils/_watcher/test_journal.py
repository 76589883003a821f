# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import journal as room
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.journal import Journal


def test_events_are_numbered_on_over_restarts(tmp_path):
    Journal(str(tmp_path)).append(1.5, "state", state="ARMED")
    second = Journal(str(tmp_path)).append(2.5, "state", state="UPGRADING")
    assert second == {"seq": 2, "ts": 2.5, "event": "state", "state": "UPGRADING"}


def test_listener_gets_what_came_after_its_number(tmp_path):
    journal = Journal(str(tmp_path))
    for number in range(5):
        journal.append(number, "log", msg=str(number))
    assert [event["msg"] for event in journal.since(3)[1]] == ["3", "4"]
    assert journal.since(5) == (False, [])


def test_trimmed_events_are_a_gap_and_not_silence(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "TRIM_BYTES", 4000)
    monkeypatch.setattr(room, "KEPT", 10)
    journal = Journal(str(tmp_path))
    for number in range(100):
        journal.append(number, "log", msg="x" * 100)
    assert os.path.getsize(journal.path) < 8000
    again = Journal(str(tmp_path))
    gap, events = again.since(0)
    assert gap and [event["seq"] for event in events] == list(range(91, 101))
    assert again.since(90)[0] is False


def test_torn_last_line_costs_that_line_only(tmp_path):
    """M9"""
    journal = Journal(str(tmp_path))
    journal.append(1, "state", state="ARMED")
    with open(journal.path, "ab") as file:
        file.write(b'{"seq": 2, "ev')
    again = Journal(str(tmp_path))
    again.append(2, "state", state="UPGRADING")
    assert [event["state"] for event in Journal(str(tmp_path)).since(0)[1]] == ["ARMED", "UPGRADING"]


def test_journal_that_cannot_be_written_stops_nothing(tmp_path):
    journal = Journal(str(tmp_path / "missing"))
    journal.append(1, "state", state="ARMED")
    assert journal.last(1)[0]["state"] == "ARMED"
