# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The REST interface of a Patroni cluster: every member asked itself, all at once. It knows JSON, no leases.

What a member says: GET /patroni is its own state, GET /cluster what it read in the store (also of members that have just gone).
"""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, TypeVar
from urllib.parse import urlsplit

import httpx

from lease_endpoint.errors import Invalid, Unreachable

T = TypeVar("T")

RUNNING = ("running", "streaming", "in archive recovery")  # 3.0 says running of replicas, 4.0 streaming
CONNECT = 2.0  # seconds until a connection must stand: a machine that reboots should not hold up the others for long
DOWN = ("stopped", "crashed", "start failed", "stop failed", "restart failed")  # what is on its way (starting, stopping, ...) is not down


@dataclass(frozen=True)
class Said:
    """What one unit's Patroni said, or why nothing: `own` is its GET /patroni, `cluster` its GET /cluster."""

    unit: str
    own: Optional[dict[str, Any]] = None
    cluster: Optional[dict[str, Any]] = None
    trouble: str = ""

    @property
    def state(self) -> str:
        return str((self.own or {}).get("state", "unknown"))

    @property
    def told(self) -> str:
        """Its state as half a sentence."""
        return "PostgreSQL does not answer its own Patroni" if self.state == "unknown" else f"PostgreSQL is {self.state}"

    @property
    def running(self) -> bool:
        return self.state in RUNNING

    @property
    def down(self) -> bool:
        """Its Patroni answers, and says that PostgreSQL does not run."""
        return self.state in DOWN

    @property
    def paused(self) -> bool:
        return bool((self.own or {}).get("pause"))

    @property
    def primary(self) -> bool:
        return (self.own or {}).get("role") in ("master", "primary", "standby_leader")


class Rest:
    """`members`: unit to address. Safe to use from many threads."""

    def __init__(self, members: Mapping[str, str], context: ssl.SSLContext, timeout: float, username: Optional[str], password_file: Optional[str]) -> None:
        self.members = dict(members)
        self._user, self._password_file = username, password_file
        # No proxy and no redirect: the password goes to the members and to nobody else.
        self._http = httpx.Client(verify=context, timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT)), trust_env=False, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    def everybody(self) -> dict[str, Said]:
        """Each unit asked itself."""
        return self._each(self._ask)

    def alone(self, unit: str) -> Said:
        return self._ask(unit)

    def _each(self, work: Callable[[str], T]) -> dict[str, T]:
        with ThreadPoolExecutor(len(self.members)) as pool:
            return dict(zip(self.members, pool.map(work, self.members)))

    def _ask(self, unit: str) -> Said:
        try:
            own = self._json(unit, "/patroni")
        except Unreachable as trouble:
            return Said(unit, trouble=trouble.msg)
        try:
            return Said(unit, own, self._json(unit, "/cluster"))
        except Unreachable as trouble:
            return Said(unit, own, None, trouble.msg)

    def config(self, unit: str) -> dict[str, Any]:
        return self._json(unit, "/config")

    def _json(self, unit: str, path: str) -> dict[str, Any]:
        answer = self.send(unit, "GET", path)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if answer.status_code != 200 or not isinstance(found, dict):
            raise Unreachable(f"{unit} answered GET {path} with HTTP {answer.status_code}; look at the log of its Patroni")
        return found

    def send(self, unit: str, method: str, path: str, body: Any = None, timeout: Optional[float] = None) -> httpx.Response:
        """Raises Unreachable when there was no answer, or none from a Patroni that lets us in."""
        more: dict[str, Any] = {} if timeout is None else {"timeout": httpx.Timeout(timeout, connect=CONNECT)}
        if self._user and self._password_file:
            more["auth"] = httpx.BasicAuth(self._user, self._password(self._password_file))
        try:
            answer = self._http.request(method, self.members[unit] + path, json=body, **more)
        except httpx.HTTPError as trouble:
            raise Unreachable(f"{unit} did not answer {method} {path}: {trouble or type(trouble).__name__}") from trouble
        if answer.status_code in (401, 403):
            raise Unreachable(f"{unit} does not let us in ({method} {path}: HTTP {answer.status_code}); check username, password_file and cert_file")
        return answer

    @staticmethod
    def _password(path: str) -> str:
        # Read each time: it may be changed while we run.
        try:
            return Path(path).read_text(encoding="utf-8").strip("\r\n")
        except (OSError, ValueError) as trouble:
            raise Unreachable(f"password_file {path} cannot be read: {trouble}") from trouble


def address(unit: str, value: Any) -> str:
    """An http or https address without path, query or user."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query or "@" in parts.netloc:
        raise Invalid(f"members: {unit}: {value!r} is no address; give it as https://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


def tls(ca_file: Optional[str], cert_file: Optional[str], key_file: Optional[str]) -> ssl.SSLContext:
    """Certificates are always verified: by `ca_file`, else by what the system trusts."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
    except ssl.SSLError as trouble:
        raise Invalid(f"ca_file, cert_file, key_file: these are not certificates and their key, PEM: {trouble}") from trouble
    return context


def same_place(one: str, other: str) -> bool:
    """Whether two addresses name one host and port, whatever the path."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.hostname, first.port) == (second.hostname, second.port)
