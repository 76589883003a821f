# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases and pins as values."""

from __future__ import annotations

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease.lease import Halted, Lease, NoLeader, Outcome, Pin, Pinned, Unreachable

MINE = Pin("me/run", reason="because")
THEIRS = Pin("them/run")


def test_pin_records_holder_and_term_and_pinning_twice_changes_nothing():
    once = Lease("db", "db/0", term=3).with_pin(MINE)
    assert once.pin_of("me/run").holder == "db/0" and once.pin_of("me/run").term == 3
    assert once.with_pin(MINE) == once


def test_unpin_keeps_pins_of_others():
    both = Lease("db", "db/0").with_pin(MINE).with_pin(THEIRS)
    assert [pin.pinner for pin in both.without_pin("me/run").pins] == ["them/run"]
    assert both.without_pin("nobody/x") == both


@pytest.mark.parametrize("lease, exclusive, error", [
    (Lease("db"), False, NoLeader),
    (Lease("db", "db/0", overdue=True, pins=(THEIRS,)), False, NoLeader),
    (Lease("db", "db/0", pins=(THEIRS,)), True, Pinned),
    (Lease("db", "db/0", halted={"reason": "lapsed"}), False, Halted),
])
def test_refusal_of_a_pin_is_foreseen(lease, exclusive, error):
    assert isinstance(lease.refusal_of_pin("me/run", exclusive), error)


def test_pin_beside_others_or_without_a_leader_is_foreseen_when_allowed():
    assert Lease("db", "db/0", pins=(THEIRS,)).refusal_of_pin("me/run") is None
    assert Lease("db").refusal_of_pin("me/run", allow_no_leader=True) is None


def test_renewing_ones_own_pin_is_never_refused():
    assert Lease("db", "db/0", overdue=True, pins=(MINE,), halted={"reason": "lapsed"}).refusal_of_pin("me/run", exclusive=True) is None


def test_transfer_is_refused_under_the_pin_of_another_only():
    units = ("db/0", "db/1")
    assert isinstance(Lease("db", "db/0", pins=(THEIRS, MINE), units=units).refusal_of_transfer("db/1", "me/run"), Pinned)
    assert Lease("db", "db/0", pins=(MINE,), units=units).refusal_of_transfer("db/1", "me/run") is None


def test_transfer_needs_a_leader_and_a_unit_that_takes_part():
    assert isinstance(Lease("db").refusal_of_transfer("db/1", None), NoLeader)
    assert isinstance(Lease("db", "db/0", units=("db/0",)).refusal_of_transfer("db/1", None), NoLeader)


def test_fields_of_a_newer_endpoint_are_let_pass():
    assert Lease.from_answer({"application": "db", "holder": None, "term": 0, "pins": [{"pinner": "a/b", "colour": "red"}], "mood": "fine"}).pinned


@pytest.mark.parametrize("answer", [None, [], {}, {"application": "db", "holder": None, "term": 1}])
def test_lease_that_cannot_be_read_is_not_an_unpinned_one(answer):
    with pytest.raises(Unreachable):
        Lease.from_answer(answer)


def test_outcome_tells_only_what_applies():
    assert Outcome("db", True, True, Lease("db")).as_dict()["lease"]["application"] == "db"
    assert Outcome("db", False, kind="pinned", msg="no", pinners=("a/b",)).as_dict() == {
        "application": "db", "ok": False, "kind": "pinned", "msg": "no", "pinners": ["a/b"]}
