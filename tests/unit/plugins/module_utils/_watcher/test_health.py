# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.health import Health


def check(name="db", **more):
    return dict({"name": name, "interval": 5, "allowed_misses": 2, "timeout": 2, "required": True}, **more)


def after(outcomes, **more):
    """The verdict and class after looks every 5 seconds."""
    health = Health([check(**more)], 0, 100.5)
    now = 100.5
    for outcome in outcomes:
        now += 5
        health.observe("db", outcome, "so", now)
    return health.verdict(now), health.as_list()[0]["class"]


@pytest.mark.parametrize("outcomes, verdict", [
    ([], ("waiting", "unknown")),
    (["ok"], ("healthy", "ok")),
    (["unreachable"], ("waiting", "unreachable")),
    (["ok", "unreachable"], ("waiting", "lost")),
    (["ok", "unreachable", "unreachable"], ("waiting", "lost")),
    (["ok", "unreachable", "unreachable", "unreachable"], ("unhealthy", "lost")),
    (["ok", "failed", "failed", "failed"], ("unhealthy", "failed")),
    (["ok", "failed", "failed", "ok"], ("healthy", "ok")),
    (["ok", "failed", "unreachable", "failed"], ("unhealthy", "failed")),
    (["ok"] + ["busy"] * 20, ("waiting", "lost")),
    (["ok", "failed"] * 3 + ["ok"], ("healthy", "ok")),
    (["ok", "failed"] * 4 + ["ok"], ("unhealthy", "flapping")),
])
def test_verdict_of_a_required_check(outcomes, verdict):
    """H1"""
    assert after(outcomes) == verdict


def test_wanted_check_never_decides():
    """H4"""
    assert after(["failed"] * 20, required=False)[0] == "healthy"


def test_old_good_look_says_nothing_about_now():
    health = Health([check()], 0, 0)
    health.observe("db", "ok", "", 10)
    assert health.verdict(22) == "healthy"
    assert health.verdict(22.5) == "waiting"


def test_check_is_handed_out_once_until_it_is_seen():
    health = Health([check("a"), check("b", interval=1)], 0, 0)
    assert [one["name"] for one in health.due(0)] == ["a", "b"]
    assert health.due(100) == []
    health.observe("b", "ok", "", 101)
    assert [one["name"] for one in health.due(101)] == ["b"]


def test_misses_do_not_count_before_the_units_had_time_to_start():
    """T5"""
    health = Health([check(allowed_misses=0), check("series", allowed_misses=0, at_once=True)], 0, 0, patience=60)
    health.observe("db", "failed", "starting", 59)
    assert health.verdict(59) == "waiting"
    health.observe("db", "failed", "still", 60)
    assert health.verdict(60) == "unhealthy"
    assert "db is failed: still" in health.complaint()


def test_wrong_series_counts_at_once():
    health = Health([check("series", allowed_misses=0, at_once=True)], 0, 0, patience=60)
    health.observe("series", "failed", "the machine runs bookworm", 1)
    assert health.verdict(1) == "unhealthy"


def test_loop_may_rest_until_the_next_look_or_until_misses_count():
    health = Health([check("a", interval=5), check("b", interval=20)], 8, 100, patience=12)
    assert health.due_in(100) == 0
    health.due(100)
    assert health.due_in(100) == 8, "both looks run, and are heard of when they end"
    health.observe("a", "ok", "", 101)
    assert (health.due_in(101), health.due_in(106), health.due(101)) == (4, 0, [])
    assert Health([], 0, 100).due_in(101) == float("inf")
