# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real `serve` process on a loopback port, with a clock that the test moves."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from lease_endpoint.tokens import Tokens
from tests.contract.truth import hold_to_the_document

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "roles/lease_endpoint/files"
HOLD = PACKAGE / "lease_endpoint/hold.py"
HEADERS = {"Lease-Protocol": "1", "Content-Type": "application/json"}


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LEASE_ENDPOINT_")}
    return {**kept, "PYTHONPATH": str(PACKAGE)}


def cli(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lease_endpoint", *words]
    return subprocess.run(argv, env=environment(), text=True, capture_output=True, timeout=30, check=False, **more)


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    body: Any

    @property
    def kind(self) -> Optional[str]:
        return self.body.get("kind")


def until(claim: Any, seconds: float = 10.0) -> Any:
    """The first true answer of `claim()`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        found = claim()
        if found:
            return found
        assert time.monotonic() < end, "not true within %s s" % seconds
        time.sleep(0.02)


class Endpoint:
    """Started, killed and started again on the same directory and port."""

    program: tuple[str, ...] = ("-m", "lease_endpoint")  # what Python runs; tests of tests put a broken one here

    def __init__(self, directory: Path, *options: str) -> None:
        """`options`: more of `serve`'s."""
        self.directory, self.options = directory, options
        self.clock_file = directory / "clock"
        self._offsets = [0.0, 0.0]
        self._process: Optional[subprocess.Popen[str]] = None
        self._listen = "127.0.0.1:0"
        self.url = ""
        self.tokens: dict[str, str] = {}
        self.said = directory / "said"

    def start(self) -> None:
        argv = [sys.executable, *self.program, "serve", "--data-dir", str(self.directory / "data"), "--listen", self._listen, *self.options]
        with open(self.said, "a", encoding="utf-8") as said:
            self._process = subprocess.Popen(argv + ["--clock-file", str(self.clock_file)], env=environment(), stdout=subprocess.PIPE, stderr=said, text=True)
        self.url = self._process.stdout.readline().strip()
        assert self.url, "serve did not start: " + self.said.read_text(encoding="utf-8")[-2000:]
        self._listen = self.url.partition("//")[2]
        self.tokens["admin"] = (self.directory / "data/admin.token").read_text(encoding="ascii").strip()

    def _end(self, number: int, patience: float = 10) -> int:
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(patience)
        finally:
            process.kill()
            process.stdout.close()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM) if self._process else 0

    def restart(self) -> None:
        self.kill()
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def limit_files_to(self, size: Optional[int]) -> None:
        """A full disk, for this process: no file can grow beyond `size` bytes. None: room again."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if size is None else size, resource.RLIM_INFINITY))

    def pass_time(self, seconds: float) -> None:
        """Endpoint time goes on by this much at once."""
        self._move(0, seconds)
        self._move(1, seconds)

    def step_wall_clock(self, seconds: float) -> None:
        self._move(1, seconds)

    def wall(self) -> float:
        """The wall clock as the endpoint reads it."""
        return time.time() + self._offsets[1]

    def _move(self, which: int, seconds: float) -> None:
        self._offsets[which] += seconds
        new = self.clock_file.with_suffix(".new")
        new.write_text("%r %r" % tuple(self._offsets), encoding="ascii")
        os.replace(new, self.clock_file)

    def token(self, name: str, *scopes: str, applications: tuple[str, ...] = (), units: tuple[str, ...] = ()) -> str:
        if name not in self.tokens:
            # As `token create` does, without its start-up time; test_serve.py tests the command.
            self.tokens[name] = Tokens(self.directory / "data/tokens.json").create(name, scopes, applications, units)
        return self.tokens[name]

    def call(self, method: str, path: str, body: Any = None, who: str = "admin", headers: Optional[dict[str, str]] = None) -> Answer:
        sent = dict(HEADERS if headers is None else headers)
        if who:
            sent["Authorization"] = "Bearer " + self.tokens[who]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                found = Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as refused:
            with refused:
                found = Answer(refused.code, json.load(refused))
        hold_to_the_document(path, found.status, found.body)
        return found

    def figures(self) -> str:
        """What Prometheus reads."""
        request = urllib.request.Request(self.url + "/metrics", headers={"Authorization": "Bearer " + self.tokens["admin"]})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    # Verbs, as short as tests want them

    def claim(self, application: str, holder: str, duration: float = 60, **more: Any) -> Answer:
        return self.call("POST", "/v1/claim", {"application": application, "holder": holder, "duration": duration}, **more)

    def renew(self, application: str, holder: str, term: int, duration: float = 60, **more: Any) -> Answer:
        return self.call("POST", "/v1/renew", {"application": application, "holder": holder, "term": term, "duration": duration}, **more)

    def resign(self, application: str, holder: str, term: int, **more: Any) -> Answer:
        return self.call("POST", "/v1/resign", {"application": application, "holder": holder, "term": term}, **more)

    def transfer(self, application: str, to: str, who: str = "admin", **more: Any) -> Answer:
        return self.call("POST", "/v1/transfer", {"application": application, "to": to, "reason": "test", **more}, who)

    def pin_all(self, items: list[dict[str, Any]], run: str = "r1", who: str = "admin", duration: float = 600, **more: Any) -> list[dict[str, Any]]:
        answer = self.call("POST", "/v1/pin", {"items": items, "run": run, "reason": "test", "duration": duration, **more}, who)
        assert answer.status == 200, answer
        return answer.body["results"]

    def pin(self, application: str, run: str = "r1", item: Optional[dict[str, Any]] = None, **more: Any) -> dict[str, Any]:
        return self.pin_all([{"application": application, **(item or {})}], run, **more)[0]

    def unpin(self, application: str, run: str = "r1", who: str = "admin") -> dict[str, Any]:
        answer = self.call("POST", "/v1/unpin", {"items": [{"application": application}], "run": run}, who)
        assert answer.status == 200, answer
        return answer.body["results"][0]

    def lease(self, application: str) -> dict[str, Any]:
        answer = self.call("GET", "/v1/leases?application=" + application)
        assert answer.status == 200, answer
        return answer.body["leases"][0]
