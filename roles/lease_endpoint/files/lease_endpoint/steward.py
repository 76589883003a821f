# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one that sees to freezes elsewhere: freezes what is wanted, tends what is frozen, thaws what nobody wants, until it succeeds.

It works from the ledger alone, so that after a crash it goes on where the endpoint ended. One thread looks; what takes time is done in
the wards, in many applications at once.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from concurrent.futures import Future
from typing import Optional

from lease_endpoint import foreign_pins
from lease_endpoint.broker import Broker
from lease_endpoint.errors import LeaseError
from lease_endpoint.records import Freeze
from lease_endpoint.wards import Ward

log = logging.getLogger("lease_endpoint")

LOOK = 0.5  # seconds between two looks at what is owed
OBSERVE = 5.0  # seconds between two readings of each application, for the page and the figures
TEND = 1.0  # the same while it is frozen: PostgreSQL that is down after a reboot waits for this, and where it leads so do all who write


class Steward(threading.Thread):
    """Runs until `stop()`. What cannot be done now is done at a later look; nothing is given up."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(name="steward", daemon=True)
        self._broker = broker
        self._end = threading.Event()
        self._at_work: dict[str, Future[None]] = {}
        self._observed: dict[str, float] = {}

    def run(self) -> None:
        if not self._broker.wards:
            return  # native applications only: there is nothing to see to
        complained = False
        while not self._end.wait(LOOK):
            try:
                self._look()
                complained = False
            except LeaseError as trouble:
                if not complained:
                    log.error("%s", trouble.msg)
                complained = True

    def _look(self) -> None:
        with self._broker.reading() as moment:
            freezes = {freeze.application: freeze for freeze in moment.book.freezes()}
            pinned = {pin.application for pin in moment.book.pins()}
        for application, ward in self._broker.wards.items():
            self._give_work(ward, freezes.get(application), application in pinned)

    def _give_work(self, ward: Ward, freeze: Optional[Freeze], pinned: bool) -> None:
        now = time.monotonic()
        running = self._at_work.get(ward.application)
        if running is not None and not running.done():
            return
        if freeze is not None and freeze.provider != ward.name:
            freeze, pinned = None, False  # said at the start and shown; it waits for its own provider
        owed = pinned if freeze is None else not (freeze.wanted and freeze.confirmed)
        if owed and ward.next_try <= now:
            if not ward.busy:
                self._at_work[ward.application] = ward.start(self._freeze if freeze is None or freeze.wanted else self._thaw)
        elif now - self._observed.get(ward.application, -OBSERVE) >= (OBSERVE if freeze is None else TEND):
            self._observed[ward.application] = now
            self._at_work[ward.application] = ward.start(self._observe if freeze is None or owed else self._tend)

    def _freeze(self, ward: Ward) -> None:
        """A freeze that was wanted when the endpoint ended, or that failed while an older pin wanted it."""
        with ward.turn(0.1):
            freeze = self._wanted(ward)
            if freeze is None or not freeze.wanted or freeze.confirmed:
                return
            try:
                under = ward.seen(ward.ask("freeze", json.loads(freeze.displaced)))
            except LeaseError as trouble:
                ward.failed()
                foreign_pins.tried(self._broker, ward, trouble)
                return
            with self._broker.writing() as moment:
                foreign_pins.confirm(moment, ward, under)

    def _wanted(self, ward: Ward) -> Optional[Freeze]:
        """The freeze in the ledger; pins from before this application got its provider are given one."""
        with self._broker.reading() as moment:
            freeze = foreign_pins.of_ward(moment, ward)
        if freeze is None:
            displaced = json.dumps(ward.ask("displaced"))
            with self._broker.writing() as moment:
                if moment.book.pins(ward.application):
                    freeze = Freeze(ward.application, ward.name, True, False, displaced, moment.wall)
                    moment.book.put(moment.lease(ward.application))
                    moment.book.put(freeze)
        return freeze

    def _thaw(self, ward: Ward) -> None:
        foreign_pins.thaw(self._broker, ward)

    def _tend(self, ward: Ward) -> None:
        """Keep alive what is frozen, freeze it again when somebody has thawed it, and tell when leadership moved all the same."""
        with ward.turn(0.1):
            with self._broker.reading() as moment:
                freeze = moment.book.freeze(ward.application)
            if freeze is None or not (freeze.wanted and freeze.confirmed):
                return
            displaced = json.loads(freeze.displaced)
            try:
                said = list(ward.ask("tend", displaced))
                read = ward.read()
                # A single leadership that nobody has cannot be frozen: tend freezes whoever comes.
                if read.frozen is False and (read.holder is not None or ward.provider.capabilities.scope == "cluster"):
                    read = ward.seen(ward.ask("freeze", displaced))
                    said.append(f"{ward.application} had been thawed by somebody else and is frozen again")
            except LeaseError as trouble:
                if freeze.error is None:
                    foreign_pins.tried(self._broker, ward, trouble)
                return
            with self._broker.reading() as moment:
                lease, freeze = moment.lease(ward.application), moment.book.freeze(ward.application)
            moved = (lease.holder, lease.term) != (read.holder, read.term)
            if freeze is None or not (said or moved or freeze.error or freeze.moving):
                return
            with self._broker.writing() as moment:
                for msg in said:
                    moment.say("endpoint", "tend", ward.application, msg)
                if moved:
                    moment.say("endpoint", "observe", ward.application,
                               f"{ward.application} went from {lease.holder or 'no leader'} (term {lease.term}) to "
                               f"{read.holder or 'no leader'} (term {read.term}) while frozen")
                foreign_pins.settle_handover(moment, ward, read)
                foreign_pins.confirm(moment, ward, read)

    def _observe(self, ward: Ward) -> None:
        before = ward.last
        try:
            ward.read()
        except LeaseError:
            pass  # it is remembered in the ward, and shown
        if (before.leadership, before.trouble and before.trouble.msg) != (ward.last.leadership, ward.last.trouble and ward.last.trouble.msg):
            self._broker.changed()

    def stop(self) -> None:
        self._end.set()
        if self.ident is not None:
            self.join()
