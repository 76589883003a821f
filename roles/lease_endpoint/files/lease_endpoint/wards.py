# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications whose leadership lives elsewhere, each in a ward of its own: a slow system holds up nobody but itself.

Nothing here is durable. What must survive is in the ledger, and nobody holds the ledger's lock while a system is asked.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, TypeVar

from lease_endpoint.errors import LeaseError, Unreachable
from lease_endpoint.providers import NATIVE
from lease_endpoint.providers.foreign import Foreign, Leadership
from lease_endpoint.records import Lease

log = logging.getLogger("lease_endpoint")
T = TypeVar("T")

PATIENCE = 50.0  # seconds until a caller is told that the outcome is not known; a provider's own deadlines are far below
THREADS = 16  # per application, at one time
WAITING = 24  # callers that wait for slow systems at one time: the endpoint has 40 threads for all requests
TOO_OLD = 30.0  # seconds after which a reading says nothing about now
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # between two tries of a freeze or thaw


@dataclass(frozen=True)
class Reading:
    """What was found out last, or why nothing was. `at` is monotonic time."""

    at: float
    leadership: Optional[Leadership] = None
    trouble: Optional[LeaseError] = None

    def known(self) -> Leadership:
        if self.leadership is None:
            raise self.trouble or Unreachable("it has not been asked yet")
        return self.leadership


class Ward:
    """One application with its provider."""

    def __init__(self, application: str, provider: Foreign) -> None:
        self.application, self.provider = application, provider
        self.last = Reading(time.monotonic(), None, Unreachable(f"{application} has not been asked yet; try again in a moment"))
        self._turn = threading.Lock()
        self._free = threading.Semaphore(THREADS)
        self.failures, self.next_try = 0, 0.0

    @property
    def name(self) -> str:
        return self.provider.name

    def capabilities(self) -> dict[str, Any]:
        return asdict(self.provider.capabilities)

    def start(self, work: Callable[[Ward], T]) -> Future[T]:
        """`work` in a thread of its own, a daemon: a system that hangs does not hold up the end of the endpoint."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work(self))
            except BaseException as trouble:
                future.set_exception(trouble)
            finally:
                self._free.release()

        if self._free.acquire(blocking=False):
            # The caller goes along, so that whatever is told of this work names him.
            threading.Thread(target=contextvars.copy_context().run, args=[run], name=f"ward-{self.application}", daemon=True).start()
        else:
            future.set_exception(Unreachable(f"{self.application}: {THREADS} calls already wait for it; try again in a moment"))
        return future

    def ask(self, verb: str, *words: Any) -> Any:
        """One call of the provider. A provider that breaks inside has found nothing out."""
        try:
            return getattr(self.provider, verb)(*words)
        except LeaseError:
            raise
        except Exception as trouble:
            log.exception("%s: %s of provider %s failed inside", self.application, verb, self.name)
            raise Unreachable(f"{self.application}: the provider {self.name} failed inside ({type(trouble).__name__}: {trouble}); "
                              "the endpoint's log says where") from trouble

    def read(self) -> Leadership:
        """Who leads now; remembered in `last`, also when it could not be found out."""
        try:
            self.last = Reading(time.monotonic(), self.ask("read"))
        except LeaseError as trouble:
            self.last = Reading(time.monotonic(), None, trouble)
        return self.last.known()

    def reading(self) -> Reading:
        """As `read`; what could not be found out is part of the answer."""
        try:
            self.read()
        except LeaseError:
            pass
        return self.last

    def recent(self) -> Reading:
        """What was read last, unless that is too long ago to say anything about now."""
        ago = time.monotonic() - self.last.at
        if self.last.leadership is None or ago < TOO_OLD:
            return self.last
        return Reading(self.last.at, None, Unreachable(f"{self.application} has not been read for {ago:.0f} s; try again in a moment"))

    def seen(self, leadership: Leadership) -> Leadership:
        """As `read`, when another call has answered it."""
        self.last = Reading(time.monotonic(), leadership)
        return leadership

    @contextmanager
    def turn(self, seconds: float = PATIENCE / 2) -> Iterator[None]:
        """Only one at a time changes something there. Never taken by one who has the ledger."""
        if not self._turn.acquire(timeout=seconds):
            raise Unreachable(f"{self.application}: another change of it has not ended in {seconds:.0f} s; read, then try again")
        try:
            yield
        finally:
            self._turn.release()

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    def failed(self) -> None:
        self.failures += 1
        self.next_try = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self.failures - 1))

    def succeeded(self) -> None:
        self.failures, self.next_try = 0, 0.0

    def next_try_in(self) -> float:
        return round(max(0.0, self.next_try - time.monotonic()), 3)

    def close(self) -> None:
        self.provider.close()


class Wards(dict[str, Ward]):
    """Ward by application."""

    def __init__(self, applications: Mapping[str, Foreign]) -> None:
        super().__init__((application, Ward(application, provider)) for application, provider in applications.items())
        self._waiting = threading.Semaphore(WAITING)

    def configured(self, lease: Lease) -> Lease:
        """The lease under the provider that is configured now. What was held under another one says nothing about this one."""
        ward = self.get(lease.application)
        provider = ward.name if ward else NATIVE.name
        if lease.provider == provider:
            return lease
        return replace(lease, provider=provider, holder=None, expires=None, handover_from=None, handover_until=None)

    def each(self, applications: Iterable[str], work: Callable[[Ward], T], patience: float = PATIENCE) -> dict[str, T | LeaseError]:
        """`work` in every ward at once; an error of it is the answer of that ward alone. Waits `patience` at most."""
        wanted = list(applications)
        if not wanted:
            return {}
        if not self._waiting.acquire(blocking=False):
            busy = Unreachable(f"{WAITING} callers already wait for slow systems; try again in a moment")
            return {application: busy for application in wanted}
        try:
            end = time.monotonic() + patience
            begun = {application: self[application].start(work) for application in wanted}
            return {application: self._outcome(application, future, end) for application, future in begun.items()}
        finally:
            self._waiting.release()

    @staticmethod
    def _outcome(application: str, future: Future[T], end: float) -> T | LeaseError:
        try:
            return future.result(max(0.0, end - time.monotonic()))
        except LeaseError as trouble:
            return trouble
        except TooLate:
            return Unreachable(f"{application}: no outcome in {PATIENCE:.0f} s; read it before you try again")

    def close(self) -> None:
        for ward in self.values():
            ward.close()
