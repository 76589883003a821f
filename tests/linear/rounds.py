# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A round: clients at work, faults under them, and the verdict. One round is shorter than the durations its model takes for endless."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence

from tests.contract.endpoint import Endpoint, until
from tests.etcd import Etcd
from tests.linear.clients import Clients
from tests.linear.faults import Faults, Kinds, of_one, of_replicas
from tests.linear.mortals import Mortals
from tests.linear.wire import Wires
from tests.replicas import Replica, Replicas

OPTIONS = ("--limit-token", "off", "--audit-log", "off")
CLIENTS, LEASES = 12, 10
LONGEST = 240.0  # seconds; the model knows no expiry, and leases last 300


@dataclass
class Report:
    """One round: what was asked and told, what was done to them, and what is wrong."""

    operations: int
    known: int
    unknown: int
    seconds: float
    faults: dict[str, int]
    pins_lapsed: int
    longest_overdue: float
    checked_in: float
    wrong: list[str]

    def __str__(self) -> str:
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        verdict = "WRONG" if self.wrong else "linearizable"
        return (f"{self.operations} operations in {self.seconds:.0f} s ({self.unknown} of unknown outcome), faults: {done or 'none'}; {self.pins_lapsed} pins "
                f"lapsed, at most {self.longest_overdue:.1f} s after their deadline; checked in {self.checked_in:.1f} s: {verdict}")


def broken(bug: Optional[str]) -> tuple[str, ...]:
    return Endpoint.program if bug is None else (str(Path(__file__).with_name("broken.py")), bug)


@contextmanager
def replicated(directory: Path, count: int = 3, bug: Optional[str] = None) -> Iterator[tuple[Etcd, Replicas, Wires]]:
    """Three members and `count` replicas, of which the first reaches etcd, and is reached by the others, through wires."""
    wires = Wires()
    with Etcd(directory / "etcd", members=3) as etcd:
        replicas = Replicas(directory, etcd, count, OPTIONS)
        first = replicas.all[0]
        ways = [wires.lay(url) for url in etcd.endpoints]
        advertised = wires.lay(first.own_url)
        replicas.all[0] = Replica(first.directory, ways, int(first.own_url.rpartition(":")[2]), *OPTIONS, advertise=advertised)
        for replica in replicas.all:
            replica.program = broken(bug)
        try:
            with replicas:
                yield etcd, replicas, wires
        finally:
            wires.close()


@contextmanager
def single(directory: Path, bug: Optional[str] = None) -> Iterator[Endpoint]:
    """One endpoint over SQLite."""
    endpoint = Endpoint(directory, *OPTIONS)
    endpoint.program = broken(bug)
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()


def of_replicated(etcd: Etcd, replicas: Replicas, wires: Wires, name: str, most: int, seed: int, peace: float = 2.0, kinds: Sequence[str] = (),
                  longest: float = LONGEST) -> Report:
    """Until `most` operations and each kind of fault once (`kinds`, default all), but no longer than `longest` seconds."""
    found = of_replicas(etcd, replicas, wires, random.Random(seed))
    return _round([one.own_url for one in replicas.all], replicas.admin, name, most, seed, _faults(found, kinds, seed, peace), longest)


def of_single(endpoint: Endpoint, name: str, most: int, seed: int, peace: float = 2.0, kinds: Sequence[str] = (), longest: float = LONGEST) -> Report:
    found = of_one(endpoint, random.Random(seed))
    return _round([endpoint.url], endpoint.tokens["admin"], name, most, seed, _faults(found, kinds, seed, peace), longest)


def _faults(found: Kinds, kinds: Sequence[str], seed: int, peace: float) -> Faults:
    return Faults({kind: work for kind, work in found.items() if not kinds or kind in kinds}, seed, peace)


def _round(urls: Sequence[str], token: str, name: str, most: int, seed: int, faults: Faults, longest: float) -> Report:
    clients = Clients(urls, token, [f"{name}-{number}" for number in range(LEASES)], CLIENTS, seed)
    mortals = Mortals(urls, token, f"{name}-mortal", 3, seed)
    began = time.monotonic()
    mortals.start()
    clients.start(most, endless=True)
    faults.start()
    try:
        while time.monotonic() < began + longest and not (clients.enough() and faults.each_done()):
            time.sleep(0.1)
    finally:
        clients.halt.set()
        clients.join()
        faults.stop()
        mortals.stop()
    clients.last_look()
    seconds, checking = time.monotonic() - began, time.monotonic()
    wrong = clients.verdict() + mortals.verdict(clients.acknowledged)
    return Report(clients.known + clients.unknown, clients.known, clients.unknown, seconds, faults.done, mortals.lapsed, mortals.longest(),
                  time.monotonic() - checking, wrong)


def losing(kill: Callable[[], None], restart: Callable[[], None], urls: Sequence[str], token: str, name: str, seed: int) -> list[str]:
    """What is wrong after a few operations, a kill -9 right after the last answer, and a look: an endpoint that answers too early has lost some."""
    clients = Clients(urls, token, [f"{name}-0", f"{name}-1"], 3, seed)
    clients.run(60)
    kill()
    restart()
    clients.last_look()
    return clients.verdict()


def deposing(replicas: Replicas, name: str, seed: int, more: int = 0) -> list[str]:
    """What is wrong after the active one was stopped until another was active and had work, and is asked again: for `more` changes, then for what is there."""
    leases, urls = [f"{name}-0", f"{name}-1"], [one.own_url for one in replicas.all]
    clients = Clients(urls, replicas.admin, leases, 3, seed)
    clients.run(60)
    old = replicas.active()
    old.pause()
    others = [one for one in replicas.all if one is not old]
    until(lambda: any(one.state().get("active") for one in others), 30)
    Clients([one.own_url for one in others], replicas.admin, leases, 3, seed + 1, clients).run(60)
    old.resume()
    if more:
        Clients([old.own_url], replicas.admin, leases, 1, seed + 2, clients).run(more)
    clients.last_look()
    return clients.verdict()
