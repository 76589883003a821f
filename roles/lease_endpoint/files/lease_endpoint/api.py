# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: routes and rights at the door. docs/lease_protocol.md is the page for people, answers.py and document.py make the one for programs.

No postponed annotations here: FastAPI reads those of the routes while they are made inside `create_app`.
"""

from contextlib import contextmanager
from typing import Annotated, Any, Iterator, Optional

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import Response

from lease_endpoint import answers, bodies, document, faults
from lease_endpoint.answers import READING, WRITING, responses
from lease_endpoint.audit import Audit, Silent, asking
from lease_endpoint.broker import Broker
from lease_endpoint.door import PROTOCOL, Bounded, Door
from lease_endpoint.events import Changes, stream
from lease_endpoint.faults import said
from lease_endpoint.limits import Limits
from lease_endpoint.metrics import Metrics
from lease_endpoint.page import routes as page
from lease_endpoint.pins import Wish
from lease_endpoint.rights import Caller
from lease_endpoint.tokens import Tokens


def create_app(broker: Broker, tokens: Tokens, changes: Changes, limits: Optional[Limits] = None, audit: Optional[Audit] = None) -> FastAPI:
    """The service over one broker. It holds no state of its own."""
    app = FastAPI(title="Lease endpoint", version=PROTOCOL, docs_url=None, redoc_url=None, redirect_slashes=False,
                  description="Who leads each application, and who has frozen that.")
    metrics = Metrics(broker)
    door, audit = Door(tokens, limits or Limits()), audit or Silent()
    faults.add(app, metrics, audit)
    app.add_middleware(Bounded)

    # These two wait for nothing, so they run in the loop; the routes below wait for the disk and run in worker threads.
    async def known(request: Request, bearer: document.Bearer) -> Caller:
        return door.known(request)

    async def asked(request: Request, bearer: document.Bearer, lease_protocol: Annotated[Optional[str], Header()] = None) -> Caller:
        door.spoken(lease_protocol)
        return await known(request, bearer)

    Asking = Annotated[Caller, Depends(asked)]

    @contextmanager
    def act(request: Request, caller: Caller, **what: Any) -> Iterator[None]:
        """What this request is about, for the audit log: for the lines of its changes, and for that of a refusal."""
        request.state.asked = {key: value for key, value in what.items() if value is not None}
        with asking(caller, **{key: value for key, value in what.items() if key != "application"}):
            yield

    def each(request: Request, caller: Caller, verb: str, results: list[dict[str, Any]]) -> Response:
        """The results of a call for many, of which any may have been refused."""
        for result in results:
            if not result["ok"]:
                metrics.refused(request.url.path, result["kind"])
                about = {key: value for key, value in request.state.asked.items() if key != "application"}
                audit.refused(verb, result["kind"], result["msg"], caller, application=result["application"], **about)
        return said({"results": results})

    @app.get("/v1/whoami", summary="Who am I, and what may I do?", responses=responses(answers.Whoami, *READING))
    async def whoami(caller: Asking) -> Response:
        return said(caller.as_dict())

    @app.get("/v1/leases", summary="Leadership of some or all applications", responses=responses(answers.Leases, *READING))
    def leases(caller: Asking, application: Annotated[Optional[list[bodies.Application]], Query(max_length=1000)] = None) -> Response:
        return said(broker.leases(application))

    @app.post("/v1/claim", summary="Take or keep the leadership", responses=responses(answers.LeaseAnswer, *WRITING))
    def claim(request: Request, caller: Asking, body: bodies.Claim) -> Response:
        with act(request, caller, application=body.application, holder=body.holder):
            caller.need_unit(body.application, body.holder)
            return said({"lease": broker.claim(caller, body.application, body.holder, body.duration)})

    @app.post("/v1/renew", summary="Keep the leadership", responses=responses(answers.LeaseAnswer, *WRITING))
    def renew(request: Request, caller: Asking, body: bodies.Renew) -> Response:
        with act(request, caller, application=body.application, holder=body.holder):
            caller.need_unit(body.application, body.holder)
            return said({"lease": broker.renew(caller, body.application, body.holder, body.term, body.duration)})

    @app.post("/v1/resign", summary="Give the leadership up", responses=responses(answers.LeaseAnswer, *WRITING))
    def resign(request: Request, caller: Asking, body: bodies.Resign) -> Response:
        with act(request, caller, application=body.application, holder=body.holder):
            caller.need_unit(body.application, body.holder)
            return said({"lease": broker.resign(caller, body.application, body.holder, body.term)})

    @app.post("/v1/transfer", summary="Hand the leadership to another unit", responses=responses(answers.LeaseAnswer, *WRITING))
    def transfer(request: Request, caller: Asking, body: bodies.Transfer) -> Response:
        with act(request, caller, application=body.application, to=body.to, run=body.run, reason=body.reason):
            caller.need_to_move(body.application)
            return said({"lease": broker.transfer(caller, body.application, body.to, body.reason, body.run, body.term, body.revision)})

    @app.post("/v1/pin", summary="Freeze the leadership of applications, or renew that", responses=responses(answers.Results, *WRITING))
    def pin(request: Request, caller: Asking, body: bodies.Pin) -> Response:
        wish = Wish(body.run, body.reason, body.duration, body.session, body.exclusive, body.allow_no_leader, body.session_over)
        with act(request, caller, run=body.run, reason=body.reason, session=body.session, duration=body.duration):
            return each(request, caller, "pin", broker.pin(caller, [item.model_dump() for item in body.items], wish))

    @app.post("/v1/unpin", summary="Thaw the leadership of applications", responses=responses(answers.Results, *WRITING))
    def unpin(request: Request, caller: Asking, body: bodies.Unpin) -> Response:
        pinner = body.pinner or f"{caller.identity}/{body.run}"
        with act(request, caller, pinner=pinner, reason=body.reason):
            return each(request, caller, "unpin", broker.unpin(caller, [item.model_dump() for item in body.items], pinner, body.reason or ""))

    @app.get("/v1/pins", summary="All pins, those that lapsed, and what that halted", responses=responses(answers.Pins, *READING))
    def pins(caller: Asking) -> Response:
        return said(broker.pins())

    @app.post("/v1/clear-halt", summary="Let applications be pinned again after a lapse", responses=responses(answers.Results, *WRITING))
    def clear_halt(request: Request, caller: Asking, body: bodies.ClearHalt) -> Response:
        with act(request, caller, reason=body.reason):
            return each(request, caller, "clear-halt", broker.clear_halt(caller, [item.model_dump() for item in body.items], body.reason))

    @app.get("/v1/history", summary="Who did what, newest first", responses=responses(answers.History, *READING))
    def history(caller: Asking, application: Optional[bodies.Application] = None,
                limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        return said({"history": broker.history(application, limit)})

    @app.get("/v1/events", summary="Server-sent events: the whole state, again after each change", response_class=Response,
             responses=document.text("text/event-stream", *READING))
    async def events(caller: Asking) -> Response:
        return stream(broker, changes)

    @app.get("/healthz", summary="Whether the ledger can be read", responses=responses(answers.Health, 500, 503, 504, 507))
    def healthz() -> Response:
        broker.settle()
        return said({"ok": True})

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses=document.text("text/plain", 401, 429, 500, 503, 504, 507))
    def figures(caller: Annotated[Caller, Depends(known)]) -> Response:
        return metrics.page()

    page.add(app)
    document.add(app)
    return app
