# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export and import: everything survives the way from SQLite to a real etcd and back; what is not whole is not taken."""

from __future__ import annotations

import json

import pytest

from lease_endpoint.errors import Invalid, NotDurable
from lease_endpoint.etcd_words import put
from lease_endpoint.ledger import transfer
from lease_endpoint.ledger.etcd import Ledger as EtcdLedger
from lease_endpoint.ledger.sqlite import Ledger
from lease_endpoint.records import Entry, Freeze, Halt, Lease, Pin, Tombstone
from lease_endpoint.seat import Seat
from tests.contract.endpoint import cli

MANY = 300  # applications: more than one transaction of etcd's takes


def _fill(book):
    for number in range(MANY):
        name = f"db-{number}"
        book.put(Lease(name, "native", f"{name}/0", 3, 7, 60.0, 160.5, 1.5))
        book.note_unit(name, f"{name}/0")
        book.put(Entry(1.0 + number, "me", "claim", name, f"{name} \N{SNOWMAN}"))
    book.put(Pin("db-0", "me/r", "me", "r", "why", 1.0, 600.0, 700.0, "db-0/0", 3, "s", 90.0, 700.0))
    book.put(Halt("db-1", 2.0, "lapsed", "me/x"))
    book.put(Freeze("db-2", "patroni", True, True, '{"pause": true}', 5.0))
    book.put(Tombstone("db-1", "me/x", 2.0, "why"))
    book.save_time(101.25)


@pytest.fixture
def filled(tmp_path):
    ledger = Ledger(tmp_path / "filled.sqlite")
    with ledger.write() as book:
        _fill(book)
    ledger.close()
    return tmp_path / "filled.sqlite"


def test_everything_survives_from_sqlite_to_etcd_and_back(filled, store, tmp_path):
    lines = list(transfer.from_sqlite(filled))
    assert transfer.to_etcd(lines, store) == MANY
    assert sorted(transfer.from_etcd(store)) == sorted(lines)
    seat = Seat(store, "http://x", 5)
    ledger = EtcdLedger(store, seat.take())
    with ledger.read() as book:
        assert book.time() == 101.25 and len(book.leases()) == MANY and book.pins()[0].session == "s" and book.halts() and book.freezes() and book.tombstones()
        assert book.history(limit=1)[0].msg == f"db-{MANY - 1} \N{SNOWMAN}" and book.units("db-7") == ["db-7/0"]
    ledger.close()
    seat.leave()
    assert transfer.to_sqlite(transfer.from_etcd(store), tmp_path / "back.sqlite") == MANY
    assert list(transfer.from_sqlite(tmp_path / "back.sqlite")) == lines


@pytest.mark.parametrize("spoil", [
    lambda lines: lines[:-1], lambda lines: lines[:5] + lines[6:], lambda lines: lines[1:], lambda lines: lines + ["{}"], lambda lines: ["nonsense"] + lines,
    lambda lines: [], lambda lines: [lines[0].replace('"format": ', '"format": 9')] + lines[1:],
    lambda lines: [lines[0], lines[1].replace('"holder":', '"holder; DROP TABLE lease":')] + lines[2:],
    lambda lines: [lines[0], lines[1].replace("db-0", "db-00", 1)] + lines[2:],
], ids=["cut", "line lost", "no head", "more after the end", "nonsense", "empty", "other format", "strange column", "wrong name"])
def test_what_is_not_whole_is_not_taken_and_leaves_nothing(filled, tmp_path, store, spoil):
    lines = spoil(list(transfer.from_sqlite(filled)))
    with pytest.raises(Invalid, match="nothing was imported"):
        transfer.to_sqlite(lines, tmp_path / "target.sqlite")
    ledger = Ledger(tmp_path / "target.sqlite")
    with ledger.read() as book:
        assert book.leases() == [] and book.history() == [] and book.time() == 0.0
    ledger.close()
    with pytest.raises(Invalid, match="nothing was imported"):
        transfer.to_etcd(lines, store)
    assert not store.anything()


def test_import_goes_only_into_what_is_empty_and_not_at_work(filled, store, tmp_path):
    lines = list(transfer.from_sqlite(filled))
    with pytest.raises(Invalid, match="not empty"):
        transfer.to_sqlite(lines, filled)
    seat = Seat(store, "http://x", 5)
    assert seat.take() is not None
    with pytest.raises(Invalid, match="a replica is active"):
        transfer.to_etcd(lines, store)
    seat.leave()
    transfer.to_etcd(lines, store)
    with pytest.raises(Invalid, match="already"):
        transfer.to_etcd(lines, store)
    assert sorted(transfer.from_etcd(store)) == sorted(lines)


def test_import_that_was_broken_off_is_no_ledger(store):
    store.txn([], [put(store.application("db"), json.dumps({"lease": []}).encode())])
    seat = Seat(store, "http://x", 5)
    with pytest.raises(NotDurable, match="broken off"):
        EtcdLedger(store, seat.take())
    seat.leave()
    with pytest.raises(NotDurable, match="broken off"):
        list(transfer.from_etcd(store))


def test_commands_move_a_ledger_and_say_in_one_sentence_what_stands_in_the_way(filled, etcd, tmp_path):
    (tmp_path / "data").mkdir()
    filled.rename(tmp_path / "data/ledger.sqlite")
    out, there = str(tmp_path / "export"), ("--ledger", "etcd", "--etcd-endpoints", etcd.endpoints[0], "--etcd-prefix", "/moved")
    data, new = ("--data-dir", str(tmp_path / "data")), ("--data-dir", str(tmp_path / "new"))
    assert cli("export", *data, "--output", out).returncode == 0
    moved = cli("import", out, *new, *there)
    assert (moved.returncode, moved.stdout) == (0, f"imported {MANY} applications\n"), moved.stderr
    back = cli("export", *new, *there)
    assert sorted(back.stdout.splitlines()) == sorted((tmp_path / "export").read_text(encoding="utf-8").splitlines())
    for words in (("import", out, *data), ("import", str(tmp_path / "no"), *new), ("export", *new), ("export", *new, "--ledger", "etcd")):
        refused = cli(*words)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
