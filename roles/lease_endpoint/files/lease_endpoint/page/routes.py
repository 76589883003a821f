# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serving the page. It carries no data: its script asks for the token and reads /v1/events with it."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_FILES = {"/": ("index.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript"),
          "/icon.svg": ("icon.svg", "image/svg+xml")}


def add(app: FastAPI) -> None:
    for path, (name, kind) in _FILES.items():
        app.add_api_route(path, _sender(name, kind), include_in_schema=False, methods=["GET", "HEAD"])


def _sender(name: str, kind: str):  # type: ignore[no-untyped-def]
    async def send() -> FileResponse:
        return FileResponse(_HERE / name, media_type=kind, headers=_HEADERS)

    return send
