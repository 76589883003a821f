# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state, told again after each change, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from typing import AsyncIterator, Optional

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from lease_endpoint.broker import Broker
from lease_endpoint.errors import LeaseError

PAUSE = 0.25  # busy elections renew many times a second; nobody reads faster than this
QUIET = 10.0  # without a change still something is sent: it shows that the line lives, and leases run out without any change


class Changes:
    """A counter that any thread may raise and that tasks of the loop wait for."""

    def __init__(self) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._wake = asyncio.Event()
        self.stopped = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def happened(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    def stop(self) -> None:
        self.stopped = True
        self.happened()

    def _ring(self) -> None:
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    async def next(self, timeout: float) -> None:
        wake = self._wake
        try:
            await asyncio.wait_for(wake.wait(), timeout)
        except asyncio.TimeoutError:
            pass


def stream(broker: Broker, changes: Changes) -> StreamingResponse:
    """Events `state` with everything the status page shows, `trouble` when the state could not be found out."""

    async def lines() -> AsyncIterator[str]:
        while not changes.stopped:
            # Listen before reading: a change that comes while the state is sent must not be missed.
            change = asyncio.ensure_future(changes.next(QUIET))
            try:
                state = await run_in_threadpool(broker.everything)
                yield f"event: state\ndata: {json.dumps(state)}\n\n"
            except LeaseError as trouble:
                yield f"event: trouble\ndata: {json.dumps(trouble.body())}\n\n"
            finally:
                if changes.stopped:
                    change.cancel()
            await asyncio.sleep(PAUSE)
            await change

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
