# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: routes, rights at the door, and errors as bodies. docs/lease_protocol.md is the page for people.

No postponed annotations here: FastAPI reads those of the routes while they are made inside `create_app`.
"""

import logging
from typing import Annotated, Any, Optional

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from lease_endpoint import bodies
from lease_endpoint.broker import Broker
from lease_endpoint.errors import Invalid, LeaseError
from lease_endpoint.events import Changes, stream
from lease_endpoint.metrics import Metrics
from lease_endpoint.page import routes as page
from lease_endpoint.pins import Wish
from lease_endpoint.rights import Caller
from lease_endpoint.tokens import Tokens

log = logging.getLogger("lease_endpoint")

PROTOCOL = "1"


def create_app(broker: Broker, tokens: Tokens, changes: Changes) -> FastAPI:
    """The service over one broker. It holds no state of its own."""
    app = FastAPI(title="Lease endpoint", version=PROTOCOL, docs_url=None, redoc_url=None, redirect_slashes=False,
                  description="Who leads each application, and who has frozen that.")
    metrics = Metrics(broker)
    _errors(app, metrics)

    # Plain `def`: these wait for the disk, so they run in worker threads and never hold up the loop.
    def token(authorization: Annotated[Optional[str], Header()] = None) -> Caller:
        return tokens.caller(authorization)

    def protocol(lease_protocol: Annotated[Optional[str], Header()] = None) -> None:
        # A stray link or a followed redirect does not carry this header, so it can change nothing.
        if lease_protocol != PROTOCOL:
            raise Invalid(f"this is a lease endpoint: every call under /v1 carries the header Lease-Protocol: {PROTOCOL}")

    def door(_header: Annotated[None, Depends(protocol)], caller: Annotated[Caller, Depends(token)]) -> Caller:
        return caller

    Asking = Annotated[Caller, Depends(door)]

    @app.get("/v1/whoami", summary="Who am I, and what may I do?")
    def whoami(caller: Asking) -> dict[str, Any]:
        return caller.as_dict()

    @app.get("/v1/leases", summary="Leadership of some or all applications")
    def leases(caller: Asking, application: Annotated[Optional[list[bodies.Application]], Query()] = None) -> dict[str, Any]:
        return broker.leases(application)

    @app.post("/v1/claim", summary="Take or keep the leadership")
    def claim(caller: Asking, body: bodies.Claim) -> dict[str, Any]:
        return {"lease": broker.claim(caller, body.application, body.holder, body.duration)}

    @app.post("/v1/renew", summary="Keep the leadership")
    def renew(caller: Asking, body: bodies.Renew) -> dict[str, Any]:
        return {"lease": broker.renew(caller, body.application, body.holder, body.term, body.duration)}

    @app.post("/v1/resign", summary="Give the leadership up")
    def resign(caller: Asking, body: bodies.Resign) -> dict[str, Any]:
        return {"lease": broker.resign(caller, body.application, body.holder, body.term)}

    @app.post("/v1/transfer", summary="Hand the leadership to another unit")
    def transfer(caller: Asking, body: bodies.Transfer) -> dict[str, Any]:
        return {"lease": broker.transfer(caller, body.application, body.to, body.reason, body.run, body.term, body.revision)}

    @app.post("/v1/pin", summary="Freeze the leadership of applications, or renew that")
    def pin(caller: Asking, body: bodies.Pin) -> dict[str, Any]:
        wish = Wish(body.run, body.reason, body.duration, body.session, body.exclusive, body.allow_no_leader, body.session_over)
        return {"results": broker.pin(caller, [item.model_dump() for item in body.items], wish)}

    @app.post("/v1/unpin", summary="Thaw the leadership of applications")
    def unpin(caller: Asking, body: bodies.Unpin) -> dict[str, Any]:
        pinner = body.pinner or f"{caller.identity}/{body.run}"
        return {"results": broker.unpin(caller, [item.model_dump() for item in body.items], pinner, body.reason or "")}

    @app.get("/v1/pins", summary="All pins, those that lapsed, and what that halted")
    def pins(caller: Asking) -> dict[str, Any]:
        return broker.pins()

    @app.post("/v1/clear-halt", summary="Let applications be pinned again after a lapse")
    def clear_halt(caller: Asking, body: bodies.ClearHalt) -> dict[str, Any]:
        return {"results": broker.clear_halt(caller, [item.model_dump() for item in body.items], body.reason)}

    @app.get("/v1/history", summary="Who did what, newest first")
    def history(caller: Asking, application: Optional[bodies.Application] = None,
                limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"history": broker.history(application, limit)}

    @app.get("/v1/events", summary="Server-sent events: the whole state, again after each change", response_class=Response)
    async def events(caller: Asking) -> Response:
        return stream(broker, changes)

    @app.get("/healthz", summary="Whether the ledger can be read")
    def healthz() -> dict[str, Any]:
        broker.settle()
        return {"ok": True}

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    def figures(caller: Annotated[Caller, Depends(token)]) -> Response:
        return metrics.page()

    page.add(app)
    return app


def _errors(app: FastAPI, metrics: Metrics) -> None:
    """Everything that is not "yes" has a body with a kind and a sentence."""

    def answer(request: Request, refusal: LeaseError, status: Optional[int] = None, headers: Any = None) -> JSONResponse:
        route = request.scope.get("route")
        metrics.refused(getattr(route, "path", "none"), refusal.kind)
        return JSONResponse(refusal.body(), status or refusal.status, headers)

    @app.exception_handler(LeaseError)
    async def refused(request: Request, refusal: LeaseError) -> JSONResponse:
        return answer(request, refusal, headers={"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, trouble: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{'.'.join(str(part) for part in error['loc'] if part != 'body') or 'body'}: {error['msg']}" for error in trouble.errors())
        return answer(request, Invalid(said), 422)

    @app.exception_handler(HTTPException)
    async def nowhere(request: Request, trouble: HTTPException) -> JSONResponse:
        return answer(request, Invalid(f"{request.method} {request.url.path}: {trouble.detail}"), trouble.status_code, trouble.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, trouble: Exception) -> JSONResponse:
        # The transaction was rolled back by the exception, so "nothing changed" is true here as well.
        log.error("%s %s failed", request.method, request.url.path, exc_info=trouble)
        return JSONResponse({"kind": "not_durable", "msg": "the endpoint failed inside and changed nothing; its log says why"}, 500)
