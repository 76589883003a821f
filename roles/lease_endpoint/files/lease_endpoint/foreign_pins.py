# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins on leadership that lives elsewhere. Intent first, then the deed, then what was read under it; every step may be the last one.

    read the system -> ledger: pin and freeze wanted -> freeze there -> ledger: freeze confirmed, pin with the leader read under it

A crash before the deed leaves a wish, one after it an unconfirmed freeze: the steward does either again. Whoever asks there has the
ward's turn and never the ledger.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

from lease_endpoint import pins as pinning
from lease_endpoint.errors import LeaseError, NoLeader, NotHeld, Pinned, Stale, Unreachable, Unsupported
from lease_endpoint.providers.foreign import Leadership
from lease_endpoint.providers.native import names
from lease_endpoint.records import Freeze
from lease_endpoint.rights import Caller
from lease_endpoint.wards import Reading, Ward

if TYPE_CHECKING:
    from lease_endpoint.broker import Broker, Moment

HANDOVER = 120.0  # seconds for which a handover of unknown outcome may still turn out to be ours


def of_ward(moment: Moment, ward: Ward) -> Optional[Freeze]:
    """The freeze in the ledger. Raises when it was made by another provider: only that one knows what it displaced."""
    freeze = moment.book.freeze(ward.application)
    if freeze is not None and freeze.provider != ward.name:
        raise Unsupported(orphaned(freeze), provider=freeze.provider)
    return freeze


def orphaned(freeze: Freeze) -> str:
    return (f"{freeze.application} was frozen by the provider {freeze.provider}, which is not configured for it any more; "
            "put it back into the applications file until the thaw is done")


def renewable(moment: Moment, caller: Caller, application: str, run: str) -> bool:
    """Whether a pin of this pinner is there and its freeze confirmed, so that nobody need be asked."""
    freeze = moment.book.freeze(application)
    own = f"{caller.identity}/{run}"
    return freeze is not None and freeze.wanted and freeze.confirmed and any(pin.pinner == own for pin in moment.book.pins(application))


def pin(broker: Broker, ward: Ward, caller: Caller, item: dict[str, Any], wish: pinning.Wish) -> dict[str, Any]:
    """The result of one item. When it raises, nothing is pinned that was not, and a freeze that nobody wants is thawed."""
    caller.need_application("pin", ward.application)
    with ward.turn():
        found = ward.read()
        with broker.reading() as moment:
            known = of_ward(moment, ward)
        displaced = json.loads(known.displaced) if known else ward.ask("displaced")
        with broker.writing() as moment:
            new = pinning.pin(moment, caller, item, wish, found)
            freeze = moment.book.freeze(ward.application)
            if freeze is None or not freeze.wanted:
                moment.book.put(Freeze(ward.application, ward.name, True, False, json.dumps(displaced), moment.wall))
            elif freeze.confirmed and found.frozen is not False:
                return moment.result(ward.application, new)
        try:
            under = ward.seen(ward.ask("freeze", displaced))
            with broker.writing() as moment:
                pinner = f"{caller.identity}/{wish.run}"
                if not any(pin.pinner == pinner for pin in moment.book.pins(ward.application)):
                    raise NotHeld(f"{ward.application}: the pin of {pinner} was taken away while it was being frozen")
                if item.get("term") not in (None, under.term):
                    raise Stale(f"{ward.application} came to term {under.term} before it was frozen, you decided on term {item['term']}; read it again",
                                term=under.term)
                if under.holder is None and not wish.allow_no_leader:
                    raise NoLeader(f"{ward.application} lost its leader before it was frozen; start its units first, then try again")
                confirm(moment, ward, under)
                return moment.result(ward.application, new)
        except LeaseError as trouble:
            ward.failed()
            try:
                _give_up(broker, ward, f"{caller.identity}/{wish.run}" if new else None, trouble)
            except LeaseError as worse:
                raise Unreachable(f"{trouble.msg}; and that could not be noted ({worse.msg}): a pin may be left, and ends by its deadline") from trouble
            raise


def confirm(moment: Moment, ward: Ward, under: Leadership) -> None:
    """The freeze is in force: pins that waited for that get the leadership read under it. Pins of an earlier freeze keep theirs."""
    freeze = moment.book.freeze(ward.application)
    if freeze is None or not freeze.wanted:
        return
    ward.succeeded()
    if not freeze.confirmed:
        for pin in moment.book.pins(ward.application):
            moment.book.put(replace(pin, holder=under.holder, term=under.term))
        moment.say("endpoint", "freeze", ward.application, f"{ward.application} is frozen with {under.holder or 'no leader'}, term {under.term}")
    note(moment, ward, under)
    moment.book.put(replace(freeze, confirmed=True, tries=0, error=None))


def note(moment: Moment, ward: Ward, read: Leadership) -> None:
    """What the ledger remembers of the leadership, for the day when it cannot be read."""
    lease = moment.lease(ward.application)
    if (lease.holder, lease.term) != (read.holder, read.term):
        moment.book.put(replace(lease, holder=read.holder, term=read.term, revision=lease.revision + 1))


def _give_up(broker: Broker, ward: Ward, pinner: Optional[str], trouble: LeaseError) -> None:
    """Take the new pin away again; the steward thaws when it was the only one."""
    with broker.writing() as moment:
        freeze = moment.book.freeze(ward.application)
        gone = next((pin for pin in moment.book.pins(ward.application) if pin.pinner == pinner), None)
        if gone is not None:
            pinning.remove(moment, gone)
            moment.say("endpoint", "unpin", ward.application, f"{pinner} does not pin {ward.application} after all: {trouble.msg}")
            freeze = moment.book.freeze(ward.application)
        if freeze is not None:
            moment.book.put(replace(freeze, tries=freeze.tries + 1, error=trouble.msg))


def unpin(broker: Broker, ward: Ward, caller: Caller, pinner: str, reason: str) -> dict[str, Any]:
    """The result of one item. The pin is gone in any case; a thaw that does not succeed now is owed and shown."""
    caller.need_application("pin", ward.application)
    with broker.reading() as moment:
        there = any(pin.pinner == pinner for pin in moment.book.pins(ward.application))
    # Read while it is still frozen: only this proves that leadership stayed where it was.
    try:
        ward.read()
    except LeaseError:
        pass
    proof = ward.last
    if not there:
        with broker.reading() as moment:
            return moment.result(ward.application, False, proof)
    with broker.writing() as moment:
        changed = pinning.unpin(moment, caller, ward.application, pinner, reason)
        left = moment.book.pins(ward.application)
    if not left:
        try:
            thaw(broker, ward)
        except LeaseError:
            pass  # it is owed, and the answer shows it
    with broker.reading() as moment:
        return moment.result(ward.application, changed, proof)


def thaw(broker: Broker, ward: Ward) -> None:
    """Give back what the freeze has displaced, if nobody wants it any more; raises when that is still owed."""
    with ward.turn():
        with broker.reading() as moment:
            freeze = of_ward(moment, ward)
        if freeze is None or freeze.wanted:
            return
        try:
            ward.ask("thaw", json.loads(freeze.displaced))
        except LeaseError as trouble:
            ward.failed()
            tried(broker, ward, trouble)
            raise
        ward.succeeded()
        with broker.writing() as moment:
            moment.book.drop_freeze(ward.application)
            moment.say("endpoint", "thaw", ward.application, f"{ward.application} is no longer frozen")


def tried(broker: Broker, ward: Ward, trouble: LeaseError) -> None:
    """Count a try in vain where everybody can see it."""
    with broker.writing() as moment:
        freeze = moment.book.freeze(ward.application)
        if freeze is not None:
            if freeze.error is None:
                moment.say("endpoint", "trouble", ward.application,
                           f"{ward.application} could not be {'frozen' if freeze.wanted else 'thawed'} and will be tried again: {trouble.msg}")
            moment.book.put(replace(freeze, tries=freeze.tries + 1, error=trouble.msg))


def transfer(broker: Broker, ward: Ward, caller: Caller, to: str, reason: str, run: Optional[str],
             term: Optional[int], revision: Optional[int]) -> dict[str, Any]:
    """The lease after it. Intended first, so that a pin knows its own handover from somebody's after a crash."""
    caller.need_application("pin", ward.application)
    application = ward.application
    if not ward.provider.capabilities.transfer:
        raise Unsupported(f"{application} is led by {ward.name}, which cannot hand its leadership to a named unit")
    with ward.turn():
        before = ward.read()
        with broker.writing() as moment:
            own = f"{caller.identity}/{run}"
            lease, pins = replace(moment.lease(application), holder=before.holder, term=before.term), moment.book.pins(application)
            pinning.decided_on(lease, term, revision)
            others = [pin for pin in pins if pin.pinner != own]
            if others:
                raise Pinned(f"{application} is pinned by {', '.join(names(others))}: it stays with {before.holder}", pinners=names(others))
            if before.holder is None:
                raise NoLeader(f"{application} has no leader at present; start its units first, then try again")
            freeze = moment.book.freeze(application)
            if before.holder == to:
                settle_handover(moment, ward, before)
                return moment.view.lease(moment.lease(application), Reading(ward.last.at, before))
            if freeze is not None:
                moment.book.put(replace(freeze, moving=json.dumps({"to": to, "until": moment.now + HANDOVER})))
            moment.say(caller.identity, "transfer", application, f"{application} is to go from {before.holder} to {to}: {reason}")
        try:
            after = ward.seen(ward.ask("transfer", to, before.term))
        except Unreachable:
            raise  # it may have come to pass: the steward finds out
        except LeaseError:
            with broker.writing() as moment:
                freeze = moment.book.freeze(application)
                if freeze is not None:
                    moment.book.put(replace(freeze, moving=None))
            raise
        with broker.writing() as moment:
            settle_handover(moment, ward, after)
            moment.say(caller.identity, "transfer", application, f"{application} went from {before.holder} to {after.holder}, term {after.term}")
            return moment.view.lease(moment.lease(application), ward.last)


def settle_handover(moment: Moment, ward: Ward, read: Leadership) -> None:
    """When the handover that was begun under the freeze has come to pass, the pins go along with it."""
    freeze = moment.book.freeze(ward.application)
    if freeze is not None and freeze.moving is not None:
        begun = json.loads(freeze.moving)
        if read.holder == begun["to"]:
            for pin in moment.book.pins(ward.application):
                moment.book.put(replace(pin, holder=read.holder, term=read.term))
        if read.holder == begun["to"] or moment.now > begun["until"]:
            moment.book.put(replace(freeze, moving=None))
    note(moment, ward, read)
