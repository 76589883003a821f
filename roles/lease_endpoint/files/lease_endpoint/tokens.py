# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens: one small file beside the ledger, written by the command line, read again by the endpoint when it has changed.

Several rows may have one name: one caller with several secrets, while a token is rotated. Rights belong to the name.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence

from lease_endpoint.errors import Invalid, NotDurable, Unknown
from lease_endpoint.names import APPLICATION, NAME, UNIT, matches
from lease_endpoint.rights import MACHINE_SCOPES, SCOPES, Caller


@dataclass(frozen=True)
class Token:
    """What is kept of a token: never the secret. Times are Unix time; `units` by application makes it a machine's."""

    id: str
    name: str
    hash: str
    scopes: list[str]
    applications: Optional[list[str]]
    created_at: float
    units: Optional[dict[str, list[str]]] = None
    expires_at: Optional[float] = None


@dataclass(frozen=True)
class Rights:
    """What a token may do. Raises Invalid for what cannot be meant."""

    scopes: Sequence[str]
    applications: Optional[Sequence[str]] = None
    units: Sequence[str] = ()

    def rows(self) -> dict[str, object]:
        """As a Token keeps them."""
        wrong = [scope for scope in self.scopes if scope not in SCOPES]
        if wrong or not self.scopes:
            raise Invalid(f"a token needs scopes out of {', '.join(SCOPES)}" + (f", not {', '.join(wrong)}" if wrong else ""))
        if self.units and self.applications:
            raise Invalid("a machine's token is for what its units belong to: give --unit or --application, not both")
        if self.units and not set(self.scopes) <= set(MACHINE_SCOPES):
            raise Invalid(f"a machine's token may have the scopes {', '.join(MACHINE_SCOPES)}; leave --unit out for an operator's")
        units: dict[str, list[str]] = {}
        for text in self.units:
            application, unit = hosted(text)
            units[application] = sorted({*units.get(application, []), unit})
        return {"scopes": sorted(set(self.scopes), key=SCOPES.index), "applications": list(self.applications or []) or None,
                "units": dict(sorted(units.items())) or None}


def hosted(text: str) -> tuple[str, str]:
    """Application and unit of `db/0` (the application is what stands before the slash) or `db=pg1` (where units have names of their own)."""
    application, equals, unit = text.partition("=")
    if not equals:
        application, unit = text.partition("/")[0], text
        if "/" not in text:
            raise Invalid(f"--unit {text}: of which application? Write APPLICATION/NUMBER, as db/0, or APPLICATION=UNIT, as db={text}")
    if not matches(APPLICATION, application) or not matches(UNIT, unit):
        raise Invalid(f"--unit {text}: write APPLICATION/NUMBER, as db/0, or APPLICATION=UNIT, as db=pg1")
    return application, unit


def shown(units: Optional[dict[str, list[str]]]) -> list[str]:
    """As `--unit` takes them."""
    return [unit if unit.startswith(application + "/") else f"{application}={unit}" for application, names in (units or {}).items() for unit in names]


def _digest(secret: str) -> str:
    # The secret is 256 random bits: a slow hash would protect nothing more, and every request pays it.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class Tokens:
    """The lookup goes by the public part of a token, the secret part is compared in constant time. `wall` tells Unix time."""

    def __init__(self, path: Path, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self._read: tuple[object, dict[str, Token]] = (None, {})

    def create(self, name: str, scopes: Sequence[str], applications: Optional[Sequence[str]] = None, units: Sequence[str] = (),
               lasts: Optional[float] = None) -> str:
        """The new token; it cannot be shown again. `lasts`: seconds from now until it is worthless, None for ever."""
        if not matches(NAME, name):
            raise Invalid(f"{name!r} is no name for a token: letters, digits and . _ : @ + - are allowed")
        rights = Rights(scopes, applications, units).rows()
        with self._changing() as tokens:
            if self._named(tokens, name):
                raise Invalid(f"there is a token {name} already; rotate it, or revoke it first, or choose another name")
            return self._add(tokens, name, rights, lasts)

    def rotate(self, name: str, overlap: float, lasts: Optional[float] = None) -> str:
        """A second secret for this caller. The present one stays good for `overlap` seconds more, never longer than it was to be.

        The new one lasts as long as the present one was made for, unless `lasts` says otherwise.
        """
        with self._changing() as tokens:
            present = self._named(tokens, name)
            if not present:
                raise Invalid(f"there is no token {name}; create it first")
            now, newest = self._wall(), present[-1]
            end = now + overlap
            for token in present:
                tokens[token.id] = replace(token, expires_at=end if token.expires_at is None else min(token.expires_at, end))
            if lasts is None and newest.expires_at is not None:
                lasts = newest.expires_at - newest.created_at
            return self._add(tokens, name, {"scopes": newest.scopes, "applications": newest.applications, "units": newest.units}, lasts)

    def allow(self, name: str, scopes: Sequence[str], applications: Optional[Sequence[str]] = None, units: Sequence[str] = ()) -> bool:
        """Give an existing caller these rights instead of its own; whether that changed them."""
        wanted = Rights(scopes, applications, units).rows()
        with self._changing() as tokens:
            found = self._named(tokens, name)
            if not found:
                raise Invalid(f"there is no token {name}; create it first")
            for token in found:
                tokens[token.id] = replace(token, **wanted)  # type: ignore[arg-type]
        return any(tokens[token.id] != token for token in found)

    def revoke(self, name: str) -> bool:
        """Whether there was such a token. All its secrets are worthless; its pins stay until their deadline."""
        with self._changing() as tokens:
            found = self._named(tokens, name)
            for token in found:
                del tokens[token.id]
        return bool(found)

    def listed(self) -> list[Token]:
        """By name; of one name, the oldest first."""
        return sorted(self._all().values(), key=lambda token: (token.name, token.created_at))

    def caller(self, authorization: Optional[str], address: str = "") -> Caller:
        """Whose request this is, by its Authorization header."""
        scheme, _space, shown_token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not shown_token:
            raise Unknown("no token: send the header Authorization: Bearer TOKEN")
        parts = shown_token.strip().split("_", 2)
        token = self._all().get(parts[1]) if len(parts) == 3 and parts[0] == "lease" else None
        if token is None or not hmac.compare_digest(_digest(parts[2]), token.hash):
            raise Unknown("this token is not known here: it was revoked, or belongs to another endpoint")
        if token.expires_at is not None and token.expires_at <= self._wall():
            raise Unknown(f"this token of {token.name} has expired; ask for the new one, or let an operator rotate it")
        units = None if token.units is None else {application: tuple(names) for application, names in token.units.items()}
        return Caller(token.name, tuple(token.scopes), tuple(token.applications) if token.applications else None, units, token.id, address)

    @staticmethod
    def _named(tokens: dict[str, Token], name: str) -> list[Token]:
        return sorted((token for token in tokens.values() if token.name == name), key=lambda token: token.created_at)

    def _add(self, tokens: dict[str, Token], name: str, rights: dict[str, object], lasts: Optional[float]) -> str:
        now = self._wall()
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        for token in self._named(tokens, name):  # what has been replaced and is worthless need not be kept
            if token.expires_at is not None and token.expires_at <= now:
                del tokens[token.id]
        tokens[token_id] = Token(id=token_id, name=name, hash=_digest(secret), created_at=now, expires_at=None if lasts is None else now + lasts,
                                 **rights)  # type: ignore[arg-type]
        return f"lease_{token_id}_{secret}"

    def _all(self) -> dict[str, Token]:
        """Every token; read anew only when the file is another one than last time (each change makes a new file)."""
        try:
            found = os.stat(self._path)
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._read[0] != mark:
                self._read = (mark, {row["id"]: Token(**row) for row in json.loads(self._path.read_text(encoding="utf-8"))})
            return self._read[1]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as cause:
            raise NotDurable(f"the tokens in {self._path} cannot be read: {cause}; put the file back from a copy") from cause

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        """The tokens, to be changed by one process at a time; written when the block is left without an error."""
        try:
            with open(os.open(self._path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                tokens = dict(self._all())
                yield tokens
                write_secret(self._path, json.dumps([asdict(token) for token in tokens.values()], indent=1) + "\n")
        except OSError as cause:
            raise NotDurable(f"the tokens in {self._path} cannot be written: {cause}") from cause


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner ever could read, on disk when this returns."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(new, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
