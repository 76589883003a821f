# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""H2: what was announced, or was only busy, is no failure; and it is no success either."""

from __future__ import annotations

import pytest


@pytest.fixture
def watched(rig):
    machine = rig(reboot=False)
    machine.upgrade()
    machine.let_pass(3)
    return machine


def test_check_that_fails_in_an_announced_disruption_is_no_miss_and_no_healthy_time(watched):
    """H2"""
    answer = watched.ask("expect_disruption", seconds=20, what="the leader is moved", request_id="w1")
    assert (answer["result"], answer["window"]) == ("accepted", "w1")
    left = watched.record["grace_remaining"]
    watched.shows["db answers"] = "failed"
    watched.let_pass(15)
    assert (watched.state, watched.ask("status")["healthy"]) == ("WATCHING", False)
    assert left - watched.record["grace_remaining"] <= 1
    watched.shows["db answers"] = "ok"
    watched.let_pass(12)
    assert watched.state == "COMMITTING"


def test_check_that_still_fails_after_the_disruption_is_a_failure(watched):
    watched.ask("expect_disruption", seconds=10, what="a restart")
    watched.shows["db answers"] = "failed"
    watched.let_pass(10)
    assert watched.state == "WATCHING"
    assert "over: a restart" in [event["msg"] for event in watched.journal.last(50)]
    watched.let_pass(4)
    assert watched.state == "ROLLING_BACK"


def test_nobody_announces_another_series(watched):
    watched.ask("expect_disruption", seconds=60, what="a restart")
    watched.machine.live = "bookworm"
    watched.let_pass(10)
    assert watched.state == "ROLLING_BACK"


def test_announced_disruption_survives_the_death_of_the_watcher_and_a_boot(watched):
    watched.ask("expect_disruption", seconds=30, what="a kernel is tried")
    watched.start()
    watched.boot("trixie", "boot-9")
    watched.end("resume")
    assert [window["what"] for window in watched.ask("status")["windows"]] == ["a kernel is tried"]


@pytest.mark.parametrize("years", [1, -1])
def test_step_of_the_wall_clock_ends_no_disruption(watched, years):
    """T2"""
    watched.ask("expect_disruption", seconds=30, what="a restart")
    watched.clock.date += years * 365 * 86400
    watched.let_pass(5)
    assert watched.ask("status")["windows"][0]["remaining"] == pytest.approx(25)


def test_busy_answer_is_neither_a_miss_nor_a_success(watched):
    """H2"""
    watched.shows["db answers"] = "busy"
    watched.let_pass(60)
    assert watched.state == "WATCHING"


@pytest.mark.parametrize("seconds, what, kind", [(0, "x", "bad_request"), (10, None, "bad_request"), (7200, "x", "over_max_total")])
def test_disruption_is_named_and_does_not_last_for_hours(watched, seconds, what, kind):
    more = {"what": what} if what else {}
    assert watched.ask("expect_disruption", seconds=seconds, **more)["kind"] == kind


def test_grace_is_not_extended_for_ever(watched):
    assert watched.ask("extend", seconds=20 * 86400)["ok"]
    assert watched.ask("extend", seconds=20 * 86400)["kind"] == "over_max_total"


def test_disruption_means_nothing_where_nothing_is_watched(rig):
    assert rig().ask("expect_disruption", seconds=10, what="x")["kind"] == "wrong_state"
