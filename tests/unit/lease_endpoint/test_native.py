# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of an election, for any order of events: no process, no disk, time by hand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lease_endpoint.errors import LeaseError
from lease_endpoint.providers.native import Native
from lease_endpoint.records import Lease, Pin

UNITS = ("u/0", "u/1", "u/2")
ELECTION = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(UNITS)),
    st.tuples(st.just("renew"), st.sampled_from(UNITS)),
    st.tuples(st.just("resign"), st.sampled_from(UNITS)),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 4.0, 11.0])),
)
ACTS = st.one_of(
    ELECTION,
    st.tuples(st.just("transfer"), st.sampled_from(UNITS)),
    st.tuples(st.just("pin"), st.none()),
    st.tuples(st.just("unpin"), st.none()),
)


class World:
    """Units as they behave: each knows only the term it was granted and until when it may act."""

    def __init__(self):
        self.native, self.lease, self.now, self.pins = Native(), Lease("db"), 0.0, []
        self.may_act = {}  # unit -> (term, until): what it was promised

    def act(self, verb, what):
        before = self.lease
        try:
            getattr(self, verb)(what)
        except LeaseError:
            assert self.lease is before, "a refusal changed something"
        self.check(before)

    def claim(self, unit):
        self.lease = self.native.claim(self.lease, self.pins, unit, 10.0, self.now, 0.0)
        self.may_act[unit] = (self.lease.term, self.now + 10.0)

    def renew(self, unit):
        term = self.may_act.get(unit, (0, 0))[0]
        self.lease = self.native.renew(self.lease, self.pins, unit, term, 10.0, self.now, 0.0)
        self.may_act[unit] = (term, self.now + 10.0)

    def resign(self, unit):
        term = self.may_act.pop(unit, (0, 0))[0]  # a unit stops before it says so
        self.lease = self.native.resign(self.lease, self.pins, unit, term, self.now)

    def transfer(self, unit):
        self.lease = self.native.transfer(self.lease, self.pins, unit, self.now)

    def pin(self, _none):
        if self.native.live(self.lease, self.now):
            self.pins = [Pin("db", "a/r", "a", "r", "x", 0, 60, self.now + 60, self.lease.holder, self.lease.term)]
            self.frozen = (self.lease.holder, self.lease.term)

    def unpin(self, _none):
        if self.pins:
            self.pins, self.lease = [], self.native.thaw(self.lease, self.now)
            assert self.lease.holder is None or self.lease.expires >= self.now + self.lease.duration

    def pass_(self, seconds):
        self.now += seconds

    def check(self, before):
        acting = [unit for unit, (_term, end) in self.may_act.items() if end > self.now]
        assert len(acting) <= 1, "two may act: %s" % acting
        assert self.lease.term >= before.term and self.lease.revision >= before.revision
        if self.lease.holder != before.holder and self.lease.holder is not None:
            assert self.lease.term > before.term


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(ACTS, min_size=12, max_size=40))
def test_never_two_who_may_act_and_terms_only_grow(acts):
    world = World()
    for verb, what in acts:
        world.act("pass_" if verb == "pass" else verb, what)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(ELECTION, min_size=12, max_size=40))
def test_no_election_and_no_expiry_changes_a_pinned_leadership(acts):
    world = World()
    world.act("claim", "u/0")
    world.act("pin", None)
    for verb, what in acts:
        world.act("pass_" if verb == "pass" else verb, what)
    assert (world.lease.holder, world.lease.term) == ("u/0", 1)
    assert world.native.held(world.lease, world.pins, world.now)
