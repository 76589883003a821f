# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of no return: asked before a rollback; passed, nobody goes back unless he says over which."""

from __future__ import annotations

import json

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import protocol

PASSED = {"application": "db", "command": "true", "reason": "its data has the new format"}
OPEN = {"application": "web", "command": "false", "reason": "never said"}


@pytest.fixture
def watched(rig):
    def make(*points, **spec):
        machine = rig(reboot=False, no_return=list(points), **spec)
        machine.upgrade()
        machine.let_pass(3)
        return machine

    return make


def test_rollback_over_a_point_of_no_return_is_refused_with_its_reason_and_changes_nothing(watched):
    machine = watched(OPEN, PASSED)
    answer = machine.ask("rollback")
    assert (answer["kind"], answer["msg"]) == (
        "too_late", "db is past its point of no return: its data has the new format; force it by naming: db")
    assert machine.state == "WATCHING"


def test_rollback_before_the_point_is_done(watched):
    machine = watched(OPEN)
    assert machine.ask("rollback")["result"] == "accepted"


@pytest.mark.parametrize("force, done", [("db", True), (["db", "web"], True), ("web", False), ([], False)])
def test_only_who_names_the_application_goes_back_all_the_same(watched, force, done):
    machine = watched(PASSED)
    answer = machine.ask("rollback", force=force, reason="worse things happen")
    assert answer["ok"] is done
    if done:
        assert machine.record["reason"] == "worse things happen (forced, although db is past its point of no return: its data has the new format)"


@pytest.mark.parametrize("do", ["rollback", "may_roll_back"])
@pytest.mark.parametrize("force", [True, 7, [7], [""], {"db": 1}])
def test_force_without_a_name_is_no_request(force, do):
    with pytest.raises(protocol.ProtocolError) as refusal:
        protocol.decode(json.dumps({"v": 1, "do": do, "request_id": "r", "force": force}).encode())
    assert refusal.value.kind == "bad_request"


def test_question_that_cannot_be_asked_is_not_taken_for_a_no(watched):
    machine = watched(dict(PASSED, command="/nowhere/etcdctl"))
    answer = machine.ask("rollback")
    assert answer["kind"] == "too_late"
    assert "could not be asked (status 127)" in answer["msg"]


def test_watcher_does_not_go_back_by_itself_over_a_point_of_no_return(watched):
    machine = watched(PASSED)
    machine.shows["db answers"] = "failed"
    machine.let_pass(6)
    assert machine.state == "HELD"
    assert machine.record["reason"] == (
        "db answers is failed: as the test says; and there is no way back by itself: db is past its point of no return: its data has the new format")


def test_end_of_the_time_does_not_lead_back_over_it_either(watched):
    machine = watched(PASSED, grace=60, not_after=10, on_expiry="rollback")
    machine.shows["db answers"] = "busy"
    machine.let_pass(12)
    assert machine.state == "HELD"
    assert "point of no return" in machine.record["reason"]


def test_late_rollback_asks_as_well(watched):
    machine = watched(PASSED)
    machine.let_pass(12)
    machine.end("commit")
    assert machine.ask("rollback")["kind"] == "too_late"
    assert machine.state == "COMMITTED"


@pytest.mark.parametrize("points, force, answered", [([OPEN], None, "would"), ([PASSED], None, "too_late"), ([PASSED], "db", "would")])
def test_rollback_that_is_not_meant_is_answered_and_changes_nothing(watched, points, force, answered):
    machine = watched(*points)
    before = machine.record["generation"]
    answer = machine.ask("may_roll_back", **({"force": force} if force else {}))
    assert answer.get("kind", answer["result"]) == answered
    assert (machine.state, machine.record["generation"]) == ("WATCHING", before)
