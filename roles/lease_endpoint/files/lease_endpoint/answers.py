# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the endpoint answers, for the OpenAPI document. At run time these cost nothing: the contract tests hold every answer to them.

Whoever adds a field to an answer adds it here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from lease_endpoint.bodies import Application, Name, Unit
from lease_endpoint.errors import LeaseError

Date = Annotated[float, Field(description="Unix time", examples=[1795851000.0])]
Left = Annotated[float, Field(description="Seconds from this answer; below zero when it has passed", examples=[42.5])]
Number = Annotated[int, Field(ge=0, examples=[4])]
Pinner = Annotated[str, Field(description="IDENTITY/RUN", examples=["control1/to-trixie"])]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Whoami(Answer):
    identity: Name
    scopes: list[Literal["read", "hold", "pin", "admin"]]
    applications: Annotated[Optional[list[str]], Field(description="Globs; null: all", examples=[["db*"]])]
    units: Annotated[Optional[dict[str, list[Unit]]], Field(description="Of a machine's token: what the machine hosts", examples=[{"db": ["db/0"]}])]


class LivingPin(Answer):
    pinner: Pinner
    run: Name
    identity: Name
    reason: str
    since: Date
    until: Date
    until_in: Left
    holder: Annotated[Optional[Unit], Field(description="As found when pinned")]
    term: Number
    session: Optional[Name]
    session_seen_in: Annotated[Optional[float], Field(description="Seconds since the session was heard; null when it has ended or there is none")]


class PinOf(LivingPin):
    application: Application


class Halt(Answer):
    since: Date
    reason: str
    pinner: Pinner


class HaltOf(Halt):
    application: Application


class Tombstone(Answer):
    application: Application
    pinner: Pinner
    lapsed_at: Date
    reason: str


class Handover(Answer):
    from_: Annotated[Unit, Field(alias="from")]
    until: Date
    until_in: Left


class Member(Answer):
    unit: str
    healthy: bool
    msg: str
    lag: Annotated[Optional[int], Field(description="Bytes behind the leader; null: not known, or no such thing")]


class Capabilities(BaseModel):
    """What a pin means here. Native leases can all of it."""

    model_config = ConfigDict(extra="allow")
    scope: Literal["lease", "cluster"]
    terms: bool
    reads_freeze: bool = True
    transfer: bool = True
    survives_holder_restart: bool = True
    notes: list[str] = []


class Freeze(Answer):
    """Of leadership that lives elsewhere: whether it is to be frozen, and whether that was read back."""

    provider: str
    wanted: bool
    confirmed: bool
    since: Date
    error: Optional[str]
    tries: Annotated[Number, Field(description="In vain, since the last success")]
    next_try_in: Optional[float]


class Lease(Answer):
    """Leadership of one application. Pinned means that it will not expire, not that its holder is well: look at overdue."""

    application: Application
    provider: Annotated[str, Field(examples=["native"])]
    holder: Annotated[Optional[Unit], Field(description="null: nobody holds it", examples=["db/0"])]
    last_holder: Optional[Unit]
    term: Number
    revision: Number
    duration: Annotated[Optional[float], Field(description="null where the leadership lives elsewhere", examples=[60.0])]
    expires_at: Optional[Date]
    expires_in: Optional[Left]
    renewed_at: Optional[Date]
    overdue: bool
    pinned: bool
    pins: list[LivingPin]
    halted: Optional[Halt]
    handover: Optional[Handover]
    units: list[Unit]
    members: Annotated[list[Member], Field(description="Where the leadership lives elsewhere: its members")] = []
    read_ago: Annotated[float, Field(ge=0, description="Seconds since it was read where it lives")] = 0.0
    capabilities: Optional[Capabilities] = None
    freeze: Optional[Freeze] = None


class Refusal(BaseModel):
    """Branch on kind, show msg. The other fields are there where they are known."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [
        {"kind": "pinned", "msg": "db is pinned by control1/to-trixie; wait for it or ask its owner", "pinners": ["control1/to-trixie"]}]})
    kind: str
    msg: Annotated[str, Field(min_length=1)]
    holder: Optional[Unit] = None
    term: Optional[Number] = None
    revision: Optional[Number] = None
    pinner: Optional[Pinner] = None
    pinners: Optional[list[Pinner]] = None
    session: Optional[Name] = None
    retry_in: Annotated[Optional[float], Field(ge=0)] = None


class LeaseAnswer(Answer):
    lease: Lease


class Unread(Refusal):
    application: Application


class Leases(Answer):
    leases: list[Lease]
    unknown: Annotated[list[Application], Field(description="Asked for, and never claimed by anybody")]
    unreadable: Annotated[list[Unread], Field(description="Lives elsewhere and could not be read, which says nothing of its leader")] = []


class Done(Answer):
    application: Application
    ok: Literal[True]
    changed: bool
    lease: Annotated[Optional[Lease], Field(description="null where it lives elsewhere and cannot be read now; then unreadable says why")]
    unreadable: Optional[Refusal] = None
    freeze: Optional[Freeze] = None


class Failed(Refusal):
    application: Application
    ok: Literal[False]


class Results(Answer):
    """One for each item, in their order. The items that worked are kept, whatever became of the others."""

    results: list[Annotated[Union[Done, Failed], Field(discriminator="ok")]]


class Pins(Answer):
    pins: list[PinOf]
    tombstones: list[Tombstone]
    halts: list[HaltOf]


class Entry(Answer):
    at: Date
    identity: str
    verb: Annotated[str, Field(examples=["pin"])]
    application: Application
    msg: str


class History(Answer):
    history: list[Entry]


class Health(BaseModel):
    model_config = ConfigDict(extra="allow")
    ok: Literal[True]


def _kinds() -> dict[int, list[str]]:
    """Kinds by HTTP status, as the errors themselves say. `invalid` and `not_durable` have more than one."""
    found: dict[int, list[str]] = {status: ["invalid"] for status in (400, 404, 405, 413, 422)}
    found[500] = ["not_durable"]
    for error in LeaseError.__subclasses__():
        found.setdefault(error.status, [])
        if error.kind not in found[error.status]:
            found[error.status].append(error.kind)
    return found


KINDS = _kinds()
REFUSALS = {
    status: create_model(f"Refusal{status}", __base__=Refusal, kind=(Literal[tuple(kinds)], ...))  # type: ignore[call-overload]
    for status, kinds in KINDS.items()
}
_MEANINGS = {
    400: "Malformed, or the header Lease-Protocol is missing", 401: "No valid token", 403: "A right is missing", 404: "No such path",
    405: "No such method here", 409: "Refused: the kind says why", 413: "The body is too large", 422: "The body or query says what it may not say",
    429: "Asked too often: wait retry_in seconds", 500: "Failed inside", 501: "This provider cannot", 503: "Shutting down: retry",
    504: "Could not find out, or the outcome is not known: read, act on nothing", 507: "The ledger or the audit log could not be written: nothing changed",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "enum": ["Bearer"]}}},
    405: {"Allow": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "retry_in, rounded up"}},
}


def responses(answer: Optional[type[BaseModel]], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route: its answer, and what it may refuse with."""
    found: dict[int | str, dict[str, Any]] = {200: {"model": answer, "description": "Done, or read"}}
    for status in statuses:
        found[status] = {"model": REFUSALS[status], "description": _MEANINGS.get(status, "Refused")}
        if status in _HEADERS:
            found[status]["headers"] = _HEADERS[status]
    return found


READING = (400, 401, 422, 429, 500, 503, 504, 507)
WRITING = (400, 401, 403, 409, 413, 422, 429, 500, 501, 503, 504, 507)
