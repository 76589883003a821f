# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request to a replica that stands by, passed on to the active one: once, never further, and with the truth about what is not known."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any, Optional

import httpx

from lease_endpoint.errors import Invalid, LeaseError, NoActive, Unreachable, Unsure

PASSED_ON = b"lease-forwarded"  # a request that carries it is never passed on again, so there can be no loop
FROM = b"lease-forwarded-for"  # the caller's address, for the audit log
LARGEST = 4 << 20  # bytes of a body; a thousand applications are a tenth of that
# The longest answer is a pin that Juju takes its time for; callers have deadlines of their own.
TIMES = httpx.Timeout(connect=2.0, write=5.0, read=900.0, pool=2.0)
HOP = {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"host",
       b"content-length"}


class Forwarder:
    """`target` is the URL of the active replica; None while none is known."""

    def __init__(self, url: str, ca_file: Optional[Path] = None) -> None:
        """`url`: one's own, told to the active one. `ca_file`: who may vouch for it; default: those of the system."""
        self._url = url.encode()
        self.target: Optional[str] = None
        self.stopping = False
        try:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except (OSError, ssl.SSLError) as trouble:
            raise Invalid(f"cannot read certificates of the other replicas from {ca_file}: {trouble}") from trouble
        self._http = httpx.AsyncClient(verify=context, trust_env=False, timeout=TIMES, follow_redirects=False, limits=httpx.Limits(max_connections=None))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def sending(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._pass_on(scope, receive, sending)
        except LeaseError as trouble:
            if started:
                raise ConnectionError(trouble.msg) from trouble  # the server cuts the connection: the caller sees that it is not whole
            await self.tell(send, trouble.body(), trouble.status)

    @staticmethod
    async def tell(send: Any, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
        await send({"type": "http.response.start", "status": status, "headers": headers + ([(b"retry-after", b"1")] if status == 503 else [])})
        await send({"type": "http.response.body", "body": data})

    async def _pass_on(self, scope: Any, receive: Any, send: Any) -> None:
        target = self.target
        if self.stopping:
            raise NoActive("this replica is shutting down; ask another one")
        if any(name == PASSED_ON for name, _value in scope["headers"]):
            raise NoActive("the replica that was taken for the active one is not; nothing was changed, ask again in a moment")
        if target is None:
            raise NoActive("no replica is active at present; nothing was changed, ask again in a few seconds")
        body = await _body(receive)
        listening = asyncio.ensure_future(_gone(receive))
        pumping = asyncio.ensure_future(self._pump(self._request(scope, target, body), scope["method"], send))
        try:
            while not pumping.done():
                await asyncio.wait({pumping, listening}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() or self.stopping:
                    return
                if not pumping.done() and self.target != target:
                    raise _unknown(scope["method"], f"{target} is no longer the active one")
            await pumping
        finally:
            for task in (pumping, listening):
                task.cancel()
            await asyncio.gather(pumping, listening, return_exceptions=True)

    def _request(self, scope: Any, target: str, body: bytes) -> httpx.Request:
        headers = [(name, value) for name, value in scope["headers"] if name not in HOP and name != FROM]
        if not any(name == b"accept-encoding" for name, _value in headers):
            headers.append((b"accept-encoding", b"identity"))
        client = scope.get("client")
        headers += [(PASSED_ON, self._url), (FROM, (client[0] if client else "unknown").encode())]
        # raw_path is what the caller wrote, still quoted.
        path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        return self._http.build_request(scope["method"], httpx.URL(target.rstrip("/")).copy_with(raw_path=path), headers=headers, content=body)

    async def _pump(self, request: httpx.Request, method: str, send: Any) -> None:
        try:
            answer = await self._http.send(request, stream=True)
            try:
                headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in HOP or name.lower() == b"content-length"]
                await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
                async for part in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as trouble:
            where = f"{request.url.host}:{request.url.port}"
            raise NoActive(f"the active replica {where} takes no connection ({trouble}); nothing was changed, ask again in a few seconds") from trouble
        except httpx.HTTPError as trouble:
            raise _unknown(method, f"the active replica {request.url.host}:{request.url.port} broke off ({trouble or type(trouble).__name__})") from trouble


def _unknown(method: str, why: str) -> LeaseError:
    if method in ("GET", "HEAD"):
        return Unreachable(f"{why}; nothing is known, ask again")
    return Unsure(f"{why}; whether the change was made is not known: read, then decide anew")


async def _body(receive: Any) -> bytes:
    parts = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise NoActive("the caller went away")
        parts += message.get("body", b"")
        if len(parts) > LARGEST:
            raise Invalid(f"the body is longer than {LARGEST} bytes")
        if not message.get("more_body"):
            return parts


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
