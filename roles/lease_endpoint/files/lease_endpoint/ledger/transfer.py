# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole ledger as lines of JSON, from either kind and into either kind: all of it or nothing.

First line: {"ledger": 1, "format": F, "now": endpoint time}. Then {"application": NAME, "tables": {TABLE: [row, ...]}} for each, and
{"log": TABLE, "rows": [row, ...]}. Last line: {"end": number of lines before it}, without which nothing is taken.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional

from lease_endpoint.errors import Invalid, LeaseError, NotDurable
from lease_endpoint.etcd_gateway import NotApplied, Unsure
from lease_endpoint.etcd_words import created, delete, modified, put
from lease_endpoint.ledger import etcd
from lease_endpoint.ledger.sqlite import FORMAT, SCHEMA, Book, Ledger
from lease_endpoint.ledger.store import Store
from lease_endpoint.ledger.tables import Tables
from lease_endpoint.seat import Seat

VERSION = 1
ROWS = 200  # of a log on one line
SEAT_TTL = 30  # seconds a broken-off import keeps replicas from starting


def from_sqlite(path: Path) -> Iterator[str]:
    """The lines. Nobody else may have the file open."""
    if not path.exists():
        raise Invalid(f"there is no ledger {path}")
    ledger = Ledger(path)
    try:
        with ledger.read() as book:
            yield from _lines(ledger.tables(), book.time())
    finally:
        ledger.close()


def from_etcd(store: Store) -> Iterator[str]:
    """The lines, as everything was at one moment, also while replicas are at work."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    tables = Tables(db)
    now = etcd.copy(store, tables, store.snapshot())
    if now is None:
        raise Invalid(f"there is no ledger in etcd below {store.prefix}")
    yield from _lines(tables, now)


def to_sqlite(lines: Iterable[str], path: Path) -> int:
    """The number of applications taken in. The ledger must be empty or not there."""
    ledger = Ledger(path)
    try:
        with ledger.write() as book:
            tables = ledger.tables()
            if book.time() or _anything(tables):
                raise Invalid(f"the ledger {path} is not empty: an import only goes into an empty one")
            return _take(lines, tables)
    finally:
        ledger.close()


def to_etcd(lines: Iterable[str], store: Store) -> int:
    """The number of applications taken in. No replica may have begun; those that stand by wait. Without its head nobody takes it for a ledger."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    tables = Tables(db)
    count = _take(lines, tables)
    seat = Seat(store, "", SEAT_TTL)
    revision = seat.take()
    if revision is None:
        raise Invalid(f"a replica is active below {store.prefix}: stop all of them, then import")
    try:
        if store.anything():
            raise Invalid(f"there is something in etcd below {store.prefix} already: an import only goes into an empty prefix")
        guard = [created(store.seat, revision), modified(store.head, 0)]
        try:
            for number, parts in enumerate(etcd.batches(_keys(tables, store))):
                _insist(store, guard, parts)
                if number % 10 == 0 and not seat.keep(5.0):
                    raise NotDurable("the import took too long and lost its seat")
            _insist(store, guard, [put(store.head, etcd.head(Book(db).time(), "import"))])
        except LeaseError:
            store.txn(guard, [delete(prefix, store.end(prefix)) for prefix in (store.application(""), store.logs)])
            raise
    finally:
        seat.leave()
    return count


def _lines(tables: Tables, now: float) -> Iterator[str]:
    count = 1
    yield json.dumps({"ledger": VERSION, "format": FORMAT, "now": now})
    for application in tables.applications():
        count += 1
        yield json.dumps({"application": application, "tables": tables.document(application)})
    for table in tables.logs:
        rows = list(tables.log(table))
        for first in range(0, len(rows), ROWS):
            count += 1
            yield json.dumps({"log": table, "rows": rows[first:first + ROWS]})
    yield json.dumps({"end": count})


def _take(lines: Iterable[str], tables: Tables) -> int:
    """Everything into empty tables; raises Invalid for what is not whole or not understood."""
    count = applications = 0
    ended = False
    try:
        for number, line in enumerate(lines):
            told = json.loads(line)
            if ended or (number == 0) != ("ledger" in told):
                raise ValueError("it does not begin or end as an export does")
            if number == 0:
                if told["ledger"] != VERSION or told["format"] != FORMAT:
                    raise ValueError(f"it is of version {told['ledger']}, format {told['format']}; this endpoint knows version {VERSION}, format {FORMAT}")
                tables.set_time(float(told["now"]))
            elif "application" in told:
                applications += 1
                if any(row["application"] != told["application"] for rows in told["tables"].values() for row in rows):
                    raise ValueError(f"rows of another application stand under {told['application']}")
                tables.insert(told["tables"])
            elif "log" in told:
                tables.insert({told["log"]: told["rows"]})
            elif told["end"] != number:
                raise ValueError(f"{number} lines came where {told['end']} were written")
            ended = "end" in told
            count += 1
        if not ended:
            raise ValueError(f"it breaks off after {count} lines")
        tables.check()
    except (ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as cause:
        raise Invalid(f"this is no whole export of a ledger: {cause}; nothing was imported") from cause
    return applications


def _anything(tables: Tables) -> bool:
    return bool(tables.applications()) or any(next(tables.log(table), None) for table in tables.logs)


def _keys(tables: Tables, store: Store) -> Iterator[tuple[bytes, bytes]]:
    for application in tables.applications():
        yield store.application(application), json.dumps(tables.document(application)).encode()
    number = 0
    for table in tables.logs:
        rows = list(tables.log(table))
        for first in range(0, len(rows), ROWS):
            number += 1
            yield store.log(number), json.dumps({table: rows[first:first + ROWS]}).encode()


def _insist(store: Store, guard: list[Any], parts: list[Any]) -> None:
    trouble: Optional[Exception] = None
    for _try in range(5):
        try:
            # Puts of the same say the same: sent twice they do no harm.
            if not store.txn(guard, parts).succeeded:
                raise NotDurable("the seat was lost while importing, or somebody else has written there")
            return
        except (NotApplied, Unsure) as again:
            trouble = again
    raise NotDurable(f"etcd could not be written: {trouble}") from trouble
