# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking, and what that caller may do."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Optional, Sequence

from lease_endpoint.errors import Forbidden, Invalid, Unknown
from lease_endpoint.ledger.sqlite import Ledger
from lease_endpoint.names import NAME, matches

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


def _digest(secret: str) -> str:
    # The secret is 256 random bits: a slow hash would protect nothing more, and every request pays it.
    return hashlib.sha256(secret.encode()).hexdigest()


class Tokens:
    """The tokens of one ledger. Only their hashes are kept; the lookup goes by a public part, the secret part is compared in constant time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self, name: str, scopes: Sequence[str], applications: Optional[Sequence[str]] = None) -> str:
        """The new token; it cannot be shown again."""
        if not matches(NAME, name):
            raise Invalid(f"{name!r} is no name for a token: letters, digits and . _ : @ + - are allowed")
        wrong = [scope for scope in scopes if scope not in SCOPES]
        if wrong or not scopes:
            raise Invalid(f"a token needs scopes out of {', '.join(SCOPES)}" + (f", not {', '.join(wrong)}" if wrong else ""))
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        globs = None if not applications else json.dumps(list(applications))
        with self._ledger.write() as book:
            if any(row[0] == name for row in book.tokens()):
                raise Invalid(f"there is a token {name} already; revoke it first or choose another name")
            book.add_token(token_id, name, _digest(secret), json.dumps(sorted(set(scopes), key=SCOPES.index)), globs, time.time())
        return f"lease_{token_id}_{secret}"

    def revoke(self, name: str) -> bool:
        """Whether there was such a token. Its pins stay until their deadline."""
        with self._ledger.write() as book:
            return book.drop_token(name)

    def listed(self) -> list[dict[str, object]]:
        with self._ledger.read() as book:
            return [
                {"name": name, "scopes": json.loads(scopes), "applications": json.loads(globs) if globs else None, "created_at": created_at}
                for name, scopes, globs, created_at in book.tokens()
            ]

    def caller(self, authorization: Optional[str]) -> Caller:
        """Whose request this is, by its Authorization header."""
        scheme, _space, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unknown("no token: send the header Authorization: Bearer TOKEN")
        parts = token.strip().split("_", 2)
        row = None
        if len(parts) == 3 and parts[0] == "lease":
            with self._ledger.read() as book:
                row = book.token(parts[1])
        if row is None or not hmac.compare_digest(_digest(parts[2]), row[1]):
            raise Unknown("this token is not known here: it was revoked, or belongs to another endpoint")
        name, _hash, scopes, globs = row
        return Caller(name, tuple(json.loads(scopes)), tuple(json.loads(globs)) if globs else None)


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner ever could read."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(new, path)
