# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From ARMED to COMMITTED or ABORTED: what is begun when, and what a failure leads to."""

from __future__ import annotations

import pytest


def test_nothing_begins_before_it_is_asked_for(rig):
    machine = rig()
    machine.let_pass(100)
    assert (machine.state, machine.begun) == ("ARMED", [])


def test_phases_run_one_after_the_other_and_then_the_machine_reboots(rig):
    machine = rig()
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    assert machine.begun == ["drain", "prepare", "change", "prove", "reboot"]
    assert machine.state == "REBOOTING"


def test_new_boot_on_the_target_is_watched_after_its_units_were_started(rig):
    machine = rig()
    machine.upgrade()
    assert machine.state == "WATCHING"
    assert machine.begun[-1] == "resume"


def test_without_reboot_the_watch_begins_at_once(rig):
    machine = rig(reboot=False)
    machine.upgrade()
    assert machine.state == "WATCHING"


def test_upgrade_that_ended_well_without_reaching_the_target_has_failed(rig):
    machine = rig(reboot=False)
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    assert machine.state == "ROLLING_BACK"
    assert "the machine runs bookworm" in machine.record["reason"]


def test_drain_may_go_ahead_and_is_not_repeated_by_the_upgrade(rig):
    machine = rig()
    machine.ask("drain")
    assert (machine.state, machine.begun) == ("ARMED", ["drain"])
    machine.end("drain")
    assert machine.begun == ["drain"]
    assert machine.ask("drain")["result"] == "already"
    machine.ask("upgrade")
    assert machine.begun == ["drain", "prepare"]


def test_drain_that_is_asked_for_does_not_wait_for_what_a_method_fetches(rig):
    machine = rig()
    machine.machine.names.insert(0, "fetch")
    machine.ask("drain")
    assert machine.begun == ["drain"]
    machine.end("drain")
    machine.ask("upgrade")
    assert machine.begun == ["drain", "fetch"]
    machine.end("fetch")
    assert machine.begun == ["drain", "fetch", "prepare"]


def test_upgrade_asked_for_while_the_drain_runs_goes_on_from_it(rig):
    machine = rig()
    machine.ask("drain")
    machine.ask("upgrade")
    assert machine.begun == ["drain"]
    machine.end("drain")
    assert machine.begun == ["drain", "prepare"]


@pytest.mark.parametrize("phase", ["drain", "prepare"])
def test_failure_before_anything_irreversible_is_undone_and_aborted(rig, phase):
    """S2, S8"""
    machine = rig()
    machine.ask("upgrade")
    if phase == "prepare":
        machine.end("drain")
    machine.end(phase, error="the disk is full")
    assert machine.begun[-1] == "undo"
    assert machine.state == "UPGRADING", "an abort that is not done yet is not called done"
    machine.end("undo")
    assert (machine.state, machine.record["reason"]) == ("ABORTED", "the disk is full")


def test_undo_that_fails_says_so_beside_the_first_cause(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain", error="the disk is full")
    machine.end("undo", error="db/0 could not be started again")
    assert machine.record["reason"] == "the disk is full; and it could not be undone whole: db/0 could not be started again"


@pytest.mark.parametrize("policy, goes_back, state", [("rollback", True, "ROLLING_BACK"), ("hold", True, "HELD"), ("rollback", False, "HELD")])
def test_failure_after_something_irreversible_follows_the_policy(rig, policy, goes_back, state):
    machine = rig(on_failure=policy)
    machine.machine.goes_back = goes_back
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    machine.end("change", error="dpkg failed")
    assert machine.state == state
    assert machine.record["reason"].startswith("dpkg failed")
    assert ("nothing to go back to" in machine.record["reason"]) is (not goes_back)


def test_held_upgrade_can_be_resumed_from_the_phase_that_failed(rig):
    machine = rig(on_failure="hold")
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    machine.end("change", error="dpkg failed")
    machine.ask("resume")
    assert machine.begun[-2:] == ["change", "change"]
    assert machine.watcher.work.afresh, "the result of the failed call must not be taken for the new one"


def test_crash_in_a_phase_attaches_to_what_still_runs(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    machine.start()
    assert machine.begun[-2:] == ["change", "change"]
    assert not machine.watcher.work.afresh


def test_reboot_that_is_refused_is_held_and_asked_for_again_when_resumed(rig):
    machine = rig()
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    machine.end("reboot", error="the reboot was refused: inhibited")
    assert (machine.state, machine.record["reason"]) == ("HELD", "the reboot was refused: inhibited")
    machine.ask("resume")
    assert machine.begun[-1] == "reboot"


@pytest.mark.parametrize("live", ["bookworm", None])
def test_boot_into_another_or_unknown_series_is_held_and_nothing_is_done(rig, live):
    """T3"""
    machine = rig()
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    machine.boot(live)
    assert machine.state == "HELD"
    assert "not trixie" in machine.record["reason"]


def test_boot_into_the_old_series_while_watching_is_held(rig):
    """T3"""
    machine = rig()
    machine.upgrade()
    machine.boot("bookworm", "boot-9")
    machine.let_pass(100)
    assert machine.state == "HELD"


def test_boot_before_anything_irreversible_aborts_rather_than_upgrades_a_machine_that_a_person_has_put_back(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain")
    machine.boot("bookworm")
    machine.end("undo")
    assert machine.state == "ABORTED"


def test_boot_in_the_middle_of_what_is_irreversible_goes_on(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    machine.boot("bookworm")
    assert machine.begun[-1] == "change"


def test_boot_after_the_drain_of_an_armed_machine_drains_again(rig):
    machine = rig()
    machine.ask("drain")
    machine.end("drain")
    machine.boot("bookworm")
    machine.ask("upgrade")
    assert machine.begun[-1] == "drain"


def test_abort_ends_the_running_phase_with_its_programs_and_undoes(rig):
    """S8"""
    machine = rig()
    machine.ask("upgrade")
    work = machine.watcher.work
    assert machine.ask("abort", reason="not today")["result"] == "accepted"
    assert work.stopped is False
    machine.end("drain", error="stopped")
    machine.end("undo")
    assert (machine.state, machine.record["reason"]) == ("ABORTED", "not today")


def test_commit_waits_until_what_was_held_still_is_put_back(rig):
    machine = rig()
    machine.upgrade()
    machine.let_pass(15)
    assert (machine.state, machine.begun[-1]) == ("COMMITTING", "commit")
    machine.end("commit")
    assert machine.state == "COMMITTED"


def test_machine_that_a_person_has_brought_to_the_target_is_watched_when_resumed(rig):
    machine = rig()
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    machine.boot("bookworm")
    machine.boot("trixie", "boot-3")
    assert machine.state == "HELD"
    machine.ask("resume")
    assert (machine.state, machine.begun[-1]) == ("WATCHING", "resume")
