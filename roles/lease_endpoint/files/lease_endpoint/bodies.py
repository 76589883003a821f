# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request may say. Anything else is refused as invalid."""

from __future__ import annotations

from typing import Annotated, Any, Optional

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lease_endpoint import names, pins
from lease_endpoint.providers import native

Application = Annotated[str, Field(pattern=f"^{names.APPLICATION}$", examples=["db"])]
Unit = Annotated[str, Field(pattern=f"^{names.UNIT}$", examples=["db/0"])]
Name = Annotated[str, Field(pattern=f"^{names.NAME}$")]
Reason = Annotated[str, Field(pattern=f"^{names.REASON}$", examples=["series upgrade to trixie"])]


def _number(found: Any) -> Any:
    """JSON has one kind of number: 4.0 is a whole one; true and "4" are none."""
    if isinstance(found, (bool, str)):
        raise ValueError("a number is wanted")
    return found


Term = Annotated[int, Field(ge=0), BeforeValidator(_number)]
# The bounds are the document's; the broker refuses with a sentence of its own.
Seconds = Annotated[
    float, Field(gt=0, allow_inf_nan=False, json_schema_extra={"minimum": native.SHORTEST, "maximum": native.LONGEST}), BeforeValidator(_number)]
Flag = Annotated[bool, Field(strict=True)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Claim(Body):
    application: Application
    holder: Unit
    duration: Seconds = 60.0


class Renew(Claim):
    term: Term


class Resign(Body):
    application: Application
    holder: Unit
    term: Term


class Transfer(Body):
    application: Application
    to: Unit
    reason: Reason
    run: Optional[Name] = None
    term: Optional[Term] = None
    revision: Optional[Term] = None


class PinItem(Body):
    application: Application
    term: Optional[Term] = None
    revision: Optional[Term] = None


class Item(Body):
    application: Application


class Pin(Body):
    model_config = ConfigDict(json_schema_extra={"anyOf": [
        {"properties": {"session_over": {"const": False}}},
        {"properties": {"session": {"type": "string"}}, "required": ["session"]},
    ]})
    items: Annotated[list[PinItem], Field(min_length=1, max_length=1000)]
    run: Name
    reason: Reason
    duration: Annotated[float, Field(ge=pins.SHORTEST, le=pins.LONGEST), BeforeValidator(_number)] = 3600.0
    session: Optional[Name] = None
    exclusive: Flag = False
    allow_no_leader: Flag = False
    session_over: Flag = False

    @model_validator(mode="after")
    def known_session(self) -> Pin:
        if self.session_over and self.session is None:
            raise ValueError("session_over says which session is over: give session as well")
        return self


class Unpin(Body):
    """Either `run`: the caller's own pins; or `pinner`, the full name of another's, with a reason."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [
        {"properties": {"run": {"type": "string"}, "pinner": {"type": "null"}}, "required": ["run"]},
        {"properties": {"pinner": {"type": "string"}, "run": {"type": "null"}, "reason": {"type": "string"}}, "required": ["pinner", "reason"]},
    ]})
    items: Annotated[list[Item], Field(min_length=1, max_length=1000)]
    run: Optional[Name] = None
    pinner: Optional[Annotated[str, Field(min_length=3, max_length=260)]] = None
    reason: Optional[Reason] = None

    @model_validator(mode="after")
    def one_of_two(self) -> Unpin:
        if (self.run is None) == (self.pinner is None):
            raise ValueError("give either run (your own pins) or pinner (another's)")
        if self.pinner is not None and self.reason is None:
            raise ValueError("removing another's pin needs a reason")
        return self


class ClearHalt(Body):
    items: Annotated[list[Item], Field(min_length=1, max_length=1000)]
    reason: Reason
