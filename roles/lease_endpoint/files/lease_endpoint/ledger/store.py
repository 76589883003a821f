# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of one ledger in etcd, and its members asked in turn: one that hangs costs a moment, not the whole patience."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional, Sequence, TypeVar

from lease_endpoint.errors import Invalid
from lease_endpoint.etcd_gateway import Gateway, NotApplied, Refused, Unsure, prefix_end
from lease_endpoint.etcd_words import Kv, Range, Txn

CALL = 1.5  # seconds for one answer of one member
PAGE = 500  # keys in one answer

T = TypeVar("T")


@dataclass(frozen=True)
class Etcd:
    """Where etcd is and how it is spoken to; files by their path."""

    endpoints: tuple[str, ...]
    prefix: str = "/lease_endpoint"
    user: Optional[str] = None
    password_file: Optional[str] = None
    ca_file: Optional[str] = None
    cert_file: Optional[str] = None
    key_file: Optional[str] = None

    def __post_init__(self) -> None:
        if not self.endpoints or any(not each.startswith(("http://", "https://")) for each in self.endpoints):
            raise Invalid(f"etcd's endpoints are URLs like https://10.0.0.1:2379, not {', '.join(self.endpoints) or 'nothing'}")
        if not self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise Invalid(f"a prefix of keys begins with / and does not end with it, unlike {self.prefix!r}")
        if bool(self.user) != bool(self.password_file):
            raise Invalid("etcd's user and the file of its password are given together")


class Store:
    """Thread-safe. Raises what the gateway raises; NotApplied for a read means that nothing could be found out."""

    def __init__(self, etcd: Etcd) -> None:
        self.prefix = etcd.prefix
        self._members = [
            Gateway([endpoint], etcd.user, etcd.password_file, etcd.ca_file, etcd.cert_file, etcd.key_file, timeout=CALL) for endpoint in etcd.endpoints]
        self._at, self._lock = 0, threading.Lock()
        below = etcd.prefix.encode()
        self.seat, self.head, self.logs = below + b"/seat", below + b"/head", below + b"/log/"
        self._applications = below + b"/application/"

    def application(self, name: str) -> bytes:
        return self._applications + name.encode()

    def log(self, number: int) -> bytes:
        return self.logs + b"%016d" % number

    def close(self) -> None:
        for member in self._members:
            member.close()

    def txn(self, compare: Sequence[Any], success: Sequence[Any], failure: Sequence[Any] = ()) -> Txn:
        """Asks one member once. Unsure: it may have been applied, or may yet be."""
        return self._once(lambda member: member.txn(compare, success, failure))

    def range(self, key: bytes, end: Optional[bytes] = None, limit: int = 0, patience: float = 2 * CALL) -> Range:
        """Linearizable, from whichever member answers."""
        return self._until(lambda member: member.range(key, end, limit), patience)

    def below(self, prefix: bytes) -> Iterator[Kv]:
        """Every key that begins with `prefix`, in order, in pages. Only for what nobody writes meanwhile."""
        key, end = prefix, prefix_end(prefix)
        while True:
            page = self.range(key, end, PAGE, patience=10.0)
            yield from page.kvs
            if len(page.kvs) >= page.count:
                return
            key = page.kvs[-1].key + b"\0"

    def snapshot(self) -> list[Kv]:
        """Everything below the prefix as it was at one moment, whoever writes meanwhile."""
        below = (self.prefix + "/").encode()
        end, key, found = prefix_end(below), below, []
        revision = self.range(self.head, patience=10.0).revision
        while True:
            page = self._until(lambda member, key=key: member.range(key, end, PAGE, revision), 10.0)
            found.extend(page.kvs)
            if len(page.kvs) >= page.count:
                return found
            key = page.kvs[-1].key + b"\0"

    def anything(self) -> bool:
        """Whether there is any key of a ledger; the seat is none."""
        prefixes = ((self.head, None), (self._applications, self.end(self._applications)), (self.logs, self.end(self.logs)))
        return any(self.range(key, end, 1, patience=10.0).kvs for key, end in prefixes)

    @staticmethod
    def end(prefix: bytes) -> bytes:
        return prefix_end(prefix)

    def grant(self, ttl: int) -> int:
        return self._once(lambda member: member.grant(ttl).lease)

    def keep_alive(self, lease: int, patience: float) -> int:
        """The seconds it has anew; 0: it is gone."""
        return self._until(lambda member: member.keep_alive(lease), patience)

    def revoke(self, lease: int) -> None:
        self._until(lambda member: member.revoke(lease), 2 * CALL)

    def _until(self, work: Callable[[Gateway], T], patience: float) -> T:
        end, failed = time.monotonic() + patience, 0
        while True:
            try:
                return self._once(work)
            except (NotApplied, Unsure) as trouble:
                failed += 1
                if isinstance(trouble, Refused) or time.monotonic() >= end:
                    raise
            if failed % len(self._members) == 0:
                time.sleep(0.05)

    def _once(self, work: Callable[[Gateway], T]) -> T:
        at = self._at
        try:
            return work(self._members[at])
        except (NotApplied, Unsure):
            with self._lock:
                if self._at == at:
                    self._at = (at + 1) % len(self._members)
            raise
