# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases held in the ledger itself, for applications without an election of their own.

The rules only: each takes what was read and returns the lease to write, or raises. Nothing here knows of storage or HTTP.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Optional

from lease_endpoint.errors import Denied, Invalid, NoLeader, NotHeld, Pinned, Stale
from lease_endpoint.records import Lease, Pin

SHORTEST, LONGEST = 2.0, 300.0  # below, one slow sync costs the leadership; above, a dead leader is missed for too long


def names(pins: Iterable[Pin]) -> list[str]:
    return [pin.pinner for pin in pins]


class Native:
    """The election of the endpoint's own leases."""

    name = "native"
    capabilities = {"scope": "lease", "terms": True, "deadlines": True, "survives_holder_restart": True}

    @staticmethod
    def live(lease: Lease, now: float) -> bool:
        """Whether a holder is there whose time has not passed."""
        return lease.holder is not None and lease.expires is not None and lease.expires > now

    def held(self, lease: Lease, pins: list[Pin], now: float) -> bool:
        """Whether the lease is somebody's: live, or kept from expiring by a pin. After that nobody holds it."""
        return lease.holder is not None and (bool(pins) or self.live(lease, now))

    @staticmethod
    def handing_over(lease: Lease, now: float) -> bool:
        return lease.handover_until is not None and lease.handover_until > now

    def claim(self, lease: Lease, pins: list[Pin], holder: str, duration: float, now: float, wall: float) -> Lease:
        """The caller leads for at least `duration`, or Denied: certainly not. Claiming what one holds is renewing it."""
        self._bounds(duration)
        if self.held(lease, pins, now):
            if lease.holder != holder:
                raise Denied(f"{lease.application} is held by {lease.holder}, term {lease.term}", holder=lease.holder, term=lease.term)
            self._wait_for_handover(lease, now)
            return self._renewed(lease, duration, now, wall)
        return Lease(lease.application, lease.provider, holder, lease.term + 1, lease.revision + 1, duration, now + duration, wall)

    def renew(self, lease: Lease, pins: list[Pin], holder: str, term: int, duration: float, now: float, wall: float) -> Lease:
        """The holder's time is at least `duration` from now and never shorter than it was."""
        self._bounds(duration)
        self._check(lease, pins, holder, term, now)
        self._wait_for_handover(lease, now)
        return self._renewed(lease, duration, now, wall)

    def resign(self, lease: Lease, pins: list[Pin], holder: str, term: int, now: float) -> Lease:
        """The lease is free at once. After a transfer the earlier holder says by this that it has stopped."""
        if self.handing_over(lease, now) and lease.handover_from == holder and term == lease.term - 1:
            return replace(lease, handover_from=None, handover_until=None)
        self._check(lease, pins, holder, term, now)
        self._wait_for_handover(lease, now)  # the earlier holder's promise stands: the lease is not free yet
        if pins:
            raise Pinned(f"{lease.application} is pinned by {', '.join(names(pins))}: it stays with {holder}", pinners=names(pins))
        return replace(lease, holder=None, expires=None, revision=lease.revision + 1, handover_from=None, handover_until=None)

    def transfer(self, lease: Lease, pins: list[Pin], to: str, now: float) -> Lease:
        """The lease is `to`'s under a new term. `to` may act when the earlier holder has resigned or its promised time has passed."""
        if lease.holder == to and self.held(lease, pins, now):
            return lease
        if self.handing_over(lease, now):
            raise Denied(f"{lease.application} is already on its way from {lease.handover_from} to {lease.holder}; wait until that is done")
        promised = lease.expires if self.live(lease, now) else None
        return replace(lease, holder=to, term=lease.term + 1, revision=lease.revision + 1, expires=max(promised or now, now) + lease.duration,
                       handover_from=lease.holder if promised else None, handover_until=promised)

    @staticmethod
    def thaw(lease: Lease, now: float) -> Lease:
        """After the last pin, and after an outage: the holder has one full duration from this moment."""
        if lease.holder is None or lease.expires is None:
            return lease
        return replace(lease, expires=max(lease.expires, now + lease.duration))

    def _check(self, lease: Lease, pins: list[Pin], holder: str, term: int, now: float) -> None:
        if not self.held(lease, pins, now):
            raise NotHeld(f"nobody holds {lease.application}: {holder} must claim it anew", holder=None, term=lease.term)
        if lease.holder != holder:
            raise NotHeld(f"{lease.application} is held by {lease.holder}, not by {holder}", holder=lease.holder, term=lease.term)
        if lease.term != term:
            raise Stale(f"{lease.application} is in term {lease.term}, not {term}", term=lease.term)

    def _wait_for_handover(self, lease: Lease, now: float) -> None:
        if self.handing_over(lease, now):
            left = lease.handover_until - now
            raise Denied(f"{lease.application} comes to {lease.holder} when {lease.handover_from} has stopped, in {left:.0f} s at the latest",
                         holder=lease.holder, term=lease.term)

    @staticmethod
    def _renewed(lease: Lease, duration: float, now: float, wall: float) -> Lease:
        expires = max(lease.expires or now, now + duration)
        return replace(lease, duration=duration, expires=expires, renewed_at=wall, handover_from=None, handover_until=None)

    @staticmethod
    def _bounds(duration: float) -> None:
        if not SHORTEST <= duration <= LONGEST:
            raise Invalid(f"a lease lasts {SHORTEST:.0f} to {LONGEST:.0f} s, not {duration:g} s")

    @staticmethod
    def candidate(application: str, unit: str, known: list[str], seen: Optional[float], now: float, within: float) -> None:
        """Raises unless `unit` has been taking part in the election until just now."""
        if unit not in known:
            raise NoLeader(f"{unit} has never taken part in the election of {application}; seen so far: {', '.join(known) or 'nobody'}")
        if seen is None or seen < now - within:
            raise NoLeader(f"{unit} does not take part in the election of {application} at present; start it, then hand over")
