# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lease endpoint tells: leases, pins, and errors that say what to do next.

Private to this collection. Values only: nothing here talks to anybody, and nothing has heard of Ansible.
Times are what the endpoint said: ``until`` in Unix seconds of its clock, ``until_in`` in seconds from its answer,
so that nobody compares two machines' clocks.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional, Tuple


class LeaseError(Exception):
    """Something the caller must react to. ``kind`` is a fixed word per next move; ``msg`` is for people."""

    kind = "invalid"

    def __init__(self, msg, **details):  # type: (str, Any) -> None
        super().__init__(msg)
        self.msg = msg
        self.details = details


class Denied(LeaseError):
    kind = "denied"          # somebody else holds it: wait or give up


class NotHeld(LeaseError):
    kind = "not_held"        # the caller is not the holder: read again


class NoLeader(LeaseError):
    kind = "no_leader"       # nothing live to pin: stop before touching a machine


class Pinned(LeaseError):
    kind = "pinned"          # a pin forbids it: ask the pinners named


class Stale(LeaseError):
    kind = "stale"           # term or revision moved on: read again, decide again


class Halted(LeaseError):
    kind = "halted"          # stopped after a lapse: a person decides


class Forbidden(LeaseError):
    kind = "forbidden"       # a right is missing: do not retry


class TooMany(LeaseError):
    kind = "too_many"        # this caller asks more often than it may: wait, then retry


class Unsupported(LeaseError):
    kind = "unsupported"     # this provider cannot do that


class Invalid(LeaseError):
    kind = "invalid"         # malformed or out of bounds: fix the caller


class NotDurable(LeaseError):
    kind = "not_durable"     # could not be stored; nothing changed


class Timeout(LeaseError):
    kind = "timeout"         # the wait ended without an outcome: read, then retry


class Stopping(LeaseError):
    kind = "stopping"        # the endpoint shuts down: retry later


class Unreachable(LeaseError):
    kind = "unreachable"     # no answer that can be understood: conclude nothing


KINDS = dict((error.kind, error) for error in (
    Denied, NotHeld, NoLeader, Pinned, Stale, Halted, Forbidden, TooMany, Unsupported, Invalid, NotDurable, Timeout, Stopping, Unreachable,
))


def error_of(kind, msg, **details):  # type: (str, str, Any) -> LeaseError
    """The error for a kind. An unknown kind is Unreachable: an answer nobody understands proves nothing."""
    if kind in KINDS:
        return KINDS[kind](msg, **details)
    return Unreachable("%s (the endpoint's answer is of the unknown kind %r)" % (msg, kind), **details)


@dataclasses.dataclass(frozen=True)
class Pin:
    """One pinner's hold on one lease."""

    pinner: str
    run: str = ""
    identity: str = ""
    reason: str = ""
    since: Optional[float] = None
    until: Optional[float] = None
    until_in: Optional[float] = None
    holder: Optional[str] = None
    term: Optional[int] = None
    session: Optional[str] = None
    session_seen_in: Optional[float] = None

    @classmethod
    def from_answer(cls, answer):  # type: (Dict[str, Any]) -> Pin
        return cls(**_known(cls, answer, "pinner"))

    def as_dict(self):  # type: () -> Dict[str, Any]
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Lease:
    """Leadership of one application. Pinned means *will not expire*; it does not mean *the holder is well*."""

    application: str
    holder: Optional[str] = None
    term: int = 0
    revision: int = 0
    provider: str = "native"
    expires_at: Optional[float] = None
    expires_in: Optional[float] = None
    renewed_at: Optional[float] = None
    overdue: bool = False
    pins: Tuple[Pin, ...] = ()
    halted: Optional[Dict[str, Any]] = None
    units: Tuple[str, ...] = ()
    last_holder: Optional[str] = None
    duration: Optional[float] = None
    handover: Optional[Dict[str, Any]] = None   # {"from", "until", "until_in"} while the holder may not act yet
    members: Tuple[Dict[str, Any], ...] = ()   # where the leadership lives elsewhere: {"unit", "healthy", "msg", "lag"}
    capabilities: Optional[Dict[str, Any]] = None   # what a pin means there: {"scope", "terms", "reads_freeze", "transfer", "notes"}
    freeze: Optional[Dict[str, Any]] = None   # {"wanted", "confirmed", "error", "tries", "next_try_in"}; not wanted: a thaw is owed
    read_ago: float = 0.0

    @classmethod
    def from_answer(cls, answer):  # type: (Dict[str, Any]) -> Lease
        """Reads the endpoint's object. Raises Unreachable when it is none: unreadable is not unpinned."""
        fields = _known(cls, answer, "application", "holder", "term", "pins")
        fields["pins"] = tuple(Pin.from_answer(pin) for pin in fields["pins"])
        fields["units"] = tuple(fields.get("units") or ())
        fields["members"] = tuple(fields.get("members") or ())
        return cls(**fields)

    def as_dict(self):  # type: () -> Dict[str, Any]
        answer = dataclasses.asdict(self)
        answer["pins"] = [pin.as_dict() for pin in self.pins]
        answer["units"] = list(self.units)
        answer["members"] = list(self.members)
        answer["pinned"] = self.pinned
        return answer

    @property
    def pinned(self):  # type: () -> bool
        return bool(self.pins)

    @property
    def whole_cluster(self):  # type: () -> bool
        """Whether a pin stops more than elections of this leadership."""
        return (self.capabilities or {}).get("scope") == "cluster"

    @property
    def meaning(self):  # type: () -> str
        """What a pin means where the leadership lives elsewhere, for people; empty for the endpoint's own leases."""
        if self.provider == "native":
            return ""
        notes = [str(note) for note in (self.capabilities or {}).get("notes") or ()]
        return "led by %s; %s" % (self.provider, "; ".join(notes) or (
            "a pin freezes its whole cluster" if self.whole_cluster else "a pin freezes this leadership alone"))

    @property
    def counts_changes(self):  # type: () -> bool
        """Whether the term tells every change of the leader."""
        return bool((self.capabilities or {}).get("terms", True))

    @property
    def owed(self):  # type: () -> str
        """Why what a pin froze is frozen still, though nobody wants that any more; empty when it is not."""
        if self.freeze is None or self.freeze.get("wanted"):
            return ""
        return "%s is frozen still (%s); the endpoint goes on trying" % (self.application, self.freeze.get("error") or "it is being thawed")

    def pin_of(self, pinner):  # type: (str) -> Optional[Pin]
        for pin in self.pins:
            if pin.pinner == pinner:
                return pin
        return None

    def with_pin(self, pin):  # type: (Pin) -> Lease
        """The lease as it will be once the pinner has pinned it. A pin that is there already stays as it is."""
        if self.pin_of(pin.pinner):
            return self
        return dataclasses.replace(self, pins=self.pins + (dataclasses.replace(pin, holder=self.holder, term=self.term),))

    def without_pin(self, pinner):  # type: (str) -> Lease
        """The lease as it will be once the pinner has unpinned it. Others' pins stay."""
        return dataclasses.replace(self, pins=tuple(pin for pin in self.pins if pin.pinner != pinner))

    def refusal_of_pin(self, pinner, exclusive=False, allow_no_leader=False):  # type: (str, bool, bool) -> Optional[LeaseError]
        """Why the endpoint would refuse this pinner now; None when it would not. Check mode asks this instead of pinning."""
        others = [pin.pinner for pin in self.pins if pin.pinner != pinner]
        if exclusive and others:
            return Pinned("%s is pinned by %s" % (self.application, ", ".join(others)), pinners=others)
        if self.pin_of(pinner):
            return None   # it is only renewed, and that is never refused
        if self.halted:
            return Halted("%s is halted since a pin lapsed: %s" % (self.application, self.halted.get("reason", "no reason recorded")))
        if (self.holder is None or self.overdue) and not allow_no_leader:
            return NoLeader("%s has no live leader, so there is nothing to pin" % self.application)
        return None

    def refusal_of_transfer(self, to, pinner):  # type: (str, Optional[str]) -> Optional[LeaseError]
        """Why the endpoint would refuse to move this leadership now; None when it would not."""
        others = [pin.pinner for pin in self.pins if pin.pinner != pinner]
        if self.capabilities is not None and not self.capabilities.get("transfer", True):
            return Unsupported("%s is led by %s, which cannot hand its leadership to a named unit" % (self.application, self.provider))
        if self.holder is None:
            return NoLeader("%s has no live leader, so there is nothing to transfer" % self.application)
        if others:
            return Pinned("%s is pinned by %s" % (self.application, ", ".join(others)), pinners=others)
        if to not in self.units:
            return NoLeader("%s has never taken part in the election of %s; seen so far: %s" % (to, self.application, ", ".join(self.units)))
        return None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one application in a call for many."""

    application: str
    ok: bool
    changed: bool = False
    lease: Optional[Lease] = None
    kind: str = ""
    msg: str = ""
    pinners: Tuple[str, ...] = ()
    unreadable: Optional[Dict[str, Any]] = None   # {"kind", "msg"}: it worked, and who leads could not be read; there is no lease then
    freeze: Optional[Dict[str, Any]] = None

    @classmethod
    def from_answer(cls, answer):  # type: (Dict[str, Any]) -> Outcome
        fields = _known(cls, answer, "application", "ok")
        if fields.get("lease") is not None:
            fields["lease"] = Lease.from_answer(fields["lease"])
        fields["pinners"] = tuple(fields.get("pinners") or ())
        return cls(**fields)

    def as_dict(self):  # type: () -> Dict[str, Any]
        """Only what applies: a success has no kind, a refusal has no lease."""
        if not self.ok:
            return {"application": self.application, "ok": False, "kind": self.kind, "msg": self.msg, "pinners": list(self.pinners)}
        return {"application": self.application, "ok": True, "changed": self.changed, "lease": self.lease.as_dict() if self.lease else None}

    @property
    def unknown(self):  # type: () -> str
        """Why nothing is known of the leadership although it worked; empty when it is known."""
        if self.lease is not None:
            return ""
        return "who leads %s could not be read: %s" % (self.application, (self.unreadable or {}).get("msg") or "the endpoint does not say why")

    @property
    def error(self):  # type: () -> Optional[LeaseError]
        return None if self.ok else error_of(self.kind, self.msg, application=self.application, pinners=list(self.pinners))


class Leases(dict):
    """Application name to Lease; ``unknown`` holds the names asked for that the endpoint has never heard of.

    ``unreadable``: by application, why leadership that lives elsewhere could not be read. That says nothing of its leader.
    """

    def __init__(self, leases=(), unknown=(), unreadable=()):  # type: (Any, Any, Any) -> None
        super().__init__(leases)
        self.unknown = list(unknown)  # type: List[str]
        self.unreadable = dict(unreadable)  # type: Dict[str, str]


def _known(cls, answer, *required):  # type: (Any, Any, str) -> Dict[str, Any]
    """The fields of an answer that we know. Fields of a newer endpoint are let pass; a missing required one is an error."""
    if not isinstance(answer, dict):
        raise Unreachable("the endpoint answered %s where %s was expected" % (type(answer).__name__, cls.__name__))
    missing = [name for name in required if name not in answer]
    if missing:
        raise Unreachable("the endpoint's %s lacks %s" % (cls.__name__, ", ".join(missing)))
    names = set(field.name for field in dataclasses.fields(cls))
    return dict((name, value) for name, value in answer.items() if name in names)
