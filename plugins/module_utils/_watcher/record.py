# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the watcher keeps in the marker, and the only way it changes: by an event of the table, durable before anybody hears of it."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from . import states
from .clock import Clock
from .journal import Journal
from .marker import Damaged, Marker, NotDurable
from .spec import DEFAULTS, SpecError, checked

NOTHING = type(None)
NUMBER = (int, float)
SHAPE: Dict[str, Any] = {
    "upgrade_id": str, "spec": dict, "service": dict, "state": str, "since": NUMBER, "armed_at": NUMBER, "boot_id": str, "reason": (str, NOTHING),
    "phase": (str, NOTHING), "begun": list, "done": list, "irreversible": bool, "aborting": (str, NOTHING), "held_from": (str, NOTHING), "booted": bool,
    "resumed": bool, "grace_remaining": NUMBER, "not_after_remaining": (int, float, NOTHING), "memory": dict, "requests": dict,
    "windows": list, "retain_remaining": NUMBER, "cleaning": (str, NOTHING), "kept": list,
}
DAY = 86400.0
# Fields that came after the first program, with what their absence means: a watcher that is replaced in the middle of an upgrade goes on.
LATER: Dict[str, Callable[[], Any]] = {"windows": list, "retain_remaining": lambda: DEFAULTS["retain"] * DAY, "cleaning": lambda: None, "kept": list}
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
        "windows": [],           # announced disruptions: id, what, remaining seconds
        "retain_remaining": spec["retain"] * DAY,   # seconds that what leads back is kept after the end
        "cleaning": None,        # the reason, while what is no longer needed is being deleted
        "kept": kept(before),    # what earlier upgrades have left: upgrade_id, snapshot (its spec), record
        "memory": {},            # what phases and steps remember: snapshot, acted_boot, ...
        "requests": {},
    }


def sound(record: Dict[str, Any]) -> Dict[str, Any]:
    """The record, when it is one that this program can go on from; what an older program did not know yet means its default.

    Raises Damaged: the checksum is right, and the record is not ours all the same.
    """
    record = dict({key: make() for key, make in LATER.items()}, **record)
    try:
        for key, kinds in SHAPE.items():
            if key not in record or not isinstance(record[key], kinds) or (isinstance(record[key], bool) and bool not in _tuple(kinds)):
                raise Damaged("the record has no {0} that can be understood: {1!r}".format(key, record.get(key)))
        if record["state"] not in states.ALL or record["held_from"] not in (None,) + tuple(states.ALL):
            raise Damaged("the record is in the unknown state {0}".format(record["state"]))
        for key in ("begun", "done"):
            if not all(isinstance(name, str) for name in record[key]):
                raise Damaged("the record has no {0} that can be understood: {1!r}".format(key, record[key]))
        if not all(isinstance(given, dict) and isinstance(given.get("result"), str) for given in record["requests"].values()):
            raise Damaged("the record has no requests that can be understood")
        _be_possible(record)
        for window in record["windows"]:
            if not isinstance(window, dict) or not isinstance(window.get("what"), str) or not 0 <= _number(window.get("remaining")) <= 1e9:
                raise Damaged("the record has no windows that can be understood")
        for left in record["kept"]:
            if not isinstance(left, dict) or not isinstance(left.get("snapshot"), dict) or not isinstance(left.get("record"), dict):
                raise Damaged("the record has no kept that can be understood")
        for key in ("since", "armed_at", "grace_remaining", "not_after_remaining", "retain_remaining"):
            if record[key] is not None and not 0 <= record[key] <= 1e12:
                raise Damaged("the record has no {0} that can be understood: {1!r}".format(key, record[key]))
        spec = checked(record["spec"])
    except SpecError as problem:
        raise Damaged("the record has a spec that cannot be carried out: {0}".format(problem))
    if {key: spec[key] for key in record["spec"]} != record["spec"] or spec["upgrade_id"] != record["upgrade_id"]:
        raise Damaged("the record has a spec of another upgrade or program")
    return dict(record, spec=spec)


def _be_possible(record: Dict[str, Any]) -> None:
    """Each field by itself is in order. Raises Damaged where two of them would have the machine do what no upgrade does."""
    if record["cleaning"] and record["state"] not in states.KEEPING:
        raise Damaged("the record is {0}, and says all the same that what leads back is being deleted".format(record["state"]))
    if record["aborting"] and (record["irreversible"] or record["state"] not in (states.ARMED, states.UPGRADING)):
        raise Damaged("the record says that an upgrade is being undone that is {0} and cannot be undone any more".format(record["state"]))
    identities = [window.get("id") for window in record["windows"] if isinstance(window, dict)]
    if not all(isinstance(one, str) for one in identities) or len(set(identities)) < len(identities):
        raise Damaged("the record has no windows that can be understood")


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else -1.0


def _tuple(kinds: Any) -> Tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def kept(before: Optional[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """What the upgrade before, and those before it, have left on the machine; otherwise nobody would ever delete it."""
    if before is None:
        return []
    left = list(before.get("kept") or [])
    taken = before["memory"].get("snapshot")
    if taken is not None:
        left.append({"upgrade_id": before["upgrade_id"], "snapshot": before["spec"]["snapshot"], "record": taken})
    return left


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


__all__ = ["Book", "NotDurable", "fresh", "sound"]
