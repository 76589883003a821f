# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's tables as JSON, found from the schema itself, and which parts of it a transaction has changed.

Three kinds: tables of an *application* (column `application`, a primary key) make one document each application; *logs* (no primary
key) are added to at the end; the *rest* (endpoint time) is one row. A new table needs no line here.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Iterable, Iterator, Mapping

Document = dict[str, list[dict[str, Any]]]


class Tables:
    """What the schema of `db` says; `watch` makes it remember what changes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.application: list[str] = []
        self.logs: list[str] = []
        self._columns: dict[str, set[str]] = {}
        for (name,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall():
            columns = db.execute(f"PRAGMA table_info({name})").fetchall()
            self._columns[name] = {"rowid", *(column[1] for column in columns)}
            if not any(column[5] for column in columns):
                self.logs.append(name)
            elif any(column[1] == "application" for column in columns):
                self.application.append(name)

    # Documents

    def applications(self) -> list[str]:
        """The names of all that have a row anywhere but in the logs."""
        union = " UNION ".join(f"SELECT application FROM {table}" for table in self.application)
        return [row[0] for row in self._db.execute(union + " ORDER BY 1")]

    def document(self, application: str) -> Document:
        """Every row of an application by table; empty when there is none."""
        found = {table: self._rows(f"SELECT * FROM {table} WHERE application = ? ORDER BY rowid", [application]) for table in self.application}
        return {table: rows for table, rows in found.items() if rows}

    def log(self, table: str, after: int = 0, first: Iterable[int] = ()) -> Iterator[dict[str, Any]]:
        """Rows of a log with their `rowid`: those named by `first`, or all beyond `after`, oldest first."""
        wanted = list(first)
        where = f"rowid IN ({', '.join('?' * len(wanted))})" if wanted else "rowid > ?"
        yield from self._rows(f"SELECT rowid AS rowid, * FROM {table} WHERE {where} ORDER BY rowid", wanted or [after])

    def insert(self, tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Rows as `document` and `log` gave them. Raises sqlite3.Error for what does not fit the schema."""
        for table, rows in tables.items():
            if table not in self.application and table not in self.logs:
                raise sqlite3.DatabaseError(f"there is no table {table}")
            for row in rows:
                # Names of columns come from outside: only those of the schema ever reach the statement.
                unknown = set(row) - self._columns[table]
                if unknown:
                    raise sqlite3.DatabaseError(f"table {table} has no column {', '.join(sorted(unknown))}")
                self._db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))

    def set_time(self, now: float) -> None:
        self._db.execute("UPDATE time SET now = ?", (now,))

    def check(self) -> None:
        """Raises sqlite3.IntegrityError when rows belong to a lease that is not there."""
        if self._db.execute("PRAGMA foreign_key_check").fetchone():
            raise sqlite3.IntegrityError("rows refer to applications that are not there")

    def _rows(self, statement: str, args: Iterable[Any]) -> list[dict[str, Any]]:
        found = self._db.execute(statement, tuple(args))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found]

    # Changes

    def watch(self) -> None:
        """From now on every change is remembered; in the transaction that made it, so an undone change is forgotten."""
        self._db.execute("CREATE TEMP TABLE touched (tbl TEXT, application TEXT, row INTEGER)")
        for table in self.application:
            for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                self._db.execute(f"CREATE TEMP TRIGGER {table}_{event} AFTER {event} ON main.{table} "
                                 f"BEGIN INSERT INTO touched VALUES ('', {row}.application, NULL); END")
        for table in self.logs:
            self._db.execute(f"CREATE TEMP TRIGGER {table}_added AFTER INSERT ON main.{table} "
                             f"BEGIN INSERT INTO touched VALUES ('{table}', NEW.application, NEW.rowid); END")
        for table in ("time",):
            self._db.execute(f"CREATE TEMP TRIGGER {table}_changed AFTER UPDATE ON main.{table} BEGIN INSERT INTO touched VALUES ('{table}', NULL, NULL); END")

    def touched(self) -> tuple[bool, list[str], dict[str, dict[str, list[int]]]]:
        """Whether anything changed; the applications whose document did; {application: {log: [row, ...]}} for what was added to logs."""
        rows = self._db.execute("SELECT DISTINCT tbl, application, row FROM temp.touched").fetchall()
        added: dict[str, dict[str, list[int]]] = {}
        for table, application, row in rows:
            if row is not None:
                added.setdefault(application, {}).setdefault(table, []).append(row)
        return bool(rows), sorted({application for table, application, _row in rows if not table}), added

    def forget(self) -> None:
        self._db.execute("DELETE FROM temp.touched")
