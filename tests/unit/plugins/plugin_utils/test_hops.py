# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _hops
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._inspection import Refusal

HOPS = ["trixie", "forky"]


def at(series, state=None, target=None):
    return {"series": series, "marker": {"state": state, "target_series": target} if state else None}


@pytest.mark.parametrize("machines, target, left", [
    ({"m1": at("bookworm"), "m2": at("bookworm")}, "trixie", ("m1", "m2")),
    ({"m1": at("trixie", "COMMITTED", "trixie"), "m2": at("bookworm", "ROLLED_BACK", "trixie")}, "trixie", ("m2",)),
    ({"m1": at("trixie", "COMMITTED", "trixie"), "m2": at("trixie", "WATCHING", "trixie")}, "trixie", ("m2",)),
    ({"m1": at("trixie", "COMMITTED", "trixie"), "m2": at("trixie", "HELD", "trixie")}, "trixie", ("m2",)),
    ({"m1": at("trixie", "COMMITTED", "trixie"), "m2": at("trixie")}, "forky", ("m1", "m2")),
    ({"m1": at("trixie", "COMMITTED", "trixie"), "m2": at("trixie", "UPGRADING", "forky")}, "forky", ("m1", "m2")),
    ({"m1": at("forky", "COMMITTED", "forky"), "m2": at("forky", "WATCHING", "forky")}, "forky", ("m2",)),
    ({"m1": at("forky", "COMMITTED", "forky"), "m2": at("trixie", "ROLLED_BACK", "forky")}, "forky", ("m2",)),
    ({"m1": at("forky", "COMMITTED", "forky")}, "forky", ()),
    ({"m1": at("trixie", "ROLLBACK_FAILED", "trixie"), "m2": at("trixie")}, "trixie", ("m1",)),
])
def test_next_hop_is_the_first_that_not_all_machines_have_committed(machines, target, left):
    hop = _hops.next_hop(HOPS, machines)
    assert (hop.target, hop.left) == (target, left)


@pytest.mark.parametrize("unseen", [None, {}, {"failed": True, "series": "trixie"}, {"unreachable": True}])
def test_later_hop_does_not_begin_while_somebody_was_not_seen_and_the_first_one_does(unseen):
    with pytest.raises(Refusal, match="m2 could not be looked at, so nobody knows whether all machines are on trixie; hop 2 begins only then"):
        _hops.next_hop(HOPS, {"m1": at("trixie"), "m2": unseen})
    assert _hops.next_hop(HOPS, {"m1": at("bookworm"), "m2": unseen}) == _hops.Hop("trixie", 1, ("m1", "m2"))


@pytest.mark.parametrize("given, said", [
    (None, "names no series"), ([], "names no series"), ("trixie", "names no series"), ([13.0], "no text"), (["trixie", 7], "no text"),
    (["bookworm", "forky"], "forky does not follow bookworm, trixie does; put each series on the way"),
    (["trixie", "bookworm"], "bookworm does not follow trixie, forky does"), (["trixie", "trixie"], "trixie does not follow trixie"),
])
def test_hops_that_are_none_are_refused_with_the_next_step(given, said):
    with pytest.raises(Refusal, match=said):
        _hops.checked(given)


def test_hops_of_a_distribution_of_ones_own_are_taken_as_they_are_written():
    assert _hops.checked(["emerald", "ruby"]) == ["emerald", "ruby"]


def test_nobody_to_look_at_is_no_success():
    with pytest.raises(Refusal, match="no machine to look at"):
        _hops.next_hop(HOPS, {})


def test_what_comes_is_told_in_a_sentence():
    assert _hops.sentence(HOPS, _hops.Hop("forky", 2, ("m1",))) == "Hop 2 of 2: to forky (m1)."
    assert _hops.sentence(HOPS, _hops.Hop("forky", 2, ())) == "All machines are on forky, the last hop."
