# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._chronicle import Chronicle
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turn_file import TurnFile

BOOK = {
    "machines": {"m1": {"state": "pending", "why": ""}, "m2": {"state": "pending", "why": ""}},
    "applications": {"db": {"state": "idle", "holder": "db/0", "term": None, "why": ""}},
}


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def chronicle(tmp_path, now):
    made = Chronicle(str(tmp_path / "events"), clock=lambda: now[0], wall=lambda: 1795848662.0)
    made.begin()
    return made


def test_turns_and_pins_are_told_by_the_change_of_the_book_alone(tmp_path):
    book = TurnFile.create(str(tmp_path), BOOK)
    with book.edit() as content:
        content["machines"]["m1"] = {"state": "running", "why": ""}
        content["machines"]["m2"] = {"state": "waiting", "why": "m1 goes first"}
        content["applications"]["db"].update(state="pinned", term=3)
    with book.edit() as content:
        content["applications"]["db"].update(holder="db/1", term=4)
    with book.edit() as content:
        content["renewed_at"] = 1.0
    told = book.chronicle.read()["events"]
    assert [(event["event"], event.get("machine") or event["application"]) for event in told] == [
        ("turn", "m1"), ("turn", "m2"), ("pinned", "db"), ("leader", "db")]
    assert told[1]["msg"] == "m1 goes first" and (told[2]["holder"], told[2]["term"]) == ("db/0", 3) and told[3]["holder"] == "db/1"
    assert all(0 <= event["at"] < 60 for event in told)


def test_a_book_of_whatever_content_can_be_edited(tmp_path):
    book = TurnFile.create(str(tmp_path), {"count": 0})
    with book.edit() as content:
        content.update(count=1, machines={"m1": {}}, applications=None)
    assert book.read()["count"] == 1 and book.chronicle.read()["events"] == []


def test_what_is_told_late_stands_where_it_happened(chronicle, now):
    now[0] = 1030.0
    chronicle.lost("m1", "it reboots")
    chronicle.told("m1", {"event": "state", "state": "WATCHING", "seq": 4, "ts": 5.0, "msg": "new boot"}, 1020.0)
    read = chronicle.read()
    assert (read["began"], read["seconds"]) == (1795848662.0, 30.0)
    assert [(event["at"], event["event"]) for event in read["events"]] == [(20.0, "state"), (30.0, "lost")]


def test_percentages_and_logs_are_left_out_and_endless_messages_cut(chronicle):
    for kind in ("progress", "log"):
        chronicle.told("m1", {"event": kind, "msg": "x"}, 1001.0)
    chronicle.told("m1", {"event": "check", "outcome": "failed", "msg": "x" * 5000}, 1001.0)
    events = chronicle.read()["events"]
    assert [event["event"] for event in events] == ["check"] and len(events[0]["msg"]) == 500 and events[0]["outcome"] == "failed"


def test_a_chronicle_that_cannot_be_kept_disturbs_nobody(tmp_path):
    nowhere = Chronicle(str(tmp_path / "missing" / "events"))
    nowhere.begin()
    nowhere.lost("m1", "gone")
    assert nowhere.read() == {"began": None, "seconds": None, "events": []}


def test_a_torn_line_costs_that_line_only(chronicle, now):
    chronicle.lost("m1", "gone")
    with open(chronicle.path, "a", encoding="utf-8") as file:
        file.write('{"clock": 10')
    assert [event["event"] for event in chronicle.read()["events"]] == ["lost"]


def test_nobody_else_may_read_it(chronicle):
    assert os.stat(chronicle.path).st_mode & 0o077 == 0
