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
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import uvicorn

from lease_endpoint import applications as applications_file
from lease_endpoint.api import create_app
from lease_endpoint.broker import Broker
from lease_endpoint.clock import Clock, rehearsed
from lease_endpoint.deadlines import Deadlines
from lease_endpoint.errors import Invalid
from lease_endpoint.events import Changes
from lease_endpoint.guards import Guards
from lease_endpoint.ledger import LEDGERS
from lease_endpoint.steward import Steward
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

    def __init__(self, config: uvicorn.Config, broker: Broker, changes: Changes, url: str) -> None:
        super().__init__(config)
        self._broker, self._changes, self._url = broker, changes, url

    async def startup(self, sockets: Optional[list[socket.socket]] = None) -> None:
        self._changes.attach(asyncio.get_running_loop())
        await super().startup(sockets)
        if not self.should_exit:
            print(self._url, flush=True)
            _tell_systemd("READY=1")

    def handle_exit(self, sig: int, frame: object) -> None:
        self._broker.stopping = True
        self._changes.stop()
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


def serve(directory: Path, address: Address, clock_file: Optional[Path] = None, applications: Optional[Path] = None, guards: Guards = Guards()) -> None:
    """Returns after SIGTERM or SIGINT. One process per data directory: two clocks on one ledger would not agree."""
    os.umask(0o077)
    elsewhere = applications_file.load(applications) if applications else {}
    limits = guards.limits()
    with open(data_dir(directory) / "lock", "a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as trouble:
            raise Invalid(f"another endpoint is already serving {directory}") from trouble
        ledger = LEDGERS["sqlite"](directory / LEDGER_FILE)
        with ledger.read() as book:
            start = book.time()
        clock = Clock(start, *rehearsed(clock_file)) if clock_file else Clock(start)
        changes = Changes()
        broker = Broker(ledger, clock, changes.happened, elsewhere)
        audit = guards.audit(directory)
        tokens = Tokens(directory / TOKENS_FILE, clock.wall)
        if not tokens.listed():
            write_secret(directory / ADMIN_FILE, tokens.create("admin", ["admin"]) + "\n")
            print(f"created the first token, with all rights: {directory / ADMIN_FILE}", file=sys.stderr, flush=True)
        listening = address.open()
        config = uvicorn.Config(
            create_app(broker, tokens, changes, limits, audit), log_level="warning", access_log=False, lifespan="off", server_header=False,
            proxy_headers=False,  # the audit log names who really connected, not what a header says
            ssl_certfile=address.cert, ssl_keyfile=address.key, timeout_graceful_shutdown=3, timeout_keep_alive=30)
        if address.cert:
            config.load()
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2  # type: ignore[union-attr]
        deadlines, steward = Deadlines(broker), Steward(broker)
        deadlines.start()
        steward.start()
        try:
            _Server(config, broker, changes, address.url(listening.getsockname()[1])).run([listening])
        finally:
            steward.stop()
            deadlines.stop()
            broker.wards.close()
            broker.save_time()
            ledger.close()
