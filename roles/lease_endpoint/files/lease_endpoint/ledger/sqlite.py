# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded ledger: one SQLite file, written ahead and synced before anybody gets an answer."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional, Type, TypeVar

from lease_endpoint.errors import NotDurable
from lease_endpoint.ledger.groups import Groups
from lease_endpoint.ledger.tables import Tables
from lease_endpoint.records import Entry, Freeze, Halt, Lease, Pin, Tombstone

Row = TypeVar("Row", Lease, Pin, Halt, Freeze, Tombstone, Entry)

FORMAT = 2
HISTORY_KEPT = 10_000  # a year of busy upgrades, a few megabytes
TOMBSTONES_KEPT = 500

FREEZE = """
CREATE TABLE freeze (application TEXT PRIMARY KEY REFERENCES lease, provider TEXT NOT NULL, wanted INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    displaced TEXT NOT NULL, since REAL NOT NULL, tries INTEGER NOT NULL, error TEXT, moving TEXT) STRICT;
"""
SCHEMA = """
CREATE TABLE lease (application TEXT PRIMARY KEY, provider TEXT NOT NULL, holder TEXT, term INTEGER NOT NULL, revision INTEGER NOT NULL,
    duration REAL NOT NULL, expires REAL, renewed_at REAL, handover_from TEXT, handover_until REAL) STRICT;
CREATE TABLE pin (application TEXT NOT NULL REFERENCES lease, pinner TEXT NOT NULL, identity TEXT NOT NULL, run TEXT NOT NULL, reason TEXT NOT NULL,
    since REAL NOT NULL, duration REAL NOT NULL, until REAL NOT NULL, holder TEXT, term INTEGER NOT NULL, session TEXT, session_seen REAL, due REAL,
    PRIMARY KEY (application, pinner)) STRICT;
CREATE TABLE halt (application TEXT PRIMARY KEY REFERENCES lease, since REAL NOT NULL, reason TEXT NOT NULL, pinner TEXT NOT NULL) STRICT;
CREATE TABLE tombstone (application TEXT NOT NULL, pinner TEXT NOT NULL, lapsed_at REAL NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE entry (at REAL NOT NULL, identity TEXT NOT NULL, verb TEXT NOT NULL, application TEXT NOT NULL, msg TEXT NOT NULL) STRICT;
CREATE TABLE unit (application TEXT NOT NULL, unit TEXT NOT NULL, PRIMARY KEY (application, unit)) STRICT;
CREATE TABLE time (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), now REAL NOT NULL) STRICT;
INSERT INTO time VALUES (1, 0.0);
""" + FREEZE
NEWER = {1: FREEZE + "ALTER TABLE pin ADD COLUMN due REAL;\n"}  # what makes format N + 1 of format N


class Book:
    """The open ledger inside one transaction; everything seen and written here happens at one moment, or not at all."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def _all(self, kind: Type[Row], rest: str = "", args: Iterable[Any] = ()) -> list[Row]:
        names = ", ".join(f.name for f in fields(kind))
        rows = [kind(*row) for row in self._db.execute(f"SELECT {names} FROM {kind.__name__.lower()} {rest}", tuple(args))]
        # SQLite has no yes and no, only 1 and 0.
        return [replace(row, wanted=bool(row.wanted), confirmed=bool(row.confirmed)) for row in rows] if kind is Freeze else rows

    def _put(self, row: Lease | Pin | Halt | Freeze | Tombstone | Entry) -> None:
        values = asdict(row)
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR REPLACE INTO {type(row).__name__.lower()} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))

    put = _put

    def lease(self, application: str) -> Optional[Lease]:
        found = self._all(Lease, "WHERE application = ?", [application])
        return found[0] if found else None

    def leases(self) -> list[Lease]:
        return self._all(Lease, "ORDER BY application")

    def pins(self, application: Optional[str] = None) -> list[Pin]:
        if application is None:
            return self._all(Pin, "ORDER BY application, since, pinner")
        return self._all(Pin, "WHERE application = ? ORDER BY since, pinner", [application])

    def pins_due(self, now: float) -> list[Pin]:
        return self._all(Pin, "WHERE until <= ? ORDER BY until", [now])

    def drop_pin(self, pin: Pin) -> None:
        self._db.execute("DELETE FROM pin WHERE application = ? AND pinner = ?", (pin.application, pin.pinner))

    def next_deadline(self) -> Optional[float]:
        return self._db.execute("SELECT min(until) FROM pin").fetchone()[0]

    def halt(self, application: str) -> Optional[Halt]:
        found = self._all(Halt, "WHERE application = ?", [application])
        return found[0] if found else None

    def halts(self) -> list[Halt]:
        return self._all(Halt, "ORDER BY application")

    def drop_halt(self, application: str) -> None:
        self._db.execute("DELETE FROM halt WHERE application = ?", (application,))

    def freeze(self, application: str) -> Optional[Freeze]:
        found = self._all(Freeze, "WHERE application = ?", [application])
        return found[0] if found else None

    def freezes(self) -> list[Freeze]:
        return self._all(Freeze, "ORDER BY application")

    def drop_freeze(self, application: str) -> None:
        self._db.execute("DELETE FROM freeze WHERE application = ?", (application,))

    def tombstones(self) -> list[Tombstone]:
        return self._all(Tombstone, "ORDER BY rowid DESC")

    def history(self, application: Optional[str] = None, limit: int = 100) -> list[Entry]:
        if application is None:
            return self._all(Entry, "ORDER BY rowid DESC LIMIT ?", [limit])
        return self._all(Entry, "WHERE application = ? ORDER BY rowid DESC LIMIT ?", [application, limit])

    def units(self, application: str) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT unit FROM unit WHERE application = ? ORDER BY unit", (application,))]

    def note_unit(self, application: str, unit: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO unit VALUES (?, ?)", (application, unit))

    def time(self) -> float:
        return self._db.execute("SELECT now FROM time").fetchone()[0]

    def save_time(self, now: float) -> None:
        self._db.execute("UPDATE time SET now = max(now, ?)", (now,))

    def runs_down(self, now: float) -> bool:
        """Whether anything is there that time ends: a pin, or a lease that somebody holds."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM pin) OR EXISTS (SELECT 1 FROM lease WHERE holder IS NOT NULL AND expires > ?)", (now,))
                    .fetchone()[0])

    def mark(self) -> None:
        """From here on `back_to_mark` undoes, once."""
        self._db.execute("SAVEPOINT mark")

    def back_to_mark(self) -> None:
        self._db.execute("ROLLBACK TO mark")

    def tidy(self) -> None:
        """Forget the oldest history; pins, halts and terms are never forgotten."""
        for table, kept in (("entry", HISTORY_KEPT), ("tombstone", TOMBSTONES_KEPT)):
            self._db.execute(f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) - ? FROM {table})", (kept,))


def groups_of(db: sqlite3.Connection, commit: Optional[Callable[[], None]] = None) -> Groups:
    """Transactions on `db`, many at a time; `commit` instead of COMMIT alone."""

    def rollback() -> None:
        # After an error SQLite may have rolled back by itself already.
        if db.in_transaction:
            db.execute("ROLLBACK")

    def undo() -> None:
        db.execute("ROLLBACK TO block")
        db.execute("RELEASE block")

    return Groups(lambda: db.execute("BEGIN"), commit or (lambda: db.execute("COMMIT")), rollback,
                  lambda: db.execute("SAVEPOINT block"), lambda: db.execute("RELEASE block"), undo)


class Ledger:
    """One connection of one process, which keeps the file locked. Any trouble with it is NotDurable: an error, never an empty answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._trouble("opened"):
            self._db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
            # Nobody else ever opens this file (tokens have their own), so no lock or shared memory can be lost to another process.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # in WAL mode only FULL syncs before COMMIT returns
            self._db.execute("PRAGMA foreign_keys = ON")
        self._groups = groups_of(self._db)
        with self.write() as book:
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                self._become(SCHEMA, FORMAT)
            for older in range(found or FORMAT, FORMAT):
                self._become(NEWER[older], older + 1)
            if found > FORMAT:
                raise NotDurable(f"the ledger {path} has format {found}, this endpoint knows format {FORMAT}; install the endpoint that wrote it")
            book.tidy()

    def _become(self, statements: str, number: int) -> None:
        for statement in statements.split(";\n"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _trouble(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as cause:
            raise NotDurable(f"the ledger {self.path} could not be {verb}: {cause}; nothing was changed. Check its disk, then retry") from cause

    @contextmanager
    def write(self) -> Iterator[Book]:
        """A transaction. It is on disk when the block is left; when the block raises, nothing was changed."""
        with self._trouble("written"), self._groups.block():
            yield Book(self._db)

    @contextmanager
    def read(self) -> Iterator[Book]:
        """What is there at one moment, and on disk when the block is left."""
        with self._trouble("read"), self._groups.block():
            yield Book(self._db)

    def tables(self) -> Tables:
        """For export and import, inside a transaction."""
        return Tables(self._db)

    def close(self) -> None:
        with self._groups.alone():
            self._db.close()
