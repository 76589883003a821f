# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The other end of the control socket, on the machine itself."""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Dict, Optional

from . import protocol

Message = Dict[str, Any]


class NotThere(Exception):
    """No watcher answers at the socket."""


class Client:
    """One connection. Raises NotThere when it cannot be made or breaks; the request may or may not have been heard then."""

    def __init__(self, runtime_dir: str, timeout: float = 30) -> None:
        self._path = os.path.join(runtime_dir, protocol.SOCKET_NAME)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._rest = b""
        try:
            self._socket.connect(self._path)
        except OSError as problem:
            self._socket.close()
            raise NotThere("no watcher answers at {0}: {1}".format(self._path, problem))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, do: str, **arguments: Any) -> Message:
        """Send one request and read its answer."""
        self.send(dict({"do": do}, **{key: value for key, value in arguments.items() if value is not None}))
        return self.read()

    def send(self, request: Message) -> None:
        try:
            self._socket.sendall(protocol.encode(request))
        except OSError as problem:
            raise NotThere("the watcher does not hear: {0}".format(problem))

    def read(self, timeout: Optional[float] = None) -> Message:
        """The next message."""
        if timeout is not None:
            self._socket.settimeout(timeout)
        while b"\n" not in self._rest:
            try:
                data = self._socket.recv(65536)
            except OSError as problem:
                raise NotThere("the watcher does not answer: {0}".format(problem))
            if not data:
                raise NotThere("the watcher has closed the connection")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return protocol.parse(line)


def ask(runtime_dir: str, do: str, **arguments: Any) -> Message:
    """One request on a connection of its own."""
    with Client(runtime_dir) as client:
        return client.ask(do, **arguments)


def status(runtime_dir: str) -> Optional[Message]:
    """What the watcher says of itself; None when none answers."""
    try:
        return ask(runtime_dir, "status")
    except NotThere:
        return None


def await_status(runtime_dir: str, seconds: float) -> Optional[Message]:
    """The status of a watcher that is just starting; None when none answers in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = status(runtime_dir)
        if found is not None or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
