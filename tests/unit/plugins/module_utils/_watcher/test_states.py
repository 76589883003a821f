# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of states is the only one there is: code, docs and tests read it."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import daemon, requests, states

PAGE = pathlib.Path(__file__).resolve().parents[5] / "docs" / "control_protocol.md"


def test_the_picture_in_the_docs_is_the_table():
    assert states.picture() in PAGE.read_text(encoding="utf-8")


def test_what_does_not_follow_is_not_allowed():
    assert states.after("WATCHING", "rollback") == "ROLLBACK_REQUESTED"
    with pytest.raises(states.NotAllowed, match="commit does not follow ROLLING_BACK"):
        states.after("ROLLING_BACK", "commit")


def test_nothing_but_its_own_end_follows_a_rollback():
    """S3"""
    assert {event for (state, event) in states.TRANSITIONS if state in ("ROLLBACK_REQUESTED", "ROLLING_BACK")} == {"begin", "seen", "failed"}


def test_every_state_can_be_reached_from_armed_and_has_a_way_on():
    reached, edge = set(), {"ARMED"}
    while edge:
        reached |= edge
        edge = {then for (state, event), then in states.TRANSITIONS.items() if state in edge} - reached
    assert reached == requests.ALL_STATES - {"INVALID"}
    assert {state for state, event in states.TRANSITIONS} == reached


def test_every_end_has_an_exit_status_of_its_own_and_a_busy_lock_is_never_success():
    """L4"""
    statuses = [*daemon.EXIT.values(), daemon.EXIT_INTERRUPTED, daemon.EXIT_BUSY, daemon.EXIT_NOT_ARMED, daemon.EXIT_NO_PLACE]
    assert len(set(statuses)) == len(statuses)
    assert set(daemon.EXIT) == states.SETTLED
    assert 0 not in statuses
