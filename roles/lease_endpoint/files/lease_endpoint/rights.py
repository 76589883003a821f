# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking, and what that caller may do."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

from lease_endpoint.errors import Forbidden

SCOPES = ("read", "hold", "pin", "admin")


@dataclass(frozen=True)
class Caller:
    """The owner of a token. Reading is everybody's right; `admin` has all others; `applications` (globs) narrows hold, pin and admin."""

    identity: str
    scopes: tuple[str, ...]
    applications: Optional[tuple[str, ...]]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or scope == "read" or "admin" in self.scopes

    def need(self, scope: str) -> None:
        if not self.may(scope):
            raise Forbidden(f"{self.identity} lacks the right {scope}; it has {', '.join(self.scopes)}")

    def need_application(self, scope: str, application: str) -> None:
        self.need(scope)
        if self.applications is not None and not any(fnmatchcase(application, glob) for glob in self.applications):
            raise Forbidden(f"{self.identity} may {scope} only {', '.join(self.applications)}, not {application}")

    def as_dict(self) -> dict[str, object]:
        scopes = SCOPES if "admin" in self.scopes else sorted({"read", *self.scopes}, key=SCOPES.index)
        return {"identity": self.identity, "scopes": list(scopes), "applications": None if self.applications is None else list(self.applications)}
