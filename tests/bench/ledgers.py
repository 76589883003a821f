# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durable pins, unpins and renewals over both ledgers, beside plain puts to the same etcd on the same disk; and many leases that are renewed on time."""

from __future__ import annotations

import base64
import http.client
import json
import os
import pathlib
import sys
import threading
import time
import typing as t
from urllib.parse import urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "roles/lease_endpoint/files"))

from lease_endpoint.ledger import transfer
from lease_endpoint.ledger.sqlite import FORMAT
from lease_endpoint.ledger.store import Etcd as Where
from lease_endpoint.ledger.store import Store
from tests.bench.table import Table
from tests.contract.endpoint import Endpoint
from tests.etcd import Etcd
from tests.replicas import Replicas

OPTIONS = ("--limit-token", "off")  # the audit log is on, as for everybody
THREADS = 16
RENEW, PERIOD = 30.0, 20.0  # seconds between renewals of a lease, and of all pins by their one pinner


def measure(directory: pathlib.Path, quick: bool) -> Table:
    seconds, leases, pins, watched = (2.0, 500, 50, 8.0) if quick else (8.0, 10_000, 1_000, 90.0)
    table = Table("Durable requests by %d clients, and %d leases renewed every %.0f s with %d pins, over both ledgers" % (THREADS, leases, RENEW, pins))
    with Etcd(directory / "etcd", members=3) as etcd:
        endpoint = Endpoint(made(directory / "sqlite"), *OPTIONS)
        store = Store(Where(tuple(etcd.endpoints)))
        lines = ledger_of(leases)
        transfer.to_sqlite(lines, made(endpoint.directory / "data") / "ledger.sqlite")
        transfer.to_etcd(lines, store)
        endpoint.start()
        try:
            with Replicas(directory / "replicas", etcd, 2, OPTIONS) as replicas:
                active = replicas.active()
                ways = {"SQLite": (endpoint.url, endpoint.tokens["admin"], [endpoint.pid]),
                        "etcd ledger": (active.own_url, replicas.admin, [active.pid, *(member.pid for member in etcd.members)])}
                for verb in ("pin and unpin in turn", "renew"):
                    for name, (url, token, _pids) in ways.items():
                        rate(table, "%s, %s" % (verb, name), seconds, asking(url, token, verb))
                rate(table, "put of 500 bytes, etcd itself", seconds, putting(etcd.leader().url))
                for name, (url, token, pids) in ways.items():
                    watch(table, name, url, token, pids, leases, pins, watched)
        finally:
            endpoint.stop()
            store.close()
    table.notes = ["p99 of the requests by clients that ask as fast as they are answered; all three members of etcd, the endpoints and the clients",
                   "share these cores and one disk.",
                   "CPU of the etcd ledger: the active replica and the three members of etcd together; memory: the active replica."]
    return table


def made(path: pathlib.Path) -> pathlib.Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def ledger_of(leases: int) -> list[str]:
    """An export with so many held leases."""
    rows = [json.dumps({"application": name, "tables": {
        "lease": [{"application": name, "provider": "native", "holder": "u/0", "term": 1, "revision": 1, "duration": 300.0, "expires": 300.0}],
        "unit": [{"application": name, "unit": "u/0"}]}}) for name in ("db-%05d" % number for number in range(leases))]
    return [json.dumps({"ledger": transfer.VERSION, "format": FORMAT, "now": 1.0}), *rows, json.dumps({"end": leases + 1})]


def post(connection: http.client.HTTPConnection, path: str, body: t.Any, headers: t.Mapping[str, str]) -> t.Any:
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    refused = [result for result in told.get("results", ()) if not result["ok"]]
    assert answer.status == 200 and not refused, refused[:1] or told
    return told


Work = t.Callable[[http.client.HTTPConnection, int, int], None]


def asking(url: str, token: str, verb: str) -> tuple[str, Work]:
    """One request by client `number` on an application of its own, the `turn`th: a renewal, or a pin and an unpin in turn."""
    headers = {"Lease-Protocol": "1", "Content-Type": "application/json", "Authorization": "Bearer " + token}

    def work(connection: http.client.HTTPConnection, number: int, turn: int) -> None:
        name = "db-%05d" % number
        if verb == "renew":
            post(connection, "/v1/renew", {"application": name, "holder": "u/0", "term": 1, "duration": 60}, headers)
        elif turn % 2 == 0:  # every request changes something: what changes nothing costs no write
            post(connection, "/v1/pin", {"items": [{"application": name}], "run": "bench", "reason": "bench", "duration": 3600}, headers)
        else:
            post(connection, "/v1/unpin", {"items": [{"application": name}], "run": "bench"}, headers)

    return url, work


def putting(url: str) -> tuple[str, Work]:
    value = base64.b64encode(b"x" * 500).decode()

    def work(connection: http.client.HTTPConnection, number: int, turn: int) -> None:
        post(connection, "/v3/kv/put", {"key": base64.b64encode(b"/bench/%d" % number).decode(), "value": value}, {})

    return url, work


def rate(table: Table, what: str, seconds: float, how: tuple[str, Work]) -> None:
    url, work = how
    took: list[float] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        connection, turn = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30), 0
        while time.monotonic() < end:
            began = time.monotonic()
            work(connection, number, turn)
            took.append(time.monotonic() - began)
            turn += 1
        connection.close()

    together([lambda number=number: client(number) for number in range(THREADS)])
    table.add(what, len(took) / seconds, "/s")
    table.add(what + ": p99", p99(took) * 1000, "ms")


def watch(table: Table, name: str, url: str, token: str, pids: t.Sequence[int], leases: int, pins: int, seconds: float) -> None:
    """Everybody renews on time; how much that takes of the processor, and how late the answers come."""
    headers = {"Lease-Protocol": "1", "Content-Type": "application/json", "Authorization": "Bearer " + token}
    took: list[float] = []
    behind: list[float] = []
    start = time.monotonic() + 0.5
    workers = 8

    def holder(worker: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        for turn in range(worker, int(leases * seconds / RENEW), workers):
            due = start + turn * RENEW / leases
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            post(connection, "/v1/renew", {"application": "db-%05d" % (turn % leases), "holder": "u/0", "term": 1, "duration": 60}, headers)
            took.append(time.monotonic() - began)
            behind.append(began - due)
        connection.close()

    def pinner() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        items = [{"application": "db-%05d" % number} for number in range(pins)]
        while time.monotonic() < start + seconds:
            post(connection, "/v1/pin", {"items": items, "run": "many", "reason": "bench", "duration": 120}, headers)
            time.sleep(min(PERIOD, max(0.0, start + seconds - time.monotonic())))
        connection.close()

    before = cpu(pids)
    together([*(lambda worker=worker: holder(worker) for worker in range(workers)), pinner])
    table.add("many leases, %s: p99 of a renewal" % name, p99(took) * 1000, "ms ")
    table.add("many leases, %s: renewals begun late by, p99" % name, p99(behind) * 1000, "ms  ")
    table.add("many leases, %s: share of one core" % name, 100 * (cpu(pids) - before) / (time.monotonic() - start), "%")
    table.add("many leases, %s: memory" % name, memory(pids[0]), "MB")


def together(works: t.Sequence[t.Callable[[], None]]) -> None:
    failed: list[BaseException] = []

    def run(work: t.Callable[[], None]) -> None:
        try:
            work()
        except BaseException as trouble:
            failed.append(trouble)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def p99(took: t.Sequence[float]) -> float:
    return sorted(took)[max(0, int(len(took) * 0.99) - 1)]


def cpu(pids: t.Sequence[int]) -> float:
    """CPU seconds so far."""
    spent = 0
    for pid in pids:
        fields = pathlib.Path("/proc/%d/stat" % pid).read_text(encoding="ascii").rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Resident megabytes."""
    status = pathlib.Path("/proc/%d/status" % pid).read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
