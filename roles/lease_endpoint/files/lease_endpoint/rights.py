# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking, and what that caller may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Mapping, Optional

from lease_endpoint.errors import Forbidden

SCOPES = ("read", "hold", "pin", "admin")
MACHINE_SCOPES = ("read", "hold", "pin")  # what a machine's token may have: an operator's rights reach beyond any machine


@dataclass(frozen=True)
class Caller:
    """The owner of a token. Reading is everybody's right; `admin` has all others; `applications` (globs) narrows hold, pin and admin.

    `units`, by application, makes it a machine's: it holds the leases as these units alone, and pins no other application.
    `token` is the public part of the token and `address` where the request came from; both are for the audit log.
    """

    identity: str
    scopes: tuple[str, ...]
    applications: Optional[tuple[str, ...]]
    units: Optional[Mapping[str, tuple[str, ...]]] = None
    token: str = field(default="", compare=False)
    address: str = field(default="", compare=False)

    def may(self, scope: str) -> bool:
        return scope in self.scopes or scope == "read" or "admin" in self.scopes

    def need(self, scope: str) -> None:
        if not self.may(scope):
            raise Forbidden(f"{self.identity} lacks the right {scope}; it has {', '.join(self.scopes)}")

    def need_application(self, scope: str, application: str) -> None:
        self.need(scope)
        if self.units is not None and application not in self.units:
            raise Forbidden(f"{self.identity} is a machine's token and may {scope} only what the machine hosts: {', '.join(self.units)}, not {application}")
        if self.applications is not None and not any(fnmatchcase(application, glob) for glob in self.applications):
            raise Forbidden(f"{self.identity} may {scope} only {', '.join(self.applications)}, not {application}")

    def need_unit(self, application: str, unit: str) -> None:
        """The right to speak as this unit in the election of this application."""
        self.need_application("hold", application)
        if self.units is not None and unit not in self.units[application]:
            raise Forbidden(f"{self.identity} is a machine's token and may hold {application} only as {', '.join(self.units[application])}, not as {unit}")

    def need_to_move(self, application: str) -> None:
        """The right to hand the leadership of this application to another unit."""
        self.need_application("pin", application)
        if self.units is not None:
            raise Forbidden(f"{self.identity} is a machine's token: it may resign {application} but not choose who leads next; use an operator's token")

    def as_dict(self) -> dict[str, object]:
        scopes = SCOPES if "admin" in self.scopes else sorted({"read", *self.scopes}, key=SCOPES.index)
        return {
            "identity": self.identity, "scopes": list(scopes), "applications": None if self.applications is None else list(self.applications),
            "units": None if self.units is None else {application: list(units) for application, units in self.units.items()},
        }
