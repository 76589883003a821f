# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: what a pinner may do, and what happens when it is not heard of until its deadline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

from lease_endpoint.errors import Halted, NoLeader, NotHeld, Pinned, Stale
from lease_endpoint.providers import NATIVE
from lease_endpoint.providers.foreign import Leadership
from lease_endpoint.providers.native import names
from lease_endpoint.records import Halt, Lease, Pin, Tombstone
from lease_endpoint.rights import Caller

if TYPE_CHECKING:
    from lease_endpoint.broker import Moment

SHORTEST, LONGEST = 5.0, 7 * 86400.0  # a pin is renewed every few seconds; a week covers an operator's own
SESSION_TTL = 60.0  # a controller speaks every 20 s while it lives; three silences mean it is gone


@dataclass(frozen=True)
class Wish:
    """What one pin request says for all its applications."""

    run: str
    reason: str
    duration: float
    session: Optional[str] = None
    exclusive: bool = False
    allow_no_leader: bool = False
    session_over: bool = False


def decided_on(lease: Lease, term: Optional[int], revision: Optional[int]) -> None:
    """Compare, then set: raises Stale when the caller decided on something older than `lease`."""
    for word, read, current in (("term", term, lease.term), ("revision", revision, lease.revision)):
        if read is not None and read != current:
            raise Stale(f"{lease.application} is at {word} {current}, you decided on {word} {read}; read it again", term=lease.term, revision=lease.revision)


def pin(moment: Moment, caller: Caller, item: dict[str, Any], wish: Wish, found: Optional[Leadership] = None) -> bool:
    """Whether the pin is new; an old one is renewed. Raises before anything is written. `found`: leadership that lives elsewhere."""
    application = item["application"]
    caller.need_application("pin", application)
    lease, pins = moment.lease(application), moment.book.pins(application)
    if found is not None:
        lease = replace(lease, holder=found.holder, term=found.term)
    decided_on(lease, item.get("term"), item.get("revision"))
    pinner = f"{caller.identity}/{wish.run}"
    own = next((pin for pin in pins if pin.pinner == pinner), None)
    if wish.exclusive:
        _alone(moment, application, pins, own, wish)
    until = moment.now + wish.duration
    seen = {"session": wish.session, "session_seen": moment.now} if wish.session else {}
    if wish.session_over:
        if own is None or own.session != wish.session:
            raise NotHeld(f"{application} has no pin of {pinner} that is driven by session {wish.session}")
        seen["session_seen"] = None  # the name stays: somebody drove this pin, and has ended in good order
    if own is not None:
        moment.book.put(replace(own, reason=wish.reason, duration=wish.duration, until=max(own.until, until), due=max(own.due or 0.0, until), **seen))
        return False

    halt = moment.book.halt(application)
    if halt is not None:
        raise Halted(f"{application} is halted since the pin of {halt.pinner} lapsed ({halt.reason}); a person must look and clear it", pinner=halt.pinner)
    live = found.holder is not None if found else NATIVE.live(lease, moment.now)
    if not live and not wish.allow_no_leader:
        if found is None and lease.holder is not None and pins:
            raise NoLeader(f"the leader of {application}, {lease.holder}, has not renewed in time; bring it back first")
        raise NoLeader(f"{application} has no leader at present; start its units first, then try again")
    holder = lease.holder if found or NATIVE.held(lease, pins, moment.now) else None
    moment.book.put(replace(lease, holder=holder, revision=lease.revision + 1))
    moment.book.put(Pin(application, pinner, caller.identity, wish.run, wish.reason, moment.wall, wish.duration, until, holder, lease.term,
                        due=until, **seen))
    moment.say(caller.identity, "pin", application, f"{pinner} pinned {application} with {holder or 'no leader'}, term {lease.term}: {wish.reason}")
    return True


def after_outage(pin: Pin, now: float) -> Pin:
    """A pinner has a moment to renew, since it could not meanwhile; counted from its deadline, so that many outages give one such moment."""
    moment = min(pin.duration, SESSION_TTL)
    due = pin.until if pin.due is None else pin.due
    return replace(pin, until=max(pin.until, min(now, due) + moment), due=due)


def _alone(moment: Moment, application: str, pins: list[Pin], own: Optional[Pin], wish: Wish) -> None:
    others = [pin for pin in pins if pin is not own]
    if others:
        raise Pinned(f"{application} is pinned by {', '.join(names(others))}; wait for it or ask its owner", pinners=names(others))
    if own is None or own.session is None or own.session == wish.session or own.session_seen is None:
        return
    silence = moment.now - own.session_seen
    if silence < SESSION_TTL:
        raise Pinned(
            f"run {own.run} on {application} is still driven by session {own.session}, heard {silence:.0f} s ago; "
            f"let it end, or stop it and try again {SESSION_TTL - silence:.0f} s from now", pinners=[own.pinner], session=own.session)


def unpin(moment: Moment, caller: Caller, application: str, pinner: str, reason: str) -> bool:
    """Whether there was such a pin. The last pin gives the holder one full duration from now."""
    caller.need_application("pin", application)
    found = next((pin for pin in moment.book.pins(application) if pin.pinner == pinner), None)
    if found is None:
        return False
    remove(moment, found)
    why = f": {reason}" if reason else ""
    moment.say(caller.identity, "unpin", application, f"{pinner} no longer pins {application}{why}")
    return True


def remove(moment: Moment, gone: Pin) -> None:
    """With the last pin the lease is free to run out again; where leadership lives elsewhere, a thaw is owed from this moment."""
    moment.book.drop_pin(gone)
    lease, freeze = moment.lease(gone.application), moment.book.freeze(gone.application)
    if not moment.book.pins(gone.application):
        if freeze is not None:
            moment.book.put(replace(freeze, wanted=False, confirmed=False, tries=0, error=None, moving=None))
        elif lease.provider == NATIVE.name:
            lease = NATIVE.thaw(lease, moment.now)
    moment.book.put(replace(lease, revision=lease.revision + 1))


def lapse_due(moment: Moment) -> None:
    """Every pin past its deadline is released as by unpin, leaves a tombstone, and halts its application."""
    for pin in moment.book.pins_due(moment.now):
        remove(moment, pin)
        moment.book.put(Tombstone(pin.application, pin.pinner, moment.wall, pin.reason))
        if moment.book.halt(pin.application) is None:
            moment.book.put(Halt(pin.application, moment.wall, pin.reason, pin.pinner))
        moment.say("endpoint", "lapse", pin.application,
                   f"the pin of {pin.pinner} on {pin.application} reached its deadline unrenewed; {pin.application} is halted")


def clear_halt(moment: Moment, caller: Caller, application: str, reason: str) -> bool:
    """Whether there was a halt."""
    caller.need_application("admin", application)
    if moment.book.halt(application) is None:
        return False
    moment.book.drop_halt(application)
    lease = moment.lease(application)
    moment.book.put(replace(lease, revision=lease.revision + 1))
    moment.say(caller.identity, "clear-halt", application, f"{application} is no longer halted: {reason}")
    return True
