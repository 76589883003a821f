# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One running endpoint: its files, its address, its end."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import os
import socket
import ssl
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

import uvicorn

from lease_endpoint import applications as applications_file
from lease_endpoint.clock import rehearsed
from lease_endpoint.errors import Invalid
from lease_endpoint.forward import Forwarder
from lease_endpoint.guards import Guards
from lease_endpoint.ledger import LEDGERS
from lease_endpoint.ledger.store import Etcd, Store
from lease_endpoint.replica import Replica
from lease_endpoint.seat import Seat
from lease_endpoint.service import Parts, Service
from lease_endpoint.tokens import Tokens, write_secret

log = logging.getLogger("lease_endpoint")

LEDGER_FILE = "ledger.sqlite"
TOKENS_FILE = "tokens.json"
ADMIN_FILE = "admin.token"


@dataclass(frozen=True)
class Address:
    """Where to listen, with TLS files unless it is loopback."""

    host: str
    port: int
    cert: Optional[Path] = None
    key: Optional[Path] = None

    @classmethod
    def parse(cls, listen: str, cert: Optional[Path], key: Optional[Path]) -> Address:
        host, colon, port = listen.rpartition(":")
        host = host.strip("[]")
        if not colon or not port.isdigit() or int(port) > 65535 or not host:
            raise Invalid(f"--listen {listen}: give HOST:PORT, for example 127.0.0.1:8470 or [::1]:8470")
        if (cert is None) != (key is None):
            raise Invalid("--tls-cert and --tls-key belong together: give both or none")
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback and cert is None:
            raise Invalid(f"{host} is no loopback address: tokens would cross the network in the clear. Give --tls-cert and --tls-key")
        return cls(host, int(port), cert, key)

    def open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self.host, self.port))
        except OSError as trouble:
            listening.close()
            raise Invalid(f"cannot listen on {self.host}:{self.port}: {trouble.strerror}") from trouble
        return listening

    def url(self, port: int) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.cert else 'http'}://{host}:{port}"


class _Server(uvicorn.Server):
    """Says one line when it listens; at a signal it refuses new writes and ends the open event streams first."""

    def __init__(self, config: uvicorn.Config, front: Service | Replica, url: str) -> None:
        super().__init__(config)
        self._front, self._url = front, url

    async def startup(self, sockets: Optional[list[socket.socket]] = None) -> None:
        self._front.attach(asyncio.get_running_loop())
        await super().startup(sockets)
        if not self.should_exit:
            self._front.start()
            print(self._url, flush=True)
            _tell_systemd("READY=1")

    def handle_exit(self, sig: int, frame: object) -> None:
        self._front.refuse()
        # Not uvicorn's own, which dies of the signal at the end: a stop that was asked for is a success.
        self.should_exit = True


def _tell_systemd(state: str) -> None:
    """So that `systemctl start` returns when requests are answered; without systemd nothing happens."""
    name = os.environ.get("NOTIFY_SOCKET")
    if name:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.connect("\0" + name[1:] if name.startswith("@") else name)
            told.send(state.encode())


def data_dir(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def open_tokens(path: Path) -> Tokens:
    """The tokens of a data directory, also while an endpoint serves it."""
    return Tokens(data_dir(path) / TOKENS_FILE)


@dataclass(frozen=True)
class Replicated:
    """This endpoint is one of several over a ledger in etcd. The others reach it at `url`; `ca_file` vouches for theirs."""

    etcd: Etcd
    url: str
    ca_file: Optional[Path] = None
    seat_ttl: int = 10

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise Invalid(f"--advertise-url {self.url}: give the URL at which the other replicas reach this one, for example https://leases-1:8470")
        if not 2 <= self.seat_ttl <= 60:
            raise Invalid(f"--seat-ttl {self.seat_ttl}: give 2 to 60 seconds")


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """One process per data directory: two clocks on one ledger would not agree."""
    with open(data_dir(directory) / "lock", "a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as trouble:
            raise Invalid(f"another endpoint is already serving {directory}") from trouble
        yield


def serve(directory: Path, address: Address, clock_file: Optional[Path] = None, applications: Optional[Path] = None, guards: Guards = Guards(),
          replicated: Optional[Replicated] = None) -> None:
    """Returns after SIGTERM or SIGINT."""
    os.umask(0o077)
    if applications:
        applications_file.load(applications)  # what is wrong in it is said before anything is opened
    limits = guards.limits()
    with only_one(directory):
        tokens = Tokens(directory / TOKENS_FILE, (rehearsed(clock_file)[1] if clock_file else time.time))
        ledger = None if replicated else LEDGERS["sqlite"](directory / LEDGER_FILE)
        parts = Parts(tokens, limits, guards.audit(directory), applications, clock_file)
        front = _replica(directory, replicated, parts) if replicated else Service(ledger, parts)
        if not tokens.listed():
            write_secret(directory / ADMIN_FILE, tokens.create("admin", ["admin"]) + "\n")
            print(f"created the first token, with all rights: {directory / ADMIN_FILE}", file=sys.stderr, flush=True)
        listening = address.open()
        config = uvicorn.Config(
            front.app, log_level="warning", access_log=False, lifespan="off", server_header=False,
            proxy_headers=False,  # the audit log names who really connected, not what a header says
            ssl_certfile=address.cert, ssl_keyfile=address.key, timeout_graceful_shutdown=3, timeout_keep_alive=30)
        if address.cert:
            config.load()
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2  # type: ignore[union-attr]
        try:
            _Server(config, front, address.url(listening.getsockname()[1])).run([listening])
        finally:
            front.stop()


def _replica(directory: Path, replicated: Replicated, parts: Parts) -> Replica:
    if not parts.tokens.listed():
        raise Invalid(f"there are no tokens in {directory / TOKENS_FILE}: the replicas share theirs; make one with `token create`, "
                      "then give every replica that file")
    store = Store(replicated.etcd)
    return Replica(store, Seat(store, replicated.url, replicated.seat_ttl), lambda ledger, loop: Service(ledger, parts, loop),
                   Forwarder(replicated.url, replicated.ca_file))
