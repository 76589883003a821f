# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only pins that certainly belong to a dead run are orphans."""

from __future__ import annotations

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _orphans


def pin(application="db", pinner="op/run", session="s", heard=None):
    return {"application": application, "pinner": pinner, "session": session, "session_seen_in": heard, "reason": "why"}


def test_a_session_that_fell_silent_makes_an_orphan_and_one_that_speaks_does_not():
    found, left = _orphans.orphans([pin("a", heard=61.0), pin("b", heard=3.0)])
    assert [item["application"] for item in found] == ["a"] and left == []


def test_a_pin_without_session_is_left_and_named():
    found, left = _orphans.orphans([pin(session=None)])
    assert found == [] and "by hand" in left[0] and "op/run" in left[0]


def test_the_pins_of_a_living_run_are_refused_with_its_session():
    assert "heard 3 s ago" in _orphans.refusal([pin(heard=90.0), pin(heard=3.0)])
    assert _orphans.refusal([pin(heard=90.0), pin(session=None)]) == ""


def test_own_pins_are_those_of_this_pinner_alone():
    assert _orphans.own([pin(pinner="op/run"), pin(pinner="op/other")], "op/run") == [pin(pinner="op/run")]


def test_pins_are_gathered_by_pinner():
    assert _orphans.by_pinner([pin("a"), pin("b"), pin("c", "x/y")]) == {"op/run": ["a", "b"], "x/y": ["c"]}
