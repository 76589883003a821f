# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens: one small file beside the ledger, written by the command line, read again by the endpoint when it has changed."""

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
from typing import Iterator, Optional, Sequence

from lease_endpoint.errors import Invalid, NotDurable, Unknown
from lease_endpoint.names import NAME, matches
from lease_endpoint.rights import SCOPES, Caller


@dataclass(frozen=True)
class Token:
    """What is kept of a token: never the secret."""

    id: str
    name: str
    hash: str
    scopes: list[str]
    applications: Optional[list[str]]
    created_at: float


def _digest(secret: str) -> str:
    # The secret is 256 random bits: a slow hash would protect nothing more, and every request pays it.
    return hashlib.sha256(secret.encode()).hexdigest()


def _rights(scopes: Sequence[str], applications: Optional[Sequence[str]]) -> tuple[list[str], Optional[list[str]]]:
    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong or not scopes:
        raise Invalid(f"a token needs scopes out of {', '.join(SCOPES)}" + (f", not {', '.join(wrong)}" if wrong else ""))
    return sorted(set(scopes), key=SCOPES.index), list(applications or []) or None


class Tokens:
    """The lookup goes by the public part of a token, the secret part is compared in constant time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[object, dict[str, Token]] = (None, {})

    def create(self, name: str, scopes: Sequence[str], applications: Optional[Sequence[str]] = None) -> str:
        """The new token; it cannot be shown again."""
        if not matches(NAME, name):
            raise Invalid(f"{name!r} is no name for a token: letters, digits and . _ : @ + - are allowed")
        rights = _rights(scopes, applications)
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._changing() as tokens:
            if any(token.name == name for token in tokens.values()):
                raise Invalid(f"there is a token {name} already; revoke it first or choose another name")
            tokens[token_id] = Token(token_id, name, _digest(secret), *rights, time.time())
        return f"lease_{token_id}_{secret}"

    def allow(self, name: str, scopes: Sequence[str], applications: Optional[Sequence[str]] = None) -> bool:
        """Give an existing token these rights instead of its own; whether that changed them."""
        wanted = _rights(scopes, applications)
        with self._changing() as tokens:
            found = next((token for token in tokens.values() if token.name == name), None)
            if found is None:
                raise Invalid(f"there is no token {name}; create it first")
            tokens[found.id] = replace(found, scopes=wanted[0], applications=wanted[1])
        return wanted != (found.scopes, found.applications)

    def revoke(self, name: str) -> bool:
        """Whether there was such a token. Its pins stay until their deadline."""
        with self._changing() as tokens:
            found = [token.id for token in tokens.values() if token.name == name]
            for token_id in found:
                del tokens[token_id]
        return bool(found)

    def listed(self) -> list[Token]:
        return sorted(self._all().values(), key=lambda token: token.name)

    def caller(self, authorization: Optional[str]) -> Caller:
        """Whose request this is, by its Authorization header."""
        scheme, _space, shown = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not shown:
            raise Unknown("no token: send the header Authorization: Bearer TOKEN")
        parts = shown.strip().split("_", 2)
        token = self._all().get(parts[1]) if len(parts) == 3 and parts[0] == "lease" else None
        if token is None or not hmac.compare_digest(_digest(parts[2]), token.hash):
            raise Unknown("this token is not known here: it was revoked, or belongs to another endpoint")
        return Caller(token.name, tuple(token.scopes), tuple(token.applications) if token.applications else None)

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
