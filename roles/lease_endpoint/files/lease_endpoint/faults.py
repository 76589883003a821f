# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is not "yes": a body with a kind and a sentence, a figure, and, where somebody was told no, a line in the audit log."""

from __future__ import annotations

import json
import logging
import math
from typing import Any, Mapping, Optional

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lease_endpoint.audit import Audit
from lease_endpoint.errors import Invalid, LeaseError
from lease_endpoint.metrics import Metrics

log = logging.getLogger("lease_endpoint")

GUARDED = ("pin", "unpin", "transfer", "clear-halt")  # of these every refusal is written down, of others those for want of a right


def said(content: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Response:
    """JSON in plain ASCII: whatever a name or a path holds, it can be sent."""
    return Response(json.dumps(content, separators=(",", ":")).encode("ascii"), status, headers, "application/json")


def add(app: FastAPI, metrics: Metrics, audit: Audit) -> None:

    def answer(request: Request, refusal: LeaseError, status: Optional[int] = None, headers: Optional[Mapping[str, str]] = None) -> Response:
        path = getattr(request.scope.get("route"), "path", "none")
        metrics.refused(path, refusal.kind)
        verb = path.rpartition("/")[2]
        if refusal.kind in ("forbidden", "too_many") or verb in GUARDED and refusal.kind != "invalid":
            caller = getattr(request.state, "caller", None)
            address = {} if caller else {"address": getattr(request.state, "address", "")}
            audit.refused(verb, refusal.kind, refusal.msg, caller, **address, **getattr(request.state, "asked", {}))
        return said(refusal.body(), status or refusal.status, headers)

    @app.exception_handler(LeaseError)
    async def refused(request: Request, refusal: LeaseError) -> Response:
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
        if "retry_in" in refusal.more:
            headers["Retry-After"] = str(math.ceil(refusal.more["retry_in"]))
        return answer(request, refusal, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, trouble: RequestValidationError) -> Response:
        found = "; ".join(f"{'.'.join(str(part) for part in error['loc'] if part != 'body') or 'body'}: {error['msg']}" for error in trouble.errors())
        return answer(request, Invalid(found), 422)

    @app.exception_handler(HTTPException)
    async def nowhere(request: Request, trouble: HTTPException) -> Response:
        return answer(request, Invalid(f"{request.method} {request.url.path}: {trouble.detail}"), trouble.status_code, trouble.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, trouble: Exception) -> Response:
        # The transaction was rolled back by the exception, so "nothing changed" is true here as well.
        log.error("%s %s failed", request.method, request.url.path, exc_info=trouble)
        return said({"kind": "not_durable", "msg": "the endpoint failed inside and changed nothing; its log says why"}, 500)
