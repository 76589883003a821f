# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document: what FastAPI cannot know of the routes."""

from __future__ import annotations

from typing import Annotated, Any, Optional

from fastapi import FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lease_endpoint.answers import responses
from lease_endpoint.door import PROTOCOL

# For the document alone: the door reads the header itself, so that every refusal has a body of ours.
Bearer = Annotated[
    Optional[HTTPAuthorizationCredentials],
    Security(HTTPBearer(scheme_name="token", description="A token of this endpoint: lease_ID_SECRET", auto_error=False)),
]


def text(media_type: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route whose answer is text and whose refusals are JSON."""
    found = responses(None, *statuses)
    found[200] = {"description": "Text", "content": {media_type: {"schema": {"type": "string"}}}}
    return found


def add(app: FastAPI) -> None:
    """The document of this app, made when it is first asked for."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _mended(get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes))
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]


def _mended(found: dict[str, Any]) -> dict[str, Any]:
    for operations in found["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                # A query can leave something out, but it cannot say null.
                said = [option for option in parameter["schema"].pop("anyOf", ()) if option != {"type": "null"}]
                parameter["schema"].update(*said)
                if parameter["name"] == "lease-protocol":
                    # Optional for FastAPI, so that its absence gets our own sentence.
                    parameter.update(required=True, schema={"type": "string", "enum": [PROTOCOL]},
                                     description="A stray link or a followed redirect does not carry it, so it can change nothing")
    for name in ("HTTPValidationError", "ValidationError"):
        found["components"]["schemas"].pop(name, None)
    return found
