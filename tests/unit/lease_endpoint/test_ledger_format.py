# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger that an older endpoint wrote is taken over with all it holds."""

from __future__ import annotations

import sqlite3

import pytest

from lease_endpoint.errors import NotDurable
from lease_endpoint.ledger import sqlite
from lease_endpoint.records import Freeze

ONE = sqlite.SCHEMA.replace(sqlite.FREEZE, "").replace(" due REAL,", "")


def _of_format_1(path):
    with sqlite3.connect(path) as db:
        db.executescript(ONE)
        db.execute("INSERT INTO lease VALUES ('db', 'native', 'db/0', 4, 9, 60.0, 120.0, 1.0, NULL, NULL)")
        db.execute("INSERT INTO pin VALUES ('db', 'a/r', 'a', 'r', 'why', 1.0, 600.0, 700.0, 'db/0', 4, NULL, NULL)")
        db.execute("INSERT INTO unit VALUES ('db', 'db/0')")
        db.execute("UPDATE time SET now = 55.5")
        db.execute("PRAGMA user_version = 1")
    db.close()


def test_ledger_of_format_1_keeps_everything_and_learns_freezes(tmp_path):
    _of_format_1(tmp_path / "ledger")
    for again in range(2):
        ledger = sqlite.Ledger(tmp_path / "ledger")
        with ledger.write() as book:
            assert book.lease("db").term == 4 and book.pins("db")[0].pinner == "a/r" and book.units("db") == ["db/0"] and book.time() == 55.5
            assert len(book.freezes()) == again
            book.put(Freeze("db", "patroni", True, False, "{}", 1.0))
        with ledger.read() as book:
            assert book.freeze("db") == Freeze("db", "patroni", True, False, "{}", 1.0)
        ledger.close()


def test_ledger_of_a_newer_format_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "ledger") as db:
        db.execute("PRAGMA user_version = %d" % (sqlite.FORMAT + 1))
    db.close()
    with pytest.raises(NotDurable, match="install the endpoint that wrote it"):
        sqlite.Ledger(tmp_path / "ledger")
