# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Two series on, one hop after the other: which hop is next for a whole fleet. Private room of the collection, pure.

A hop begins when every machine has committed on the one before. What cannot be seen has not.
"""

from __future__ import annotations

import typing as t

from . import _inspection
from ._inspection import OVER, UNCHANGED, Refusal
from ..module_utils._release import series

Facts = t.Mapping[str, t.Any]


class Hop(t.NamedTuple):
    """target: where the fleet goes now. number: which hop that is, from 1. left: machines that are not there yet, in order."""

    target: str
    number: int
    left: tuple[str, ...]


def checked(given: t.Any) -> list[str]:
    """The targets in order. Raises Refusal when they are none, or when one does not follow the one before as its distribution has it."""
    if not isinstance(given, (list, tuple)) or not given:
        raise Refusal("invalid", "series_upgrade_hops names no series; list the targets in order, like [trixie, forky]. %s" % UNCHANGED)
    hops = [_inspection.target(name) for name in given]
    for before, after in zip(hops, hops[1:]):
        follows = series.successor(before)
        if follows not in (None, after) or after == before:
            raise Refusal("invalid", "%s does not follow %s, %s does; put each series on the way into series_upgrade_hops. %s" % (
                after, before, follows or "no series that we know", UNCHANGED))
    return hops


def next_hop(hops: t.Sequence[str], machines: t.Mapping[str, Facts | None]) -> Hop:
    """
    The first hop that not all MACHINES have committed. Each is {"series", "marker": {"state", "target_series", ..} or None} as series_info tells it,
    or None or a failure where nobody could look.

    Raises Refusal when a later hop than the first would begin while somebody was not seen.
    """
    if not machines:
        raise Refusal("invalid", "there is no machine to look at; correct series_upgrade_hosts. %s" % UNCHANGED)
    unseen = [host for host, found in machines.items() if not found or found.get("failed") or found.get("unreachable") or not found.get("series")]
    through = {host: _through(hops, machines[host] or {}) for host in machines if host not in unseen}
    number = min(through.values(), default=0)
    if unseen and number > 0:
        raise Refusal("unseen", "%s could not be looked at, so nobody knows whether all machines are on %s; hop %d begins only then. %s" % (
            ", ".join(sorted(unseen)), hops[number - 1], min(number + 1, len(hops)), UNCHANGED))
    number = min(number, len(hops) - 1)
    left = tuple(sorted([host for host, done in through.items() if done <= number] + unseen))
    return Hop(hops[number], number + 1, left)


def sentence(hops: t.Sequence[str], hop: Hop) -> str:
    """What comes, for a person."""
    if not hop.left:
        return "All machines are on %s, the last hop." % hop.target
    return "Hop %d of %d: to %s (%s)." % (hop.number, len(hops), hop.target, ", ".join(hop.left))


def _through(hops: t.Sequence[str], found: Facts) -> int:
    """How many hops this machine has committed. One that is in the middle of a hop has not."""
    marker = found.get("marker") or {}
    live = str(found["series"])
    done = hops.index(live) + 1 if live in hops else 0
    if marker.get("state") and marker["state"] not in OVER and marker.get("target_series") in hops:
        done = min(done, hops.index(marker["target_series"])) if done else 0
    elif marker.get("state") == "ROLLBACK_FAILED" and done:
        done -= 1
    return done
