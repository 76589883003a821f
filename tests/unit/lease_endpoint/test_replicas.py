# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real replicas over a real etcd: who answers what when something is missing. What holds in every order is tried by tests/integration/test_linear.py."""

from __future__ import annotations

import asyncio
import http.client
import json

import httpx
import pytest

from lease_endpoint.errors import NoActive, NotDurable, Unsure
from lease_endpoint.etcd_gateway import Unsure as NotTold
from lease_endpoint.forward import Forwarder
from lease_endpoint.ledger.etcd import Ledger
from lease_endpoint.records import Entry, Lease
from lease_endpoint.seat import Seat
from tests.contract.endpoint import HEADERS, Endpoint, cli, until
from tests.etcd import Certificates, Etcd
from tests.replicas import Replicas


@pytest.fixture
def seated(store):
    """A seat with its ledger, and what the ledger said when it was lost."""
    said = []
    seat = Seat(store, "http://here", 5)
    ledger = Ledger(store, seat.take(), said.append)
    yield seat, ledger, said
    seat.leave()


def _write(ledger, term):
    with ledger.write() as book:
        book.put(Lease("db", holder="db/0", term=term))
        book.put(Entry(1.0, "me", "claim", "db", f"term {term}"))


def _term(ledger):
    with ledger.read() as book:
        return book.lease("db").term


def test_deposed_holder_can_write_nothing_and_reads_nothing(store, seated):
    seat, ledger, said = seated
    _write(ledger, 1)
    seat.leave()
    next_seat = Seat(store, "http://there", 5)
    following = Ledger(store, next_seat.take())
    for act in (lambda: _write(ledger, 9), lambda: _term(ledger)):
        with pytest.raises(NoActive, match="nothing was changed"):
            act()
    assert len(said) == 1 and _term(following) == 1
    next_seat.leave()


def test_refusal_of_a_deposed_holder_is_not_answered(store, seated):
    seat, ledger, _said = seated
    seat.leave()
    with pytest.raises(NoActive), ledger.write():
        raise NotDurable("a refusal that was decided on what another has changed meanwhile")


def test_change_whose_outcome_etcd_did_not_tell_is_found_out_and_applied_once(store, seated, monkeypatch):
    _seat, ledger, said = seated
    _write(ledger, 1)
    honest, lost = store.txn, []

    def deaf(*args):
        answer = honest(*args)
        if not lost:
            lost.append(answer)
            raise NotTold("the answer was lost on the way (a double of that)")
        return answer

    monkeypatch.setattr(store, "txn", deaf)
    _write(ledger, 2)
    assert lost and _term(ledger) == 2 and not said
    with ledger.read() as book:
        assert [entry.msg for entry in book.history("db")] == ["term 2", "term 1"]


def test_change_that_stays_unknown_is_said_to_be_unknown_and_costs_the_seat(store, seated, monkeypatch):
    _seat, ledger, said = seated
    monkeypatch.setattr("lease_endpoint.ledger.etcd.PATIENCE", 0.3)

    def mute(*_args):
        raise NotTold("no answer (a double of that)")

    monkeypatch.setattr(store, "txn", mute)
    with pytest.raises(Unsure, match="then decide anew"):
        _write(ledger, 1)
    assert len(said) == 1
    monkeypatch.undo()
    with pytest.raises(NoActive):
        _term(ledger)


def test_group_of_more_applications_than_one_transaction_takes_is_whole_and_the_log_forgets_its_oldest(store, seated, monkeypatch):
    seat, ledger, _said = seated
    monkeypatch.setattr("lease_endpoint.ledger.sqlite.HISTORY_KEPT", 200)
    monkeypatch.setattr("lease_endpoint.ledger.etcd.TIDY", 3)
    for _round in range(4):
        with ledger.write() as book:
            for number in range(300):
                book.put(Lease(f"db-{number}", term=_round))
                book.put(Entry(1.0, "me", "claim", f"db-{number}", "x"))
    blocks = len(list(store.below(store.logs)))
    again = Ledger(store, seat.holder().revision)
    with again.read() as book:
        assert len(book.leases()) == 300 and {lease.term for lease in book.leases()} == {3} and len(book.history(limit=5000)) <= 200 + 300
    assert blocks < 4 * 3


def test_history_of_replicas_shows_and_streams_through_the_one_that_stands_by(etcd, tmp_path):
    with Replicas(tmp_path, etcd, 2, ("--etcd-prefix", "/streams")) as replicas:
        standby = replicas.standby()
        assert standby.claim("db", "db/0").status == 200 and standby.pin("db")["ok"]
        assert standby.state() == {"url": standby.own_url, "active": False, "active_url": replicas.active().own_url}
        listening = http.client.HTTPConnection(standby.own_url.partition("//")[2], timeout=20)
        listening.request("GET", "/v1/events", headers={**HEADERS, "Authorization": "Bearer " + replicas.admin})
        stream = listening.getresponse()
        assert stream.readline() == b"event: state\n" and b'"db"' in stream.readline()
        page = http.client.HTTPConnection(standby.own_url.partition("//")[2], timeout=20)
        page.request("GET", "/")
        assert page.getresponse().status == 200
        # Passed on once, never again.
        twice = standby.call("GET", "/v1/leases", headers={**HEADERS, "Lease-Forwarded": "http://another"})
        assert (twice.status, twice.kind) == (503, "stopping")
        active = replicas.active()
        active.stop()
        listening.close()
        until(lambda: standby.call("GET", "/v1/leases").status == 200, 20)
        assert standby.state()["active"] and standby.lease("db")["pinned"], "in good order the seat is given back and needs no waiting"


def test_without_etcd_every_answer_is_an_error_and_afterwards_everything_is_there(tmp_path):
    with Etcd(tmp_path / "etcd") as own, Replicas(tmp_path, own, 2) as replicas:
        active = replicas.active()
        active.claim("db", "db/0", 300)
        active.pin("db")
        own.members[0].kill()
        body = {"items": [{"application": "db"}], "run": "r1"}
        unpinned = active.call("POST", "/v1/unpin", body)
        read = active.call("GET", "/v1/leases")
        for answer in (unpinned, read):
            assert (answer.status, answer.kind) in ((503, "stopping"), (504, "timeout"), (507, "not_durable")), answer
        own.members[0].start()
        until(lambda: active.call("GET", "/v1/leases").status == 200, 30)
        assert active.lease("db")["holder"] == "db/0" and (active.lease("db")["pinned"] or unpinned.kind == "timeout")


def test_no_active_replica_is_said_in_one_sentence(etcd, tmp_path, store):
    seat = Seat(store, "", 5)  # as an import has it
    seat.take()
    replica = Replicas(tmp_path, etcd, 1, ("--etcd-prefix", store.prefix)).all[0]
    replica.start()
    try:
        answer = replica.call("GET", "/v1/leases")
        assert (answer.status, answer.kind) == (503, "stopping") and "no replica is active" in answer.body["msg"]
        seat.leave()
        until(lambda: replica.call("GET", "/v1/leases").status == 200, 20)
    finally:
        replica.stop()


def test_replica_without_tokens_or_with_wrong_words_ends_with_one_sentence(etcd, tmp_path):
    there = ("--ledger", "etcd", "--etcd-endpoints", etcd.endpoints[0], "--advertise-url", "http://127.0.0.1:1")
    for words, said in (
        (there, "there are no tokens"), (there[:4], "--advertise-url"), (there[:2] + there[4:], "etcd's endpoints"),
        ((*there, "--seat-ttl", "1"), "--seat-ttl"),
        ((*there, "--etcd-prefix", "x"), "prefix"), ((*there, "--etcd-user", "x"), "password"),
    ):
        refused = cli("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *words)
        assert refused.returncode == 1 and said in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr


def test_tls_and_a_user_of_etcd_who_may_only_its_prefix(tmp_path):
    with Etcd(tmp_path / "etcd", tls=True) as own:
        own.enable_auth()
        own.user("leases", "secret", "/leases/")
        (tmp_path / "password").write_text("secret\n", encoding="utf-8")
        more = ("--etcd-prefix", "/leases", "--etcd-user", "leases", "--etcd-password-file", str(tmp_path / "password"),
                "--etcd-ca", str(own.certificates.ca))
        with Replicas(tmp_path, own, 2, more) as replicas:
            assert replicas.standby().claim("db", "db/0").status == 200
        assert json.loads(own.ctl("get", "/leases/application/db", "--print-value-only"))["lease"][0]["holder"] == "db/0"


def test_request_is_passed_on_over_tls_only_to_whom_the_certificates_vouch_for(tmp_path):
    certificates = Certificates(tmp_path / "certificates")
    cert, key = certificates.issue("leases")
    active = Endpoint(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key))
    active.start()

    async def ask(ca_file):
        forwarder = Forwarder("https://me", ca_file)
        forwarder.target = active.url
        async with httpx.AsyncClient(transport=httpx.ASGITransport(forwarder), base_url="http://standby") as client:
            return await client.get("/v1/whoami", headers={**HEADERS, "Authorization": "Bearer " + active.tokens["admin"]})

    try:
        trusted, strange = asyncio.run(ask(certificates.ca)), asyncio.run(ask(None))
    finally:
        active.stop()
    assert trusted.status_code == 200 and trusted.json()["identity"] == "admin"
    assert strange.status_code == 503 and "certificate" in strange.json()["msg"]
