# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of etcd's v3 JSON gateway (etcd 3.4 and later): keys, transactions, leases; several members, users, TLS.

Every failure says what is known: `Refused` (etcd said no), `NotApplied` (certainly nothing was changed) or `Unsure` (a write that may or
may not have happened: read before you decide). Reads go on to the next member; writes do so only while nothing can have been done.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence
from urllib.parse import urlsplit

import httpx

from lease_endpoint.errors import Unreachable
from lease_endpoint.etcd_words import Alive, Granted, Range, Txn, decode, encode, prefix_end

__all__ = ["Gateway", "NotApplied", "Refused", "Unsure", "prefix_end"]

CONNECT = 1.5  # seconds for one member to take a connection; a dead one must not cost the whole deadline
# gRPC codes by which etcd says no before it has done anything
NEVER_DONE = {3: "invalid argument", 5: "not found", 7: "permission denied", 9: "failed precondition", 11: "out of range", 12: "unimplemented",
              16: "unauthenticated"}
NOT_PROPOSED = ("etcdserver: no leader", "etcdserver: too many requests", "etcdserver: not capable", "etcdserver: mvcc: database space exceeded",
                "etcdserver: rpc not supported for learner", "etcdserver: corrupt cluster")
NEW_LOGIN = ("etcdserver: invalid auth token", "etcdserver: revision of auth store is old", "etcdserver: user name is empty")


class NotApplied(Unreachable):
    """Nothing was changed: no member took the request."""


class Unsure(Unreachable):
    """Not known whether the write was applied."""


class Refused(NotApplied):
    """etcd answered no. `code` is gRPC's (5 not found, 7 permission denied, 9 failed precondition, ...), `reason` etcd's words."""

    def __init__(self, msg: str, code: int, reason: str) -> None:
        super().__init__(msg)
        self.code, self.reason = code, reason


class Gateway:
    """Thread-safe. Opens nothing before the first call. `timeout` is the deadline of one call in seconds, over all members."""

    def __init__(self, endpoints: Sequence[str], user: Optional[str] = None, password_file: Optional[str] = None, ca_file: Optional[str] = None,
                 cert_file: Optional[str] = None, key_file: Optional[str] = None, timeout: float = 5.0) -> None:
        self._endpoints = [endpoint.rstrip("/") for endpoint in endpoints]
        self._user, self._password_file = user, password_file
        self._tls = (ca_file, cert_file, key_file)
        self._timeout = timeout
        self._http: Optional[httpx.Client] = None
        self._token: Optional[str] = None
        self._logins, self._opening = threading.Lock(), threading.Lock()

    def close(self) -> None:
        with self._opening:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    # Keys

    def range(self, key: bytes, end: Optional[bytes] = None, limit: int = 0, revision: int = 0, oldest_first: bool = False, keys_only: bool = False,
              timeout: Optional[float] = None) -> Range:
        """The keys from `key` up to and without `end` (one key when None), linearizable; at an older `revision` if given."""
        body: dict[str, Any] = {"key": encode(key), "limit": str(limit), "revision": str(revision), "keys_only": keys_only}
        if end is not None:
            body["range_end"] = encode(end)
        if oldest_first:
            body.update(sort_target="CREATE", sort_order="ASCEND")
        return Range.read(self.ask("kv/range", body, timeout=timeout))

    def txn(self, compare: Sequence[Mapping[str, Any]], success: Sequence[Mapping[str, Any]], failure: Sequence[Mapping[str, Any]] = (),
            timeout: Optional[float] = None) -> Txn:
        """One transaction; its parts are made by the functions of etcd_words. Only reads in both branches make it a read."""
        write = any("request_range" not in part for part in (*success, *failure))
        body = {"compare": list(compare), "success": list(success), "failure": list(failure)}
        return Txn.read(self.ask("kv/txn", body, write=write, timeout=timeout))

    # Leases

    def grant(self, ttl: int, lease: int = 0) -> Granted:
        """A new lease, with the id `lease` if one is asked for; Refused with code 9 when there is one of that id."""
        answer = self.ask("lease/grant", {"ID": str(lease), "TTL": str(ttl)}, write=True)
        return Granted(int(answer["ID"]), int(answer["TTL"]))

    def keep_alive(self, lease: int) -> int:
        """Its time runs anew. Answers the seconds it has; 0: there is no such lease."""
        answer = self.ask("lease/keepalive", {"ID": str(lease)})
        return int(answer.get("result", {}).get("TTL", 0))

    def time_to_live(self, lease: int, keys: bool = False) -> Optional[Alive]:
        """What is left of it, with the keys attached to it if asked for; None: there is no such lease."""
        answer = self.ask("lease/timetolive", {"ID": str(lease), "keys": keys})
        ttl = int(answer.get("TTL", 0))  # -1 for no such lease; 0 is left out and means the last second
        return None if ttl < 0 else Alive(ttl, int(answer.get("grantedTTL", 0)), tuple(decode(key) for key in answer.get("keys", ())))

    def revoke(self, lease: int) -> bool:
        """End it and with it the keys attached to it. False: there was no such lease."""
        try:
            self.ask("lease/revoke", {"ID": str(lease)}, write=True)
        except Refused as refused:
            if refused.code == 5:
                return False
            raise
        return True

    # Anything else of the gateway

    def ask(self, path: str, body: Mapping[str, Any], write: bool = False, timeout: Optional[float] = None) -> dict[str, Any]:
        """POST /v3/`path`. Raises Refused, NotApplied or, only for a `write`, Unsure."""
        end = time.monotonic() + (timeout or self._timeout)
        troubles: list[str] = []
        for number, endpoint in enumerate(list(self._endpoints)):
            left = end - time.monotonic()
            if left <= 0:
                troubles.append(f"{endpoint}: no time left")
                break
            share = left if write else max(left / (len(self._endpoints) - number), min(left, 1.0))
            try:
                answer = self._with_token(endpoint, path, body, share)
            except _Next as trouble:
                if write and not trouble.certain:
                    raise Unsure(f"etcd did not say whether it did what was asked ({endpoint}: {trouble}); it must be read before anything else") from trouble
                troubles.append(f"{endpoint}: {trouble}")
                continue
            self._prefer(endpoint)
            return answer
        raise NotApplied(f"no member of etcd answers ({'; '.join(troubles)}); nothing was changed: see to etcd or to the way there, then try again")

    def _prefer(self, endpoint: str) -> None:
        if self._endpoints[0] != endpoint:
            self._endpoints = [endpoint, *(each for each in self._endpoints if each != endpoint)]

    def _with_token(self, endpoint: str, path: str, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        token = self._token or self._login(endpoint, None, timeout) if self._user else None
        try:
            return self._post(endpoint, path, body, token, timeout)
        except Refused as refused:
            if not self._user or refused.reason not in NEW_LOGIN:
                raise
        # Tokens end by time, by a change of users and with the member's process. A refused one means that nothing was done.
        return self._post(endpoint, path, body, self._login(endpoint, token, timeout), timeout)

    def _login(self, endpoint: str, stale: Optional[str], timeout: float) -> str:
        with self._logins:
            if self._token is None or self._token == stale:
                try:
                    password = Path(self._password_file or "").read_text(encoding="utf-8").strip()
                except OSError as trouble:
                    raise NotApplied(f"cannot read the password of etcd's user {self._user} from {self._password_file}: {trouble.strerror}") from trouble
                try:
                    self._token = self._post(endpoint, "auth/authenticate", {"name": self._user, "password": password}, None, timeout)["token"]
                except _Next as trouble:
                    raise _Next(str(trouble), certain=True) from trouble  # the request itself was not sent yet
            return self._token

    def _post(self, endpoint: str, path: str, body: Mapping[str, Any], token: Optional[str], timeout: float) -> dict[str, Any]:
        limits = httpx.Timeout(timeout, connect=min(CONNECT, timeout), pool=min(CONNECT, timeout))
        try:
            answer = self._client().post(f"{endpoint}/v3/{path}", json=body, headers={"Authorization": token} if token else {}, timeout=limits)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as trouble:
            raise _Next(_words(trouble), certain=True) from trouble
        except httpx.HTTPError as trouble:
            raise _Next(_words(trouble), certain=False) from trouble
        try:
            told = json.loads(answer.text.strip() or "null")
        except ValueError:
            told = None
        if answer.status_code == 404 and not isinstance(told, dict):
            raise Refused(f"{endpoint} has no /v3/{path}: it is no etcd of version 3.4 or later", 12, answer.text.strip()[:200])
        if answer.status_code == 400 and answer.text.startswith("CommonName of client"):
            raise Refused(f"etcd at {endpoint} asks for client certificates and for users: its gateway then takes a client certificate without a common name "
                          "only; make one with an empty subject", 16, answer.text.strip()[:200])
        if not isinstance(told, dict):
            raise _Next(f"HTTP {answer.status_code} without etcd's JSON: {answer.text.strip()[:200]}", certain=False)
        error = told.get("error")
        if error or answer.status_code != 200:
            inner = error if isinstance(error, dict) else told  # streams wrap it
            self._refuse(endpoint, int(inner.get("code", inner.get("grpc_code", 2))), str(inner.get("message") or error))
        return told

    def _refuse(self, endpoint: str, code: int, reason: str) -> None:
        if code in NEVER_DONE:
            whose = f" (user {self._user})" if self._user and (code in (7, 16) or "authentication failed" in reason) else ""
            raise Refused(f"etcd at {endpoint} refuses{whose}: {reason}", code, reason)
        raise _Next(reason, certain=reason in NOT_PROPOSED)

    def _client(self) -> httpx.Client:
        with self._opening:
            if self._http is None:
                self._http = httpx.Client(verify=self._context(), trust_env=False, limits=httpx.Limits(keepalive_expiry=30))
            return self._http

    def _context(self) -> Any:
        if not any(urlsplit(endpoint).scheme == "https" for endpoint in self._endpoints):
            return False
        ca_file, cert_file, key_file = self._tls
        try:
            context = ssl.create_default_context(cafile=ca_file)
            if cert_file:
                context.load_cert_chain(cert_file, key_file)
        except (OSError, ssl.SSLError) as trouble:
            raise NotApplied(f"cannot use the TLS files for etcd ({', '.join(filter(None, self._tls))}): {trouble}") from trouble
        return context


class _Next(Exception):
    """This member did not answer. `certain`: and it has done nothing."""

    def __init__(self, msg: str, certain: bool) -> None:
        super().__init__(msg)
        self.certain = certain


def _words(trouble: Exception) -> str:
    return str(trouble) or {"ReadTimeout": "no answer in time", "ConnectTimeout": "no connection in time"}.get(type(trouble).__name__, type(trouble).__name__)
