# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A websocket for a conversation in turns: the protocol is the library's, reading and writing happen in the caller's thread alone.

The library's own threaded client reads in one thread and writes in another, on one TLS connection; Python's ssl module crashes over that.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Optional

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri


class Gone(OSError):
    """The connection has ended. What was sent last may have arrived."""


class WebSocket:
    """Open until `close`. `end` is always a moment of time.monotonic().

    Raises Gone, TimeoutError when `end` has come, and at the beginning other OSErrors and the library's WebSocketException."""

    def __init__(self, url: str, context: Optional[ssl.SSLContext], server_name: Optional[str], largest: int, end: float) -> None:
        where = parse_uri(url)
        self._protocol = ClientProtocol(where, max_size=largest)
        self._socket = socket.create_connection((where.host, where.port), timeout=_left(end))
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._socket = context.wrap_socket(self._socket, server_hostname=server_name)
            self._protocol.send_request(self._protocol.connect())
            while self._protocol.state is State.CONNECTING:
                self._turn(end)
                if any(isinstance(event, Response) for event in self._protocol.events_received()):
                    break
            if self._protocol.handshake_exc is not None:
                raise self._protocol.handshake_exc
        except BaseException:
            self._socket.close()
            raise

    def send(self, text: str, end: float) -> None:
        self._open()
        self._protocol.send_text(text.encode())
        try:
            self._write(end)
        except TimeoutError:
            raise
        except OSError as trouble:
            raise Gone(str(trouble)) from trouble

    def receive(self, end: float) -> str:
        """The next message."""
        parts: list[bytes] = []
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                    parts.append(bytes(event.data))
                    if event.fin:
                        return b"".join(parts).decode()
            self._open()
            try:
                self._turn(end)
            except TimeoutError:
                raise
            except OSError as trouble:
                raise Gone(str(trouble)) from trouble

    def close(self) -> None:
        """At once: nobody waits for the other side."""
        try:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close()
                self._write(time.monotonic() + 0.5)
        except OSError:
            pass
        finally:
            self._socket.close()

    def _open(self) -> None:
        if self._protocol.state is not State.OPEN:
            raise Gone("it was closed")

    def _write(self, end: float) -> None:
        for data in self._protocol.data_to_send():
            self._socket.settimeout(_left(end))
            if data:
                self._socket.sendall(data)
            else:  # the protocol's word for "nothing more comes"
                self._socket.shutdown(socket.SHUT_WR)

    def _turn(self, end: float) -> None:
        """Write what is due, read what comes, and answer it where the protocol wants that (a ping, a close)."""
        self._write(end)
        self._socket.settimeout(_left(end))
        data = self._socket.recv(65536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        try:
            self._write(end)
        except OSError:
            if self._protocol.state is State.OPEN:
                raise


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
