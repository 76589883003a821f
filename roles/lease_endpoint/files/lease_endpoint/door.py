# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in: who asks, from where, how often, and how much at once."""

from __future__ import annotations

import ipaddress
from typing import Optional

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lease_endpoint.errors import Invalid, Unknown
from lease_endpoint.limits import Limits
from lease_endpoint.rights import Caller
from lease_endpoint.tokens import Tokens

PROTOCOL = "1"
LARGEST = 1_000_000  # bytes of a body; a thousand items with the longest names need a third of it


class Door:
    """Checks a request before anything else is done for it. Reads the file of tokens when it has changed, else nothing: it may run in the loop."""

    def __init__(self, tokens: Tokens, limits: Limits) -> None:
        self._tokens, self._limits = tokens, limits

    def spoken(self, lease_protocol: Optional[str]) -> None:
        # A stray link or a followed redirect does not carry this header, so it can change nothing.
        if lease_protocol != PROTOCOL:
            raise Invalid(f"this is a lease endpoint: every call under /v1 carries the header Lease-Protocol: {PROTOCOL}")

    def known(self, request: Request) -> Caller:
        """The caller; also as `request.state.caller`, for who writes down refusals."""
        peer = request.client.host if request.client else ""
        request.state.address = address(peer, request.headers.get("lease-forwarded-for"))
        try:
            caller = self._tokens.caller(request.headers.get("authorization"), request.state.address)
        except Unknown:
            self._limits.failed(peer)
            raise
        request.state.caller = caller
        self._limits.asked(caller.identity)
        return caller


def address(peer: str, forwarded: Optional[str]) -> str:
    """`10.0.0.7`, or `10.0.0.9 via 10.0.0.7` when a replica at 10.0.0.7 says that it passes on what 10.0.0.9 asked. The peer alone is certain."""
    try:
        return f"{ipaddress.ip_address(forwarded or '')} via {peer}"
    except ValueError:
        return peer


class Bounded:
    """Reads no body that is larger than any request needs to be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST:
                raise HTTPException(413, f"a body has at most {LARGEST} bytes; name fewer items in one call")
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)
