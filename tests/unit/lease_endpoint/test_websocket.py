# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The websocket of the endpoint against the library's own server."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus, WebSocketException

from lease_endpoint.providers._websocket import Gone, WebSocket


class Server:
    """Does what a message says."""

    async def _converse(self, socket):
        async for text in socket:
            if text == "fragments":
                await socket.send(["one ", "two ", "three"])
            elif text == "ping":
                await (await socket.ping())  # until it is answered
                await socket.send("answered")
            elif text == "large":
                await socket.send("x" * 3_000_000)
            elif text == "close":
                return
            elif text != "silence":
                await socket.send(text)

    async def _serve(self):
        self.end = asyncio.Event()
        async with serve(self._converse, "127.0.0.1", 0, process_request=self._request, close_timeout=0.2) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.listening.set()
            await self.end.wait()

    @staticmethod
    def _request(connection, request):
        return connection.respond(403, "no") if request.path == "/forbidden" else None

    def __enter__(self):
        self.listening, self.loop = threading.Event(), asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=[self._serve()])
        self.thread.start()
        assert self.listening.wait(10)
        return self

    def __exit__(self, *_error):
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join()
        self.loop.close()

    def open(self, path="/", largest=2**22):
        return WebSocket(f"ws://127.0.0.1:{self.port}{path}", None, None, largest, soon())


def soon(seconds=10.0):
    return time.monotonic() + seconds


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@pytest.fixture
def socket(server):
    opened = server.open()
    yield opened
    opened.close()


@pytest.mark.parametrize("said, heard", [("hello", "hello"), ("fragments", "one two three"), ("ping", "answered"), ("large", "x" * 3_000_000)])
def test_message_comes_back_whole(socket, said, heard):
    for _again in range(2):
        socket.send(said, soon())
        assert socket.receive(soon()) == heard


def test_silence_ends_at_the_given_moment(socket):
    socket.send("silence", soon())
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        socket.receive(soon(0.2))
    assert time.monotonic() - begun < 2


def test_closed_connection_is_gone(socket):
    socket.send("close", soon())
    with pytest.raises(Gone):
        socket.receive(soon())
    with pytest.raises(Gone):
        socket.send("hello", soon())


def test_message_beyond_the_limit_ends_the_connection(server):
    small = server.open(largest=1000)
    small.send("large", soon())
    with pytest.raises((Gone, WebSocketException)):
        small.receive(soon())
    small.close()


def test_refused_handshake_is_told(server):
    with pytest.raises(InvalidStatus) as refused:
        server.open("/forbidden")
    assert "403" in str(refused.value)


def test_nobody_there_is_an_os_error():
    with pytest.raises(OSError):
        WebSocket("ws://127.0.0.1:1/", None, None, 1000, soon())
