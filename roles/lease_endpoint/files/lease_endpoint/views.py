# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same records as the world sees them: JSON objects with dates and remaining seconds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Optional

from lease_endpoint.ledger.sqlite import Book
from lease_endpoint.providers import PROVIDERS
from lease_endpoint.records import Halt, Lease, Pin


class View:
    """One moment: endpoint time `now` and the wall clock's time of it."""

    def __init__(self, book: Book, now: float, wall: float) -> None:
        self._book = book
        self._now = now
        self._wall = wall

    def _date(self, moment: Optional[float]) -> Optional[float]:
        return None if moment is None else round(self._wall + moment - self._now, 3)

    def _left(self, moment: Optional[float]) -> Optional[float]:
        return None if moment is None else round(moment - self._now, 3)

    def pin(self, pin: Pin) -> dict[str, Any]:
        return {
            "pinner": pin.pinner, "run": pin.run, "identity": pin.identity, "reason": pin.reason, "since": pin.since,
            "until": self._date(pin.until), "until_in": self._left(pin.until), "holder": pin.holder, "term": pin.term,
            "session": pin.session, "session_seen_in": None if pin.session_seen is None else round(self._now - pin.session_seen, 3),
        }

    @staticmethod
    def halt(halt: Halt) -> dict[str, Any]:
        return {"since": halt.since, "reason": halt.reason, "pinner": halt.pinner}

    def lease(self, lease: Lease) -> dict[str, Any]:
        """`holder` is null when nobody holds it; `last_holder` then says who did. `overdue`: pinned, and the holder's time has passed."""
        pins = self._book.pins(lease.application)
        halt = self._book.halt(lease.application)
        provider = PROVIDERS[lease.provider]
        held = provider.held(lease, pins, self._now)
        handover = None
        if provider.handing_over(lease, self._now):
            handover = {"from": lease.handover_from, "until": self._date(lease.handover_until), "until_in": self._left(lease.handover_until)}
        return {
            "application": lease.application, "provider": lease.provider, "holder": lease.holder if held else None, "last_holder": lease.holder,
            "term": lease.term, "revision": lease.revision, "duration": lease.duration,
            "expires_at": self._date(lease.expires), "expires_in": self._left(lease.expires), "renewed_at": lease.renewed_at,
            "overdue": held and not provider.live(lease, self._now),
            "pinned": bool(pins), "pins": [self.pin(pin) for pin in pins], "halted": halt and self.halt(halt), "handover": handover,
            "units": self._book.units(lease.application),
        }

    def everything(self) -> dict[str, Any]:
        """What the status page shows."""
        return {
            "now": round(self._wall, 3), "leases": [self.lease(lease) for lease in self._book.leases()],
            "tombstones": self.tombstones(), "history": self.history(None, 30),
        }

    def pins(self) -> dict[str, Any]:
        return {
            "pins": [{"application": pin.application, **self.pin(pin)} for pin in self._book.pins()],
            "tombstones": self.tombstones(),
            "halts": [{"application": halt.application, **self.halt(halt)} for halt in self._book.halts()],
        }

    def tombstones(self) -> list[dict[str, Any]]:
        return [asdict(stone) for stone in self._book.tombstones()]

    def history(self, application: Optional[str], limit: int) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self._book.history(application, limit)]
