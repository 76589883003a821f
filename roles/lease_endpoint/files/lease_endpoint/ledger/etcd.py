# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger that several replicas share: in etcd, written only by the one that holds the seat.

Below the prefix:   seat              who is active; bound to an etcd lease; its create_revision is the number of this tenure
                    head              endpoint time, format, and the name of the last transaction
                    application/NAME  everything of one application, one document
                    log/NUMBER        history and tombstones, a few rows each

The holder of the seat keeps all of it in a SQLite database in memory. What a group of transactions changed there goes to etcd as one
transaction that compares the seat (a deposed holder can write nothing) and the head (so it is applied once, in order, however often it is
sent). What was only read is answered after etcd has confirmed the seat: nobody else can have written by then.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Optional

from lease_endpoint.errors import LeaseError, NoActive, NotDurable, Unsure
from lease_endpoint.etcd_gateway import NotApplied, Refused
from lease_endpoint.etcd_gateway import Unsure as NotTold
from lease_endpoint.etcd_words import Kv, Txn, created, delete, get, modified, put
from lease_endpoint.ledger.sqlite import FORMAT, SCHEMA, Book, groups_of
from lease_endpoint.ledger.store import Store
from lease_endpoint.ledger.tables import Tables

PATIENCE = 5.0  # seconds for one group to become durable, over all members; clients wait 10
OPERATIONS = 120  # etcd's own limit for one transaction is 128
BYTES = 1_000_000  # and 1.5 MiB for one request
TIDY = 2000  # log keys between two looks at what may be forgotten

Part = dict[str, Any]


class Ledger:
    """One tenure of the seat. `lost` is called once, with a sentence, when it is over; then every answer is an error."""

    def __init__(self, store: Store, seat: int, lost: Callable[[str], None] = lambda why: None) -> None:
        """`seat`: the create_revision of the seat's key. Reads everything; NotDurable or NoActive when that cannot be done."""
        self._store, self._seat, self._lost = store, seat, lost
        self._dead: Optional[LeaseError] = None
        self._dying = threading.Lock()
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.executescript(SCHEMA)
        self._tables = Tables(self._db)
        self._blocks: deque[tuple[int, dict[str, int]]] = deque()  # number of each log key with the last row of each log in it
        self._next_block, self._head, self._forgotten, self._since_tidy = 1, 0, 0, 0
        try:
            self._load()
        except NotApplied as trouble:
            raise NotDurable(f"the ledger in etcd could not be read: {trouble.msg}") from trouble
        self._db.execute("PRAGMA foreign_keys = ON")
        self._tables.watch()
        self._groups = groups_of(self._db, self._commit)

    # Transactions, as every ledger has them

    @contextmanager
    def write(self) -> Iterator[Book]:
        """A transaction. It is in etcd when the block is left; when the block raises, nothing was changed; Unsure says that this is not known."""
        try:
            with self._groups.block():
                yield Book(self._db)
        except sqlite3.Error as cause:
            raise NotDurable(f"the working copy of the ledger in etcd failed: {cause}; nothing was changed") from cause

    @contextmanager
    def read(self) -> Iterator[Book]:
        """What is there at one moment between the question and the answer, by whomever it was written."""
        with self.write() as book:
            yield book

    def close(self) -> None:
        """Nothing can be read or written any more; what is in etcd stays."""
        with self._groups.alone():
            self._die(NoActive("this replica is no longer the active one; ask again"))
            self._db.close()

    # One group

    def _commit(self) -> None:
        if self._dead is not None:
            raise NoActive(self._dead.msg)
        changed, applications, added = self._tables.touched()
        if not changed:
            self._confirm()
        else:
            chunks = list(self._chunks(applications, added))
            for number, parts in enumerate(chunks):
                self._send(parts, sure=number == 0)
            self._tables.forget()
        self._db.execute("COMMIT")

    def _confirm(self) -> None:
        try:
            seat = self._store.range(self._store.seat, patience=PATIENCE)
        except NotApplied as trouble:
            raise NotDurable(f"the ledger in etcd could not be read: {trouble.msg}") from trouble
        if not seat.kvs or seat.kvs[0].create != self._seat:
            raise self._die(NoActive("this replica has lost its seat to another one; nothing was changed, ask again"))

    def _chunks(self, applications: list[str], added: dict[str, dict[str, list[int]]]) -> Iterator[list[Part]]:
        """The changes as lists of operations, each a transaction of etcd's.

        More than one only when a group has touched very many applications. An answer that speaks of several applications promises nothing
        across them (each item is done or not, on its own); what belongs together is in one document, and its lines of the history go with it.
        So a break between two chunks leaves a state that single requests could have left, and nobody has been answered.
        """
        parts: list[Part] = []
        rows: dict[str, list[int]] = {}
        size = 0
        for application in [*applications, *sorted(set(added) - set(applications))]:
            document = self._tables.document(application) if application in applications else None
            if document is not None:
                key, value = self._store.application(application), json.dumps(document).encode()
                size += len(value)
                parts.append(put(key, value) if document else delete(key))
            for table, which in added.get(application, {}).items():
                rows.setdefault(table, []).extend(which)
                size += 400 * len(which)
            if len(parts) >= OPERATIONS - 3 or size >= BYTES:
                yield [*parts, *self._log(rows)]
                parts, rows, size = [], {}, 0
        yield [*parts, *self._log(rows), *self._forget()]

    def _log(self, rows: dict[str, list[int]]) -> list[Part]:
        if not rows:
            return []
        number, self._next_block = self._next_block, self._next_block + 1
        self._blocks.append((number, {table: max(which) for table, which in rows.items()}))
        self._since_tidy += 1
        block = {table: list(self._tables.log(table, first=sorted(which))) for table, which in rows.items()}
        return [put(self._store.log(number), json.dumps(block).encode())]

    def _forget(self) -> list[Part]:
        """Now and then: the log keys whose every row is among those that are not kept."""
        if self._since_tidy >= TIDY:
            self._tidy()
        if not self._forgotten:
            return []
        part = delete(self._store.log(0), self._store.log(self._forgotten + 1))
        self._forgotten = 0
        return [part]

    def _tidy(self) -> None:
        self._since_tidy = 0
        Book(self._db).tidy()
        oldest = {table: self._db.execute(f"SELECT min(rowid) FROM {table}").fetchone()[0] or 0 for table in self._tables.logs}
        while self._blocks and all(last < oldest[table] for table, last in self._blocks[0][1].items()):
            self._forgotten = self._blocks.popleft()[0]

    def _send(self, parts: list[Part], sure: bool) -> None:
        """One transaction of etcd's, until it is known to be applied. `sure`: nothing of this group has been applied before."""
        name = secrets.token_hex(8)
        now = head(Book(self._db).time(), name)
        compare = [created(self._store.seat, self._seat), modified(self._store.head, self._head)]
        end = time.monotonic() + PATIENCE
        told = True  # whether every attempt so far is known to have changed nothing
        trouble: Exception = NotApplied("etcd was not asked")
        while time.monotonic() < end:
            try:
                done = self._store.txn(compare, [put(self._store.head, now), *parts], [get(self._store.head)])
            except NotTold as not_told:
                told, trouble = False, not_told
                continue
            except NotApplied as not_applied:
                trouble = not_applied
                if isinstance(not_applied, Refused):
                    break
                time.sleep(0.05)
                continue
            self._head = done.revision if done.succeeded else self._applied_before(done, name, told)
            return
        if told and sure:
            raise NotDurable(f"the ledger in etcd could not be written: {trouble}") from trouble
        raise self._die(Unsure("etcd did not say whether it has stored the change; read what is there, then decide anew")) from trouble

    def _applied_before(self, done: Txn, name: str, told: bool) -> int:
        """The comparison failed: because an earlier sending of the same has been applied (at this revision), or because the seat is another's."""
        found = done.answers[0].kvs  # type: ignore[union-attr]
        there = found[0] if found else None
        if there is not None and json.loads(there.value).get("transaction") == name:
            return there.mod
        if told or (there.mod if there else 0) == self._head:
            raise self._die(NoActive("this replica has lost its seat to another one; nothing was changed, ask again"))
        # The next holder has written over the place where one could have seen it.
        raise self._die(Unsure("the seat was lost while a change was on its way; read what is there, then decide anew"))

    def _die(self, why: LeaseError) -> LeaseError:
        with self._dying:
            first, self._dead = self._dead is None, self._dead or why
        if first:
            self._lost(why.msg)
        return why

    # At the beginning

    def _load(self) -> None:
        store = self._store
        # Whoever had the seat before can write no more, so what is read from here on stands still.
        self._confirm()
        found = [kv for keys in (store.below(store.head), store.below(store.application("")), store.below(store.logs)) for kv in keys]
        copy(store, self._tables, found)
        for kv in found:
            if kv.key == store.head:
                self._head = kv.mod
            elif kv.key.startswith(store.logs):
                number = int(kv.key[len(store.logs):])
                self._blocks.append((number, {table: max(row["rowid"] for row in rows) for table, rows in json.loads(kv.value).items() if rows}))
                self._next_block = number + 1
        self._tidy()


def head(now: float, transaction: str) -> bytes:
    """The value of the head's key."""
    return json.dumps({"format": FORMAT, "now": now, "transaction": transaction}).encode()


def batches(keys: Iterable[tuple[bytes, bytes]]) -> Iterator[list[Part]]:
    """Puts of these keys, as many at a time as one transaction of etcd's takes."""
    parts: list[Part] = []
    size = 0
    for key, value in keys:
        parts.append(put(key, value))
        size += len(value)
        if len(parts) >= OPERATIONS or size >= BYTES:
            yield parts
            parts, size = [], 0
    yield parts


def copy(store: Store, tables: Tables, found: Iterable[Kv]) -> Optional[float]:
    """All of `found` into empty tables; answers endpoint time, None when there is no ledger. NotDurable when it is damaged or of another format."""
    now = None
    number = 0
    try:
        for kv in found:
            if kv.key == store.head:
                told = json.loads(kv.value)
                if told["format"] != FORMAT:
                    raise NotDurable(f"the ledger in etcd has format {told['format']}, this endpoint knows format {FORMAT}; install the endpoint that wrote it")
                now = float(told["now"])
                tables.set_time(now)
            elif kv.key.startswith((store.application(""), store.logs)):
                number += 1
                tables.insert(json.loads(kv.value))
        if number and now is None:
            raise ValueError("it has no head, as after an import that was broken off")
        tables.check()
    except (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError) as cause:
        what = f"the ledger in etcd below {store.prefix} is damaged: {cause}"
        raise NotDurable(f"{what}; delete it and import an export, or put back a snapshot of etcd") from cause
    return now
