# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One of several endpoints over one ledger in etcd: it answers when it has the seat, and passes on to the one that has it when not."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from lease_endpoint.errors import LeaseError
from lease_endpoint.forward import Forwarder
from lease_endpoint.ledger.etcd import Ledger
from lease_endpoint.ledger.store import Store
from lease_endpoint.seat import Seat
from lease_endpoint.service import Service

log = logging.getLogger("lease_endpoint")

LOOK = 0.5  # seconds between two looks at the seat while standing by
REST = 3.0  # seconds before another try when the ledger could not be opened


class Replica(threading.Thread):
    """An ASGI application, and the thread that takes and keeps the seat. `open_service` makes the service of one tenure."""

    def __init__(self, store: Store, seat: Seat, open_service: Callable[[Ledger, asyncio.AbstractEventLoop], Service],
                 forwarder: Forwarder) -> None:
        super().__init__(name="seat", daemon=True)
        self._store, self._seat, self._open_service, self._forwarder = store, seat, open_service, forwarder
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._service: Optional[Service] = None
        self._ledger: Optional[Ledger] = None
        self._lost: Optional[str] = None
        self._kept = 0.0
        self._wake, self._end = threading.Event(), threading.Event()

    # Requests

    @property
    def app(self) -> Any:
        return self

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        service = self._service
        if scope["path"] == "/replica":
            await self._forwarder.tell(send, {"url": self._seat.url, "active": service is not None, "active_url": self.active_url})
        elif service is not None:
            await service.app(scope, receive, send)
        else:
            await self._forwarder(scope, receive, send)

    @property
    def active_url(self) -> Optional[str]:
        return self._seat.url if self._service is not None else self._forwarder.target

    # The seat

    def run(self) -> None:
        complained = ""
        while not self._end.is_set():
            try:
                wait = self._look()
                complained = ""
            except LeaseError as trouble:
                wait = LOOK
                if trouble.msg != complained:
                    log.error("%s", trouble.msg)
                complained = trouble.msg
            except Exception as trouble:
                log.error("the replica failed inside and gives up the seat", exc_info=trouble)
                self._step_down("it failed inside")
                wait = REST
            self._wake.wait(wait)
            self._wake.clear()
        self._step_down(None)

    def _look(self) -> float:
        """One step; answers the seconds until the next."""
        if self._service is not None:
            return self._stay()
        holder = self._seat.holder()
        if holder is None:
            return self._take()
        # One that had this address before is dead, or this process could not have it.
        # An import has none.
        self._forwarder.target = holder.url if holder.url and holder.url != self._seat.url else None
        return LOOK

    def _take(self) -> float:
        self._forwarder.target = None
        self._kept, self._lost = time.monotonic(), None
        revision = self._seat.take()
        if revision is None:
            return 0.05
        try:
            with self._keeping():
                self._ledger = Ledger(self._store, revision, self._has_lost)
                service = self._open_service(self._ledger, self._loop)
        except LeaseError as trouble:
            self._step_down(trouble.msg)
            raise
        service.start()
        self._service = service
        log.info("active: this replica has the seat")
        return 0.05

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """A large ledger takes longer to load than the seat lasts unheard."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(self._seat.ttl / 3):
                try:
                    self._seat.keep(self._seat.ttl / 3)
                except LeaseError:
                    pass  # whether it is lost says the ledger

        keeper = threading.Thread(target=keep, name="seat kept while loading", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _stay(self) -> float:
        if self._lost is None:
            try:
                if self._seat.keep(self._seat.ttl / 3):
                    self._kept = time.monotonic()
                else:
                    self._lost = "etcd has given its seat away"
            except LeaseError as trouble:
                if time.monotonic() - self._kept > self._seat.ttl:
                    self._lost = trouble.msg
        if self._lost is not None:
            self._step_down(self._lost)
            return 0.05
        return self._seat.ttl / 3

    def _has_lost(self, why: str) -> None:
        self._lost = why
        self._wake.set()

    def _step_down(self, why: Optional[str]) -> None:
        """`why`: None for a stop that was asked for."""
        service, self._service = self._service, None
        ledger, self._ledger = self._ledger, None  # without a service when that could not be opened
        if service is not None:
            service.refuse()
            service.stop()
            log.info("standing by: %s", why or "asked to stop")
        elif ledger is not None:
            ledger.close()
        self._seat.leave()

    def refuse(self) -> None:
        """No new requests; open event streams end."""
        self._forwarder.stopping = True
        if self._service is not None:
            self._service.refuse()

    def stop(self) -> None:
        """Leaves the seat to the others."""
        self._end.set()
        self._wake.set()
        if self.is_alive():
            self.join()
        self._store.close()
