# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of etcd's JSON gateway against real etcd: what it says when a member is dead, stopped or restarted, users, TLS."""

from __future__ import annotations

import http.server
import socket
import threading

import pytest

from lease_endpoint.errors import Unreachable
from lease_endpoint.etcd_gateway import Gateway, NotApplied, Refused, Unsure, prefix_end
from lease_endpoint.etcd_words import created, delete, get, leased, move, put
from tests.etcd import Etcd, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def gateway(etcd):
    opened = Gateway(etcd.endpoints)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with Etcd(tmp_path_factory.mktemp("secured"), tls=True, client_certs=True) as running:
        running.enable_auth()
        running.user("app", "app-secret", "/app/")
        yield running


def options(secured, tmp_path, password="app-secret"):
    cert, key = secured.certificates.issue("client", named=False)
    (tmp_path / "password").write_text(password + "\n", encoding="utf-8")
    return {"user": "app", "password_file": str(tmp_path / "password"), "ca_file": str(secured.certificates.ca), "cert_file": str(cert), "key_file": str(key)}


def test_transaction_runs_one_branch_and_tells_which(gateway):
    first = gateway.txn([created(b"t/x", 0)], [put(b"t/x", b"1")], [get(b"t/x")])
    second = gateway.txn([created(b"t/x", 0)], [put(b"t/x", b"2")], [get(b"t/x")])
    assert (first.succeeded, second.succeeded) == (True, False)
    found = second.answers[0].kvs[0]
    assert (found.key, found.value, found.create, found.version) == (b"t/x", b"1", first.revision, 1)
    assert gateway.txn([], [delete(b"t/", prefix_end(b"t/"))]).answers == (1,)


def test_range_is_complete_and_oldest_first_when_asked(gateway):
    for name in (b"r/2", b"r/1", b"r/3"):
        gateway.txn([], [put(name, name)])
    found = gateway.range(b"r/", prefix_end(b"r/"), oldest_first=True)
    assert [kv.key for kv in found.kvs] == [b"r/2", b"r/1", b"r/3"] and found.count == 3
    assert [kv.key for kv in gateway.range(b"r/", prefix_end(b"r/"), limit=1).kvs] == [b"r/1"]


def test_key_moves_from_lease_to_lease_with_its_value_and_creation(gateway):
    old, new = gateway.grant(60).lease, gateway.grant(90, lease=4711)
    assert (new.lease, new.ttl) == (4711, 90)
    gateway.txn([], [put(b"m/x", b"v", old)])
    before = gateway.range(b"m/x").kvs[0]
    assert gateway.txn([leased(b"m/x", old)], [move(b"m/x", 4711)]).succeeded
    after = gateway.range(b"m/x").kvs[0]
    assert (after.value, after.create, after.lease) == (b"v", before.create, 4711)
    assert gateway.revoke(old) and gateway.range(b"m/x").kvs
    assert gateway.time_to_live(4711, keys=True).keys == (b"m/x",)
    assert gateway.revoke(4711) and not gateway.range(b"m/x").kvs


def test_lease_that_is_gone_is_told_apart_from_one_that_lives(gateway):
    granted = gateway.grant(60)
    assert gateway.keep_alive(granted.lease) == 60 and gateway.time_to_live(granted.lease).granted == 60
    assert gateway.revoke(granted.lease) is True
    assert (gateway.keep_alive(granted.lease), gateway.time_to_live(granted.lease), gateway.revoke(granted.lease)) == (0, None, False)
    with pytest.raises(Refused) as refused:
        gateway.txn([], [put(b"l/x", b"", granted.lease)])
    assert refused.value.code == 5


def test_dead_member_costs_nothing_but_the_next_one(gateway, etcd):
    both = Gateway(["http://127.0.0.1:1", *etcd.endpoints])
    assert both.txn([], [put(b"d/x", b"1")]).succeeded and both.range(b"d/x").count == 1


def test_write_that_no_member_took_is_certainly_not_applied():
    with pytest.raises(NotApplied) as trouble:
        Gateway(["http://127.0.0.1:1", "http://127.0.0.1:2"]).grant(60)
    assert "127.0.0.1:1" in trouble.value.msg and "127.0.0.1:2" in trouble.value.msg and trouble.value.kind == "unreachable"


def test_write_to_a_member_that_falls_silent_is_unknown_and_is_not_sent_to_another(tmp_path):
    with Etcd(tmp_path / "etcd") as alone:
        silent = Gateway(alone.endpoints, timeout=1.0)
        silent.txn([], [put(b"s/x", b"1")])
        alone.members[0].pause()
        with pytest.raises(Unsure):
            silent.txn([], [put(b"s/x", b"2")])
        with pytest.raises(NotApplied):
            silent.range(b"s/x")
        alone.members[0].resume()
        assert silent.range(b"s/x", timeout=10).kvs[0].value in (b"1", b"2")


def test_answer_that_is_cut_off_leaves_a_write_unknown():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut():
            connection, peer = server.accept()
            with connection:
                assert connection.recv(65536) and peer

        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(Unsure):
            Gateway([f"http://127.0.0.1:{server.getsockname()[1]}"]).grant(60)
        thread.join()


def test_cluster_without_a_majority_says_so_and_reads_nothing_old(tmp_path):
    with Etcd(tmp_path / "etcd", members=3) as three:
        gateway = Gateway(three.endpoints, timeout=3.0)
        gateway.txn([], [put(b"q/x", b"1")])
        three.members[1].kill()
        assert gateway.range(b"q/x", timeout=15).kvs[0].value == b"1"
        three.members[2].kill()
        with pytest.raises(NotApplied):
            gateway.range(b"q/x")
        with pytest.raises(Unreachable):
            gateway.txn([], [put(b"q/x", b"2")])


def test_something_that_is_no_etcd_is_named_so():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
    try:
        with pytest.raises(NotApplied) as trouble:
            Gateway([f"http://127.0.0.1:{server.server_port}"]).range(b"x")
        assert "without etcd's JSON" in trouble.value.msg
    finally:
        server.shutdown()
        server.server_close()


def test_user_logs_in_over_tls_and_sees_its_prefix_alone(secured, tmp_path):
    gateway = Gateway(secured.endpoints, **options(secured, tmp_path))
    assert gateway.txn([], [put(b"/app/x", b"1")]).succeeded
    with pytest.raises(Refused) as refused:
        gateway.txn([], [put(b"/other/x", b"1")])
    assert refused.value.code == 7 and "user app" in refused.value.msg


def test_login_is_renewed_when_the_member_has_forgotten_it(secured, tmp_path):
    gateway = Gateway(secured.endpoints, **options(secured, tmp_path))
    gateway.txn([], [put(b"/app/x", b"1")])
    secured.members[0].kill()
    secured.members[0].start()
    secured.wait()
    assert gateway.range(b"/app/x").count == 1
    secured.ctl("user", "add", "newcomer:secret")  # a change of users ends all logins
    assert gateway.txn([], [put(b"/app/x", b"2")]).succeeded


def test_wrong_password_is_refused_without_telling_it(secured, tmp_path):
    with pytest.raises(Refused) as refused:
        Gateway(secured.endpoints, **options(secured, tmp_path, "wrong-secret")).range(b"/app/x")
    assert "wrong-secret" not in refused.value.msg and "user app" in refused.value.msg


def test_missing_password_file_is_named(secured, tmp_path):
    with pytest.raises(NotApplied) as trouble:
        Gateway(secured.endpoints, **{**options(secured, tmp_path), "password_file": str(tmp_path / "nowhere")}).range(b"/app/x")
    assert "nowhere" in trouble.value.msg


def test_member_with_a_certificate_of_a_strange_authority_is_not_spoken_to(secured, tmp_path):
    wrong = options(secured, tmp_path)
    wrong["ca_file"] = None  # the system's authorities do not know the tests' own
    with pytest.raises(NotApplied) as trouble:
        Gateway(secured.endpoints, **wrong).range(b"/app/x")
    assert "CERTIFICATE_VERIFY_FAILED" in trouble.value.msg


def test_certificate_with_a_common_name_beside_a_user_is_refused_with_what_to_do(secured, tmp_path):
    cert, key = secured.certificates.issue("somebody")
    with pytest.raises(Refused) as refused:
        Gateway(secured.endpoints, **{**options(secured, tmp_path), "cert_file": str(cert), "key_file": str(key)}).range(b"/app/x")
    assert "empty subject" in refused.value.msg


def test_client_without_a_certificate_is_turned_away(secured, tmp_path):
    with pytest.raises(Unreachable):
        Gateway(secured.endpoints, **{**options(secured, tmp_path), "cert_file": None, "key_file": None}).range(b"/app/x")
