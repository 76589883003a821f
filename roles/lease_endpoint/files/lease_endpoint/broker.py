# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of the endpoint. Each is one transaction: settle what is due, decide on what was read, write, build the answer, sync.

The answer is built inside the transaction, so that nobody is told of a state that is not on disk.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

from lease_endpoint import foreign_pins
from lease_endpoint import pins as pinning
from lease_endpoint.audit import Audit, Silent
from lease_endpoint.clock import Clock
from lease_endpoint.errors import LeaseError, NoActive, NoLeader, NotDurable, Pinned, Stopping, Unsupported
from lease_endpoint.ledger.sqlite import Book, Ledger
from lease_endpoint.providers import NATIVE
from lease_endpoint.providers.foreign import Foreign
from lease_endpoint.providers.native import names
from lease_endpoint.records import Entry, Lease
from lease_endpoint.rights import Caller
from lease_endpoint.views import View
from lease_endpoint.wards import Reading, Ward, Wards

log = logging.getLogger("lease_endpoint.audit")


class Moment:
    """One open transaction with its time. What is said here is told to the history and, once durable, to the log."""

    def __init__(self, book: Book, now: float, wall: float, wards: Wards) -> None:
        self.book, self.now, self.wall = book, now, round(wall, 3)
        self.wards = wards
        self.view = View(book, now, wall, wards)
        self.said: list[Entry] = []

    def say(self, identity: str, verb: str, application: str, msg: str) -> None:
        entry = Entry(self.wall, identity, verb, application, msg)
        self.book.put(entry)
        self.said.append(entry)

    def lease(self, application: str) -> Lease:
        """The lease, or the empty one that nobody has ever held. Its provider is the one that is configured now."""
        return self.wards.configured(self.book.lease(application) or Lease(application))

    def known_lease(self, application: str) -> Lease:
        if self.book.lease(application) is None:
            raise NoLeader(f"{application} is not known here: no unit has ever claimed it")
        return self.lease(application)

    def native_lease(self, application: str) -> Lease:
        """The lease, if units claim it here."""
        ward = self.wards.get(application)
        if ward is not None:
            raise Unsupported(f"{application} is led by {ward.name}: its units take part in the election there, not here", provider=ward.name)
        if self.book.freeze(application) is not None:
            raise Unsupported(foreign_pins.orphaned(self.book.freeze(application)))
        return self.lease(application)

    def result(self, application: str, changed: bool, reading: Optional[Reading] = None) -> dict[str, Any]:
        """One item that worked. Where its leadership cannot be read now, that is said in place of the lease."""
        answer = {"application": application, "ok": True, "changed": changed}
        try:
            return {**answer, "lease": self.view.lease(self.lease(application), reading)}
        except LeaseError as trouble:
            return {**answer, "lease": None, "unreadable": trouble.body(), "freeze": self.view.freeze(application)}


class Broker:
    """All verbs; safe to call from many threads. `changed` is called after each change that the status page shows."""

    def __init__(self, ledger: Ledger, clock: Clock, changed: Callable[[], None] = lambda: None, applications: Optional[Mapping[str, Foreign]] = None,
                 audit: Optional[Audit] = None) -> None:
        """`applications`: those whose leadership lives elsewhere. A Steward must run beside the broker of any."""
        self._ledger = ledger
        self._audit = audit or Silent()
        self.clock = clock
        self.changed = changed
        self.wards = Wards(applications or {})
        self._seen: dict[tuple[str, str], float] = {}  # when a unit last asked for the lease; only a transfer needs it, minutes suffice
        self.stopping = False
        self._resume()

    def _resume(self) -> None:
        """After an outage every holder has one full duration, and every pinner a moment: none of them could renew."""
        with self.writing(settle=False) as moment:
            for lease in moment.book.leases():
                if lease.provider == NATIVE.name and NATIVE.live(lease, moment.now):
                    moment.book.put(NATIVE.thaw(lease, moment.now))
            for pin in moment.book.pins():
                moment.book.put(pinning.after_outage(pin, moment.now))
            names_now = {application: ward.name for application, ward in self.wards.items()}
            lost = [freeze for freeze in moment.book.freezes() if names_now.get(freeze.application) != freeze.provider]
        for freeze in lost:
            logging.getLogger("lease_endpoint").error("%s", foreign_pins.orphaned(freeze))

    @contextmanager
    def writing(self, settle: bool = True) -> Iterator[Moment]:
        """One transaction; whatever takes time is done outside of it. What lapsed at its beginning stays lapsed when it is refused."""
        if self.stopping:
            raise Stopping("the endpoint is shutting down; try again in a moment")
        refusal: Optional[LeaseError] = None
        audited: list[Entry] = []
        try:
            with self._ledger.write() as book:
                moment = Moment(book, self.clock.now(), self.clock.wall(), self.wards)
                if settle:
                    pinning.lapse_due(moment)
                lapsed = list(moment.said)
                if lapsed:
                    book.mark()
                try:
                    yield moment
                except LeaseError as refused:
                    if not lapsed:
                        raise
                    # The refusal speaks of the state after the lapse, so that has to become durable with it.
                    book.back_to_mark()
                    moment.said, refusal = lapsed, refused
                book.save_time(moment.now)
                self._audit.commit(moment.said)
                audited = moment.said
        except (NotDurable, NoActive):
            self._audit.undone(audited)
            raise
        for entry in moment.said:
            log.info("%s %s: %s", entry.identity, entry.verb, entry.msg)
        self.changed()
        if refusal is not None:
            raise refusal

    @contextmanager
    def reading(self) -> Iterator[Moment]:
        """What is there at one moment; a pin past its deadline is never shown as living."""
        while True:
            with self._ledger.read() as book:
                now, deadline = self.clock.now(), book.next_deadline()
                if deadline is None or deadline > now or self.stopping:
                    yield Moment(book, now, self.clock.wall(), self.wards)
                    return
            self.settle()

    def settle(self) -> Optional[float]:
        """Let the pins lapse whose deadline has passed, durably. Answers the seconds until the next deadline, if there is one."""
        while True:
            with self._ledger.read() as book:
                now, deadline = self.clock.now(), book.next_deadline()
            if deadline is None or deadline > now or self.stopping:
                return None if deadline is None else max(0.0, deadline - now)
            with self.writing():
                pass

    def save_time(self) -> None:
        """Keep endpoint time, so that a crash gives back at most the seconds since the last call. Nothing runs down: nothing is written."""
        with self._ledger.write() as book:
            now = self.clock.now()
            if book.runs_down(now):
                book.save_time(now)

    # Leases

    def claim(self, caller: Caller, application: str, holder: str, duration: float) -> dict[str, Any]:
        caller.need_application("hold", application)
        if application in self.wards:
            with self.reading() as moment:
                moment.native_lease(application)
        self._seen[application, holder] = self.clock.now()
        self._note(application, holder)
        with self.writing() as moment:
            before, pins = moment.native_lease(application), moment.book.pins(application)
            after = NATIVE.claim(before, pins, holder, duration, moment.now, moment.wall)
            moment.book.put(after)
            if after.term != before.term:
                moment.say(caller.identity, "claim", application, f"{holder} leads {application}, term {after.term}")
            return moment.view.lease(after)

    def _note(self, application: str, unit: str) -> None:
        """Remember for good that this unit takes part in the election, also when it is about to be denied."""
        with self._ledger.read() as book:
            if unit in book.units(application):
                return
        with self.writing(settle=False) as moment:
            moment.book.note_unit(application, unit)

    def renew(self, caller: Caller, application: str, holder: str, term: int, duration: float) -> dict[str, Any]:
        caller.need_application("hold", application)
        with self.writing() as moment:
            before, pins = moment.native_lease(application), moment.book.pins(application)
            after = NATIVE.renew(before, pins, holder, term, duration, moment.now, moment.wall)
            moment.book.put(after)
            return moment.view.lease(after)

    def resign(self, caller: Caller, application: str, holder: str, term: int) -> dict[str, Any]:
        caller.need_application("hold", application)
        with self.writing() as moment:
            before, pins = moment.native_lease(application), moment.book.pins(application)
            after = NATIVE.resign(before, pins, holder, term, moment.now)
            moment.book.put(after)
            moment.say(caller.identity, "resign", application, f"{holder} gave up {application}, term {term}")
            return moment.view.lease(after)

    def leases(self, applications: Optional[Sequence[str]] = None) -> dict[str, Any]:
        """`unknown`: nobody has ever claimed it. `unreadable`: it lives elsewhere and could not be asked, which says nothing of its leader."""
        asked = self.wards.each([name for name in self.wards if applications is None or name in applications], Ward.reading)
        with self.reading() as moment:
            rows = [lease.application for lease in moment.book.leases()] if applications is None else None
            wanted = sorted({*rows, *self.wards}) if rows is not None else list(dict.fromkeys(applications or ()))
            answer: dict[str, Any] = {"leases": [], "unknown": [], "unreadable": []}
            for name in wanted:
                if name not in self.wards and rows is None and moment.book.lease(name) is None:
                    answer["unknown"].append(name)
                    continue
                try:
                    answer["leases"].append(moment.view.lease(moment.lease(name), asked.get(name)))
                except LeaseError as trouble:
                    answer["unreadable"].append({"application": name, **trouble.body()})
            return answer

    def transfer(self, caller: Caller, application: str, to: str, reason: str, run: Optional[str] = None,
                 term: Optional[int] = None, revision: Optional[int] = None) -> dict[str, Any]:
        """Leadership goes to `to` under a new term. While pinned only the one pinner that there is may do it; its pin goes along."""
        caller.need_application("pin", application)
        if application in self.wards:
            return self._in_wards([application], lambda ward: foreign_pins.transfer(self, ward, caller, to, reason, run, term, revision))[application]
        with self.writing() as moment:
            before, pins = moment.known_lease(application), moment.book.pins(application)
            pinning.decided_on(before, term, revision)
            own = f"{caller.identity}/{run}"
            others = [pin for pin in pins if pin.pinner != own]
            if others:
                raise Pinned(f"{application} is pinned by {', '.join(names(others))}: it stays with {before.holder}", pinners=names(others))
            if before.holder != to or not NATIVE.held(before, pins, moment.now):
                NATIVE.candidate(application, to, moment.book.units(application), self._seen.get((application, to)), moment.now, before.duration)
            after = NATIVE.transfer(before, pins, to, moment.now)
            if after != before:
                moment.book.put(after)
                for pin in pins:
                    moment.book.put(replace(pin, holder=after.holder, term=after.term))
                moment.say(caller.identity, "transfer", application, f"{application} goes from {before.holder} to {to}, term {after.term}: {reason}")
            return moment.view.lease(after)

    # Pins

    def pin(self, caller: Caller, items: Sequence[dict[str, Any]], wish: pinning.Wish) -> list[dict[str, Any]]:
        """Returns when the pins are durable. Repeating it renews them. Others' pins stay. What fails is named, the rest is kept."""
        caller.need("pin")
        later: dict[str, dict[str, Any]] = {}

        def now(moment: Moment, item: dict[str, Any]) -> Optional[bool]:
            application = item["application"]
            if application in self.wards and not foreign_pins.renewable(moment, caller, application, wish.run):
                later[application] = item
                return None
            return pinning.pin(moment, caller, item, wish)

        results = self._each(items, now)
        return self._merged(results, lambda ward: foreign_pins.pin(self, ward, caller, later[ward.application], wish))

    def unpin(self, caller: Caller, items: Sequence[dict[str, Any]], pinner: str, reason: str) -> list[dict[str, Any]]:
        """Removes this pinner's pins and no others. Another's pins need the right admin."""
        caller.need("pin" if pinner.partition("/")[0] == caller.identity else "admin")

        def now(moment: Moment, item: dict[str, Any]) -> Optional[bool]:
            return None if item["application"] in self.wards else pinning.unpin(moment, caller, item["application"], pinner, reason)

        return self._merged(self._each(items, now), lambda ward: foreign_pins.unpin(self, ward, caller, pinner, reason))

    def clear_halt(self, caller: Caller, items: Sequence[dict[str, Any]], reason: str) -> list[dict[str, Any]]:
        caller.need("admin")
        return self._each(items, lambda moment, item: pinning.clear_halt(moment, caller, item["application"], reason))

    def _merged(self, results: list[dict[str, Any]], work: Callable[[Ward], dict[str, Any]]) -> list[dict[str, Any]]:
        """The results, those of the wards filled in, all of them at once; the ledger's own are durable before the first is asked."""
        names_later = list(dict.fromkeys(result["application"] for result in results if not result.get("ok", True) and "kind" not in result))
        done = self.wards.each(names_later, work)
        return [result if result["application"] not in done else _item(result["application"], done[result["application"]]) for result in results]

    def _in_wards(self, applications: Sequence[str], work: Callable[[Ward], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        done = self.wards.each(applications, work)
        for outcome in done.values():
            if isinstance(outcome, LeaseError):
                raise outcome
        return done  # type: ignore[return-value]

    def _each(self, items: Sequence[dict[str, Any]], work: Callable[[Moment, dict[str, Any]], Optional[bool]]) -> list[dict[str, Any]]:
        """`work` raises before it writes, so a refused item leaves nothing behind in the transaction of the others. None: it comes later."""
        results: list[dict[str, Any]] = []
        with self.writing() as moment:
            for item in items:
                application = item["application"]
                try:
                    changed = work(moment, item)
                except LeaseError as refusal:
                    results.append({"application": application, "ok": False, **refusal.body()})
                else:
                    results.append({"application": application, "ok": False} if changed is None else moment.result(application, changed))
        return results

    def pins(self) -> dict[str, Any]:
        with self.reading() as moment:
            return moment.view.pins()

    def history(self, application: Optional[str], limit: int) -> list[dict[str, Any]]:
        with self.reading() as moment:
            return moment.view.history(application, limit)

    def everything(self) -> dict[str, Any]:
        with self.reading() as moment:
            return moment.view.everything()


def _item(application: str, outcome: dict[str, Any] | LeaseError) -> dict[str, Any]:
    return {"application": application, "ok": False, **outcome.body()} if isinstance(outcome, LeaseError) else outcome
