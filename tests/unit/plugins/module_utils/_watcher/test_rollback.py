# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: asked for or decided, it is durable, ordered, repeatable, and ends only when the old series was seen."""

from __future__ import annotations

import pytest


def test_rollback_is_asked_for_done_and_seen(rig):
    machine = rig()
    machine.upgrade()
    answer = machine.ask("rollback", reason="the users complain")
    assert (answer["result"], answer["state"]) == ("accepted", "ROLLBACK_REQUESTED")
    machine.go_back()
    assert (machine.state, machine.record["reason"]) == ("ROLLED_BACK", "the users complain")


def test_late_rollback_of_what_was_committed_is_a_normal_path(rig):
    """S9"""
    machine = rig(reboot=False)
    machine.upgrade()
    machine.let_pass(15)
    machine.end("commit")
    assert machine.ask("rollback")["result"] == "accepted"
    machine.go_back()
    assert machine.state == "ROLLED_BACK"


def test_rollback_in_the_middle_of_a_phase_ends_the_phase_first(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    work = machine.watcher.work
    machine.ask("rollback")
    assert work.stopped is False
    assert machine.state == "ROLLBACK_REQUESTED"
    machine.end("change", error="stopped")
    assert machine.begun[-1] == "rollback-put back"


def test_phase_that_ends_well_after_the_rollback_was_asked_for_changes_nothing(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    machine.ask("rollback")
    machine.end("change")
    assert machine.state == "ROLLING_BACK"


@pytest.mark.parametrize("do", ["commit", "abort", "hold", "extend"])
def test_rollback_that_was_asked_for_is_not_undone(rig, do):
    """S3"""
    machine = rig()
    machine.upgrade()
    machine.ask("rollback")
    assert not machine.ask(do, seconds=100)["ok"]
    machine.let_pass(1000)
    assert machine.state == "ROLLING_BACK"


def test_rollback_survives_the_death_of_the_watcher_before_anything_was_begun(rig):
    """S3"""
    machine = rig()
    machine.upgrade()
    machine.watcher.leaving = True
    machine.watcher.go_on()
    machine.watcher.book.move("rollback", reason="asked for")
    machine.start()
    assert machine.state == "ROLLING_BACK"


def test_step_that_was_cut_off_is_begun_again_and_those_before_are_not(rig):
    machine = rig()
    machine.upgrade()
    machine.ask("rollback")
    machine.end("rollback-put back")
    machine.start()
    assert machine.begun[-2:] == ["rollback-reboot", "rollback-reboot"]


def test_failed_step_needs_a_person_and_can_be_asked_for_again(rig):
    machine = rig()
    machine.upgrade()
    machine.ask("rollback", reason="the users complain")
    machine.end("rollback-put back", error="the snapshot is gone")
    assert (machine.state, machine.record["reason"]) == ("ROLLBACK_FAILED", "the snapshot is gone")
    assert machine.ask("rollback", reason="found it")["result"] == "accepted"
    machine.go_back()
    assert machine.state == "ROLLED_BACK"


def test_rollback_without_anything_to_go_back_to_is_refused(rig):
    machine = rig()
    machine.upgrade()
    machine.machine.goes_back = False
    assert machine.ask("rollback")["kind"] == "no_artifact"
    assert machine.state == "WATCHING"


def test_rollback_of_what_has_changed_nothing_yet_points_to_abort(rig):
    answer = rig().ask("rollback")
    assert answer["kind"] == "no_artifact"
    assert "abort instead" in answer["msg"]


@pytest.mark.parametrize("state_then", ["ROLLBACK_REQUESTED", "ROLLING_BACK", "ROLLED_BACK"])
def test_second_client_learns_that_the_rollback_is_under_way(rig, state_then):
    """S1"""
    machine = rig()
    machine.upgrade()
    machine.ask("rollback", request_id="first")
    if state_then == "ROLLED_BACK":
        machine.go_back()
    answer = machine.ask("rollback", request_id="second")
    assert answer["result"] == "already"


def test_step_of_the_way_back_is_finished_before_the_watcher_leaves(rig):
    """L3"""
    machine = rig()
    machine.upgrade()
    machine.ask("rollback")
    work = machine.watcher.work
    machine.watcher.leave()
    assert work.stopped is None
    machine.end("rollback-put back")
    assert machine.record["done"] == ["put back"]
    assert machine.watcher.work is None, "and the next one is not begun"


def test_leaving_watcher_does_not_wait_for_the_reboot_it_has_asked_for(rig):
    machine = rig()
    machine.upgrade()
    machine.ask("rollback")
    machine.end("rollback-put back")
    work = machine.watcher.work
    machine.watcher.leave()
    assert work.stopped is True
    machine.end("rollback-reboot", error="stopped")
    assert (machine.state, machine.record["done"]) == ("ROLLING_BACK", ["put back"])


def test_request_to_a_leaving_watcher_is_not_promised(rig):
    machine = rig()
    machine.upgrade()
    machine.watcher.leave()
    assert machine.ask("rollback")["kind"] == "stopping"
