# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seat: the one place for an active replica, a key in etcd that lives as long as its holder is heard of.

Whoever holds it is told apart by the key's create_revision. Losing it is not found out by any clock here: every write compares that
number in etcd, and every reading is confirmed there.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Optional

from lease_endpoint.etcd_gateway import NotApplied, Unsure
from lease_endpoint.etcd_words import created, put
from lease_endpoint.ledger.store import Store


@dataclass(frozen=True)
class Holder:
    """Who has the seat: the address under which the other replicas find it, and a name that no other process ever has."""

    url: str
    name: str
    revision: int


class Seat:
    """One replica's way to it. Raises what the store raises."""

    def __init__(self, store: Store, url: str, ttl: int) -> None:
        self._store, self.url, self.ttl = store, url, ttl
        self.name = secrets.token_hex(8)
        self._lease: Optional[int] = None

    def holder(self) -> Optional[Holder]:
        """Who has it now; None: nobody."""
        found = self._store.range(self._store.seat).kvs
        if not found:
            return None
        told = json.loads(found[0].value)
        return Holder(told["url"], told["name"], found[0].create)

    def take(self) -> Optional[int]:
        """The revision of this tenure; None: somebody has it, which may be oneself by a call that was given up for lost."""
        lease = self._store.grant(self.ttl)
        value = json.dumps({"url": self.url, "name": self.name}).encode()
        try:
            done = self._store.txn([created(self._store.seat, 0)], [put(self._store.seat, value, lease)])
            taken = done.revision if done.succeeded else None
        except Unsure:
            holder = self.holder()
            taken = holder.revision if holder is not None and holder.name == self.name else None
        if taken is None:
            self._give_back(lease)
            return None
        self._lease = lease
        return taken

    def keep(self, patience: float) -> bool:
        """False: it is lost."""
        return self._lease is not None and self._store.keep_alive(self._lease, patience) > 0

    def leave(self) -> None:
        """Free for the others at once; when etcd cannot be told, after the lease's time."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._give_back(lease)

    def _give_back(self, lease: int) -> None:
        try:
            self._store.revoke(lease)
        except (NotApplied, Unsure):
            pass  # it runs out by itself
