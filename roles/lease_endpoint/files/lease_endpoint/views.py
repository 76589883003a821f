# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same records as the world sees them: JSON objects with dates and remaining seconds."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Optional

from lease_endpoint.ledger.sqlite import Book
from lease_endpoint.errors import LeaseError
from lease_endpoint.foreign_pins import orphaned
from lease_endpoint.providers import NATIVE
from lease_endpoint.providers.foreign import Leadership
from lease_endpoint.records import Halt, Lease, Pin
from lease_endpoint.wards import Reading, Ward, Wards


class View:
    """One moment: endpoint time `now` and the wall clock's time of it."""

    def __init__(self, book: Book, now: float, wall: float, wards: Wards) -> None:
        self._book = book
        self._wards = wards
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

    def lease(self, lease: Lease, reading: Optional[Reading | LeaseError] = None) -> dict[str, Any]:
        """`holder` is null when nobody holds it; `last_holder` then says who did. `overdue`: pinned, and the holder's time has passed.

        Where leadership lives elsewhere it is what was read there: `reading`, else what was read last. Raises when that was nothing.
        """
        ward = self._wards.get(lease.application)
        if ward is not None:
            return self._elsewhere(lease, ward, reading if reading is not None else ward.recent())
        known = self._known(lease)
        pins = self._book.pins(lease.application)
        held = NATIVE.held(lease, pins, self._now)
        handover = None
        if NATIVE.handing_over(lease, self._now):
            handover = {"from": lease.handover_from, "until": self._date(lease.handover_until), "until_in": self._left(lease.handover_until)}
        return {
            **known, "holder": lease.holder if held else None, "last_holder": lease.holder, "term": lease.term, "duration": lease.duration,
            "expires_at": self._date(lease.expires), "expires_in": self._left(lease.expires), "renewed_at": lease.renewed_at,
            "overdue": held and not NATIVE.live(lease, self._now), "handover": handover,
            "units": self._book.units(lease.application), "members": [], "read_ago": 0.0,
        }

    def _elsewhere(self, lease: Lease, ward: Ward, reading: Reading | LeaseError) -> dict[str, Any]:
        if isinstance(reading, LeaseError):
            raise reading
        read = reading.known()
        leads = next((member for member in read.members if member.unit == read.holder), None)
        known, kept = self._known(lease), self._kept(lease.application, read)
        return {
            **known, "holder": read.holder or kept, "last_holder": read.holder or kept or lease.holder, "term": read.term, "duration": None,
            "expires_at": None, "expires_in": None, "renewed_at": None,
            "overdue": kept is not None or (known["pinned"] and leads is not None and not leads.healthy), "handover": None,
            "units": sorted(member.unit for member in read.members), "members": [asdict(member) for member in read.members],
            "read_ago": round(time.monotonic() - reading.at, 3),
        }

    def _kept(self, application: str, read: Leadership) -> Optional[str]:
        """For whom the freeze keeps a leadership that nobody exercises at present: whom the pins found, if nobody has led since."""
        freeze = self._book.freeze(application)
        if read.holder is not None or read.frozen is False or freeze is None or not (freeze.wanted and freeze.confirmed):
            return None
        return next((pin.holder for pin in self._book.pins(application) if pin.term == read.term), None)

    def _known(self, lease: Lease) -> dict[str, Any]:
        """What the ledger and the configuration say, whoever leads."""
        ward, halt = self._wards.get(lease.application), self._book.halt(lease.application)
        pins = [self.pin(pin) for pin in self._book.pins(lease.application)]
        return {
            "application": lease.application, "provider": lease.provider, "revision": lease.revision, "pinned": bool(pins), "pins": pins,
            "halted": halt and self.halt(halt), "capabilities": ward.capabilities() if ward else NATIVE.capabilities, "freeze": self.freeze(lease.application),
        }

    def freeze(self, application: str) -> Optional[dict[str, Any]]:
        """Null where nothing is frozen nor owed. Not `wanted`: a thaw is owed. `error` and `tries`: of what was tried in vain."""
        found, ward = self._book.freeze(application), self._wards.get(application)
        if found is None:
            return None
        answer = {"provider": found.provider, "wanted": found.wanted, "confirmed": found.confirmed, "since": found.since,
                  "tries": found.tries, "error": found.error, "next_try_in": None}
        if ward is None or found.provider != ward.name:
            answer["error"] = orphaned(found)
        elif not (found.wanted and found.confirmed):
            answer["next_try_in"] = ward.next_try_in()
        return answer

    def shown(self, lease: Lease) -> dict[str, Any]:
        """For the page, which waits for nobody: an application that cannot be read has `unreadable` in place of holder, term and members."""
        try:
            return self.lease(lease)
        except LeaseError as trouble:
            return {**self._known(lease), "unreadable": trouble.body(), "last_holder": lease.holder, "units": []}

    def all_leases(self) -> list[Lease]:
        """Those that anybody ever claimed, and those that live elsewhere."""
        rows = {lease.application: self._wards.configured(lease) for lease in self._book.leases()}
        rows.update((name, self._wards.configured(Lease(name))) for name in self._wards if name not in rows)
        return [rows[name] for name in sorted(rows)]

    def everything(self) -> dict[str, Any]:
        """What the status page shows."""
        return {
            "now": round(self._wall, 3), "leases": [self.shown(lease) for lease in self.all_leases()],
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
