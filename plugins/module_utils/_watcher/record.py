# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the watcher keeps in the marker, and the only way it changes: by an event of the table, durable before anybody hears of it."""

from __future__ import annotations

from typing import Any, Dict, Optional

from . import states
from .clock import Clock
from .journal import Journal
from .marker import Marker, NotDurable

# Answers of this many changing requests are kept, so that a retry gets the same one.
REQUESTS_KEPT = 50


def fresh(spec: Dict[str, Any], now: float, boot_id: str, service: Dict[str, Any], before: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """The record of a new upgrade, made from a checked spec. It goes on with the generations of the one before."""
    return {
        "generation": before["generation"] if before else 0,
        "upgrade_id": spec["upgrade_id"],
        "spec": spec,
        "service": service,
        "state": states.ARMED,
        "since": now,
        "armed_at": now,
        "boot_id": boot_id,
        "reason": None,
        "phase": None,           # the phase or step that was begun last
        "begun": [],             # phases begun in this attempt
        "done": [],              # phases done
        "irreversible": False,   # a phase has begun that only a rollback leads back from
        "aborting": None,        # the reason, while what was done is being undone
        "held_from": None,
        "booted": False,         # the machine has booted after the upgrade
        "resumed": False,        # the units were started after the upgrade, in the boot boot_id
        "grace_remaining": spec["grace"],
        "not_after_remaining": spec["not_after"],
        "memory": {},            # what phases and steps remember: snapshot, acted_boot, ...
        "requests": {},
    }


class Book:
    """The record in memory, its marker and its journal. Every change goes marker first, then memory, then journal."""

    def __init__(self, record: Dict[str, Any], marker: Marker, journal: Journal, clock: Clock) -> None:
        self.record = record
        self._marker = marker
        self.journal = journal
        self._clock = clock

    @property
    def state(self) -> str:
        return self.record["state"]

    def change(self, request: Optional[Dict[str, Any]] = None, answer: Optional[Dict[str, Any]] = None, **changes: Any) -> None:
        """Make changes durable, together with the answer to the request that asked for them. Raises NotDurable; then nothing has changed."""
        new = dict(self.record, **changes)
        if request is not None and answer is not None:
            kept = list(new["requests"].items())[-(REQUESTS_KEPT - 1):]
            answer["generation"] = self.record["generation"] + 1
            new["requests"] = dict(kept + [(request["request_id"], answer)])
        self.record = self._marker.write(new)

    def move(self, event: str, reason: Optional[str] = None, request: Optional[Dict[str, Any]] = None, answer: Optional[Dict[str, Any]] = None,
             **changes: Any) -> None:
        """Go to the state that follows by the table. Raises states.NotAllowed or NotDurable."""
        state = states.after(self.state, event)
        if answer is not None:
            answer["state"] = state
        self.change(request, answer, state=state, since=self._clock.wall(), reason=reason, **changes)
        self.tell("state", msg=reason or event)

    def tell(self, event: str, durable: bool = True, **more: Any) -> None:
        """Journal what listeners shall hear."""
        self.journal.append(self._clock.wall(), event, durable, state=self.state, phase=self.record["phase"], upgrade_id=self.record["upgrade_id"],
                            **dict({"percent": None, "msg": ""}, **more))

    def tell_missing_state(self) -> None:
        """After a crash between the marker and the journal: the listeners have not heard of the last state yet."""
        told = [event for event in self.journal.last(1000) if event["event"] == "state"]
        if not told or (told[-1].get("state"), told[-1].get("upgrade_id")) != (self.state, self.record["upgrade_id"]):
            self.tell("state", msg=self.record["reason"] or ("armed" if self.state == states.ARMED else "recorded before the watcher ended"))


__all__ = ["Book", "NotDurable", "fresh"]
