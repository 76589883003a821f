# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with a Juju controller: JSON requests over a websocket, one at a time, after a login to one model."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from websockets.exceptions import WebSocketException

from lease_endpoint.errors import Unreachable
from lease_endpoint.providers._websocket import Gone, WebSocket

LARGEST = 256 * 2**20  # bytes of one answer: the status of a large model is tens of megabytes
CONNECT = 5.0  # seconds for one address
IDLE = 60.0  # seconds; controllers drop a connection that is silent for three minutes
CLAIMED = "3.6.0"  # our version at the first login. Controllers keep clients of another major version from most calls


class Said(Unreachable):
    """The controller answered with an error. `code` and `info` are Juju's; code is often empty."""

    def __init__(self, msg: str, reason: str, code: str = "", info: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(msg)
        self.reason, self.code, self.info = reason, code, dict(info or {})


class Controller:
    """Thread-safe; connects when it is asked for the first time, and again when a connection was lost. `timeout`: seconds for one call."""

    def __init__(self, endpoints: Sequence[str], model: str, user: str, password_file: str, ca_file: str, server_name: str, timeout: float) -> None:
        self._endpoints, self._model, self._user = [endpoint.rstrip("/") for endpoint in endpoints], model, user
        self._password_file, self._ca_file, self._server_name, self._timeout = password_file, ca_file, server_name, timeout
        self._turn = threading.Lock()
        self._socket: Optional[WebSocket] = None
        self._used, self._number, self._claimed = 0.0, 0, CLAIMED
        self.version = ""  # the controller's, known after the first call
        self.facades: dict[str, list[int]] = {}

    def close(self) -> None:
        with self._turn:
            self._drop()

    def greet(self) -> None:
        """Connect and log in unless that was done, so that `facades` and `version` are known."""
        with self._turn:
            self._ready(time.monotonic() + self._timeout)

    def call(self, facade: str, version: int, method: str, params: Mapping[str, Any], again: bool = False) -> dict[str, Any]:
        """The answer. Raises Said when the controller refuses, Unreachable when there is no answer: whether it was done is then not known.

        again: it only reads, and may be asked once more when a connection of earlier turns out to be gone."""
        request = {"type": facade, "version": version, "request": method, "params": params}
        with self._turn:
            end = time.monotonic() + self._timeout
            while True:
                earlier = self._socket
                self._ready(end)
                kept = self._socket is earlier
                try:
                    return self._exchange(request, end)
                except Said:
                    raise
                except (OSError, WebSocketException, ValueError) as trouble:
                    self._drop()
                    if not (again and kept and isinstance(trouble, Gone)):
                        raise self._silent(facade, method, trouble) from trouble

    @staticmethod
    def _silent(facade: str, method: str, trouble: Exception) -> Unreachable:
        return Unreachable(f"the Juju controller did not answer to {facade}.{method}: {_words(trouble)}; it will be asked again")

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ready(self, end: float) -> None:
        if self._socket is not None and time.monotonic() - self._used > IDLE:
            self._drop()  # rather than find out in the middle of a request that it was dropped
        if self._socket is not None:
            return
        troubles = []
        for endpoint in list(self._endpoints):
            try:
                self._open(endpoint, end)
            except (OSError, WebSocketException, ValueError) as trouble:
                self._drop()
                troubles.append(f"{endpoint}: {_words(trouble)}")
                continue
            except Unreachable:
                self._drop()
                raise
            self._endpoints = [endpoint, *(each for each in self._endpoints if each != endpoint)]
            return
        raise Unreachable(f"no Juju controller answers ({'; '.join(troubles)}); see to it or to the way there, then try again")

    def _open(self, endpoint: str, end: float) -> None:
        self._connect(endpoint, end)
        told = self._login(end)
        major = re.match(r"\d+", told.get("server-version", ""))
        if major and major[0] != self._claimed.partition(".")[0]:
            # As a client of its own major version we may do what its own client does.
            self._claimed = told["server-version"]
            self._drop()
            self._connect(endpoint, end)
            told = self._login(end)
        self.version = told.get("server-version", "unknown")
        self.facades = {facade["name"]: list(facade.get("versions", ())) for facade in told.get("facades", ())}

    def _connect(self, endpoint: str, end: float) -> None:
        context = None
        if endpoint.startswith("wss:"):
            try:
                context = ssl.create_default_context(cafile=self._ca_file)
            except (OSError, ssl.SSLError) as trouble:
                raise Unreachable(f"cannot use {self._ca_file} to verify the Juju controller: {trouble}") from trouble
        end = min(end, time.monotonic() + CONNECT)
        self._socket = WebSocket(f"{endpoint}/model/{self._model}/api", context, self._server_name if context else None, LARGEST, end)

    def _login(self, end: float) -> dict[str, Any]:
        try:
            password = Path(self._password_file).read_text(encoding="utf-8").strip()
        except OSError as trouble:
            raise Unreachable(f"cannot read the password of Juju's user {self._user} from {self._password_file}: {trouble.strerror}") from trouble
        asked = {"auth-tag": f"user-{self._user}", "credentials": password, "nonce": "", "macaroons": [], "user-data": "", "client-version": self._claimed}
        try:
            told = self._exchange({"type": "Admin", "version": 3, "request": "Login", "params": asked}, end)
        except Said as refused:
            if refused.code == "redirection required":
                servers = [f"{server['value']}:{server['port']}" for group in refused.info.get("servers", ()) for server in group]
                moved = f"the Juju model {self._model} has moved to another controller ({', '.join(servers)}); give that one's endpoints and ca_file"
                raise Unreachable(moved) from refused
            raise Unreachable(f"the Juju controller lets {self._user} not in: {refused.reason}; check user, password_file and the user's right on the model") \
                from refused
        if "discharge-required" in told or "bakery-discharge-required" in told:
            raise Unreachable(f"the Juju controller wants {self._user} to log in elsewhere (a macaroon); make a local user with a password for the endpoint")
        return told

    def _exchange(self, request: dict[str, Any], end: float) -> dict[str, Any]:
        self._number += 1
        socket, self._used = self._socket, time.monotonic()
        socket.send(json.dumps({"request-id": self._number, **request}), end)
        while True:
            told = json.loads(socket.receive(end))
            if told.get("request-id") == self._number:
                break
        raise_if_error(told.get("error"), told.get("error-code"), told.get("error-info"))
        return told.get("response") or {}


def raise_if_error(reason: Optional[str], code: Optional[str] = None, info: Optional[Mapping[str, Any]] = None) -> None:
    """Juju's errors come in two layers: of the call, and of one item in its result."""
    if reason:
        raise Said(f"the Juju controller refuses: {reason}", reason, code or "", info)


def _words(trouble: Exception) -> str:
    if isinstance(trouble, TimeoutError):
        return "no answer in time"
    if isinstance(trouble, Gone):
        return "it closed the connection"
    return str(trouble) or type(trouble).__name__
