# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wires that can be cut: TCP connections through them hang when they are, as when a network drops every packet."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from urllib.parse import urlsplit


class Wires:
    """All in one thread. `lay(url)` gives the URL by which the other end is reached through a wire; `cut` holds for all of them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._thread.start()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def lay(self, url: str, listen: int = 0) -> str:
        parts = urlsplit(url)

        async def begin() -> int:
            server = await asyncio.start_server(lambda reader, writer: self._join(reader, writer, parts.hostname, parts.port), "127.0.0.1", listen)
            return server.sockets[0].getsockname()[1]

        return f"{parts.scheme}://127.0.0.1:{self._do(begin())}"

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._open.clear)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        self.mend()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
