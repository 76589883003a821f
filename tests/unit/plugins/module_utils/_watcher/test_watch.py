# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch: what counts as healthy time, and what is concluded from it."""

from __future__ import annotations

import pytest


@pytest.fixture
def watched(rig):
    def make(**spec):
        machine = rig(**dict({"reboot": False}, **spec))
        machine.upgrade()
        return machine

    return make


def test_healthy_machine_is_committed_after_the_grace_and_not_before(watched):
    machine = watched()
    machine.let_pass(9)
    assert machine.state == "WATCHING"
    machine.let_pass(4)
    assert machine.state == "COMMITTING"


def test_unhealthy_machine_goes_back_by_itself(watched):
    machine = watched()
    machine.let_pass(5)
    machine.shows["db answers"] = "unreachable"
    machine.let_pass(3)
    assert machine.state == "WATCHING"
    machine.let_pass(2)
    assert machine.state == "ROLLING_BACK"
    assert machine.record["reason"] == "db answers is lost: as the test says"


def test_unhealthy_machine_is_held_when_that_is_the_policy(watched):
    machine = watched(on_failure="hold")
    machine.shows["db answers"] = "failed"
    machine.let_pass(20)
    assert machine.state == "HELD"


def test_check_that_never_was_good_has_the_grace_to_become_good(watched):
    """T5"""
    machine = watched(grace=60)
    machine.shows["db answers"] = "unreachable"
    machine.let_pass(59)
    assert machine.state == "WATCHING"
    machine.let_pass(5)
    assert machine.state == "ROLLING_BACK"


def test_wanted_check_that_fails_is_told_and_decides_nothing(watched):
    """H4"""
    machine = watched(checks=[{"name": "db answers", "kind": "tcp", "port": 5432, "required": False}])
    machine.shows["db answers"] = "failed"
    machine.let_pass(15)
    assert machine.state == "COMMITTING"


def test_time_that_was_not_healthy_does_not_count(watched):
    """T1"""
    machine = watched(checks=[{"name": "db answers", "kind": "tcp", "port": 1, "interval": 1, "allowed_misses": 5}])
    machine.let_pass(8)
    left = machine.record["grace_remaining"]
    machine.shows["db answers"] = "unreachable"
    machine.let_pass(4)
    assert left - machine.record["grace_remaining"] <= 1
    assert machine.state == "WATCHING"


def test_time_that_nobody_looked_does_not_count(watched):
    """T1, T2"""
    machine = watched()
    machine.let_pass(3)
    left = machine.record["grace_remaining"]
    machine.let_pass(3600, tick=3600)
    assert machine.state == "WATCHING"
    assert machine.record["grace_remaining"] == left


@pytest.mark.parametrize("years", [1, -1])
def test_step_of_the_wall_clock_decides_nothing(watched, years):
    """T2"""
    machine = watched()
    machine.let_pass(3)
    left = machine.record["grace_remaining"]
    machine.clock.date += years * 365 * 86400
    machine.let_pass(2)
    assert machine.state == "WATCHING"
    assert left - machine.record["grace_remaining"] == pytest.approx(2)


def test_restarted_watcher_keeps_the_remaining_grace_and_looks_afresh(watched):
    """T1"""
    machine = watched(grace=100)
    machine.let_pass(50)
    machine.start()
    assert 50 <= machine.record["grace_remaining"] <= 62
    machine.shows["db answers"] = "unreachable"
    machine.let_pass(30)
    assert machine.record["grace_remaining"] >= 50, "no time counts before a fresh healthy look"


def test_settle_seconds_neither_count_nor_fail(watched):
    """H1"""
    machine = watched(settle=30)
    machine.let_pass(2)
    machine.shows["db answers"] = "failed"
    machine.let_pass(20)
    machine.shows["db answers"] = "ok"
    machine.let_pass(7)
    assert machine.state == "WATCHING"
    assert machine.record["grace_remaining"] == 10


@pytest.mark.parametrize("policy, state", [("commit_if_healthy", "HELD"), ("hold", "HELD"), ("rollback", "ROLLING_BACK")])
def test_end_of_the_time_without_a_healthy_look_is_no_success(watched, policy, state):
    """S4"""
    machine = watched(grace=60, not_after=20, on_expiry=policy)
    machine.shows["db answers"] = "unreachable"
    machine.let_pass(25)
    assert machine.state == state


def test_end_of_the_time_with_a_healthy_look_commits_when_that_is_the_policy(watched):
    machine = watched(grace=60, not_after=20)
    machine.let_pass(25)
    assert machine.state == "COMMITTING"


def test_held_machine_is_looked_at_but_never_decided(watched):
    machine = watched()
    machine.ask("hold")
    machine.shows["db answers"] = "failed"
    machine.let_pass(100)
    assert machine.state == "HELD"
    assert machine.ask("status")["last_health"][1]["class"] == "failed"


def test_resumed_machine_needs_the_rest_of_its_grace(watched):
    machine = watched()
    machine.let_pass(6)
    machine.ask("hold")
    machine.let_pass(100)
    machine.ask("resume")
    machine.let_pass(3)
    assert machine.state == "WATCHING"
    machine.let_pass(7)
    assert machine.state == "COMMITTING"


def test_extended_grace_is_watched_longer(watched):
    machine = watched()
    assert machine.ask("extend", seconds=30)["grace_remaining"] == 40
    machine.let_pass(30)
    assert machine.state == "WATCHING"
    machine.let_pass(15)
    assert machine.state == "COMMITTING"
    assert machine.ask("extend", seconds=30)["kind"] == "too_late"


def test_units_that_cannot_be_started_after_the_upgrade_are_a_failure(rig):
    machine = rig()
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    machine.boot("trixie")
    machine.end("resume", error="db/0 could not be started again")
    assert machine.state == "ROLLING_BACK"


def test_failures_seen_before_the_boot_do_not_count_after_it(rig):
    """H3"""
    machine = rig()
    machine.upgrade()
    machine.let_pass(3)
    machine.shows["db answers"] = "failed"
    machine.let_pass(2)
    assert machine.ask("status")["last_health"][1]["misses"] == 2
    machine.boot("trixie", "boot-8")
    machine.end("resume")
    machine.let_pass(2)
    assert (machine.state, machine.ask("status")["last_health"][1]["misses"]) == ("WATCHING", 0)


@pytest.mark.parametrize("late", [0, 1, 2, 3])
def test_rollback_that_comes_as_the_grace_ends_is_promised_or_refused_and_never_lost(watched, late):
    """S1, S3: whichever is durable first wins, on either side of the last second."""
    machine = watched()
    machine.let_pass(9 + late)
    grace_is_over = machine.state == "COMMITTING"
    answer = machine.ask("rollback", request_id="back")
    if grace_is_over:
        assert answer["kind"] == "busy"
        machine.end("commit")
        assert machine.state == "COMMITTED"
        assert machine.ask("rollback", request_id="back")["result"] == "accepted", "late, and a normal path"
    else:
        assert answer["result"] == "accepted"
    machine.let_pass(100)
    assert machine.state == "ROLLING_BACK"
    assert [event["state"] for event in machine.journal.last(50) if event["event"] == "state"][-2:] == ["ROLLBACK_REQUESTED", "ROLLING_BACK"]


def test_loop_may_not_rest_longer_than_the_grace_lasts(watched):
    machine = watched(grace=10)
    machine.let_pass(8)
    assert machine.state == "WATCHING"
    assert 0 <= machine.watcher.due_in() <= machine.record["grace_remaining"] < 5


def test_loop_may_rest_as_long_as_it_likes_where_nothing_is_watched(rig):
    assert rig(reboot=False).watcher.due_in() == float("inf")
