# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real replicas of the endpoint over a real etcd: processes that can be killed, stopped and started, and one that stands for all of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Optional, Sequence

import pytest

from lease_endpoint.tokens import Tokens, write_secret
from tests.contract.endpoint import Answer, Endpoint, until
from tests.etcd import Etcd, free_ports

SEAT_TTL = 2  # seconds; short, so that tests need not wait long for another one


class Replica(Endpoint):
    """One of them. `etcd_endpoints`: by which ways it reaches etcd."""

    def __init__(self, directory: Path, etcd_endpoints: Sequence[str], port: int, *options: str, advertise: Optional[str] = None) -> None:
        self.own_url = f"http://127.0.0.1:{port}"
        super().__init__(directory, "--ledger", "etcd", "--etcd-endpoints", ",".join(etcd_endpoints), "--advertise-url", advertise or self.own_url,
                         "--seat-ttl", str(SEAT_TTL), *options)
        self._listen = f"127.0.0.1:{port}"
        (directory / "data").mkdir(parents=True, exist_ok=True)

    def state(self) -> dict[str, Any]:
        """What it says of itself: url, active, active_url; {} when it says nothing."""
        try:
            with urllib.request.urlopen(self.own_url + "/replica", timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return {}

    def _end(self, number: int) -> int:
        """A stop may have to wait for members that are down."""
        return super()._end(number, 30)

    @property
    def running(self) -> bool:
        return self._process is not None

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class Replicas:
    """`count` replicas with the same tokens; the first token is `admin`."""

    def __init__(self, directory: Path, etcd: Etcd, count: int = 2, options: Sequence[str] = ()) -> None:
        self.etcd = etcd
        first = Tokens(_made(directory / "r0/data") / "tokens.json")
        self.admin = first.create("admin", ["admin"])
        self.all = [Replica(directory / f"r{number}", etcd.endpoints, port, *options) for number, port in enumerate(free_ports(count))]
        for replica in self.all:
            if replica is not self.all[0]:
                shutil.copy(directory / "r0/data/tokens.json", replica.directory / "data/tokens.json")
            write_secret(replica.directory / "data/admin.token", self.admin + "\n")

    def __enter__(self) -> Replicas:
        try:
            for replica in self.all:
                replica.start()
            self.active()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        for replica in self.all:
            if replica.running:
                replica.resume()
                try:
                    replica.stop()
                except subprocess.TimeoutExpired:
                    pass  # it was killed for that

    def active(self, seconds: float = 20.0) -> Replica:
        """The one that says so, as soon as there is one."""
        return until(lambda: next((replica for replica in self.all if replica.running and replica.state().get("active")), None), seconds)

    def standby(self) -> Replica:
        """One that knows another to be the active one."""
        return until(lambda: next((one for one in self.all if one.running and not one.state().get("active", True) and one.state().get("active_url")), None), 20)


class ReplicatedEndpoint(Endpoint):
    """Two replicas as if they were one endpoint, for the contract: asked through the one that stands by, killed where it hurts."""

    ledger = "etcd"

    def __init__(self, directory: Path, etcd: Etcd) -> None:
        super().__init__(directory)
        self._replicas = Replicas(directory, etcd, 2)
        for replica in self._replicas.all:
            replica.clock_file = self.clock_file
            replica.options += ("--clock-file", str(self.clock_file))

    def start(self) -> None:
        for replica in self._replicas.all:
            if not replica.running:
                replica.start()
        self._replicas.active()
        self.url = self._replicas.standby().own_url
        self.tokens["admin"] = self._replicas.admin

    def kill(self) -> None:
        self._replicas.active().kill()

    def stop(self) -> int:
        return max(replica.stop() for replica in self._replicas.all)

    def limit_files_to(self, size: Optional[int]) -> None:
        pytest.skip("these replicas have no disk of their own; what they do without etcd is claimed in test_replicas.py")

    def token(self, name: str, *scopes: str, applications: tuple[str, ...] = (), units: tuple[str, ...] = ()) -> str:
        first, second = (replica.directory / "data/tokens.json" for replica in self._replicas.all)
        if name not in self.tokens:
            self.tokens[name] = Tokens(first).create(name, scopes, applications, units)
            write_secret(second, first.read_text(encoding="utf-8"))
        return self.tokens[name]

    def call(self, *args: Any, **more: Any) -> Answer:
        """Asks again when it is told to: nothing was changed, and in a moment another one is active."""
        end = time.monotonic() + 20
        while True:
            answer = super().call(*args, **more)
            if answer.kind != "stopping" or time.monotonic() > end:
                return answer
            time.sleep(0.1)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
