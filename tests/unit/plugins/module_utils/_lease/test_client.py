# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client makes of the endpoint's answers: the answer, a refusal with its kind, or no conclusion at all."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import socket
import ssl
import threading
import time

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease import client as client_room
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease import lease as values
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease.client import NAMES_PER_READ, Client


def lease(name, **more):
    return {"application": name, "holder": name + "/0", "term": 3, "pins": [], **more}


class Scripted:
    """Answers in the order given and keeps what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, method, url, headers, body):
        self.asked.append((method, url, headers, json.loads(body) if body else None))
        status, answer = self.answers.pop(0)
        return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def client(*answers):
    send = Scripted(*answers)
    return Client("http://endpoint:8470/", "s3cret\n", send=send), send


def test_leases_are_read_by_name_and_the_unknown_are_told_apart():
    asker, send = client((200, {"leases": [lease("db")], "unknown": ["nope"]}))
    found = asker.leases(["db", "nope"])
    assert found["db"].holder == "db/0" and not found["db"].pinned and found.unknown == ["nope"]
    method, url, headers, body = send.asked[0]
    assert (method, url, body) == ("GET", "http://endpoint:8470/v1/leases?application=db&application=nope", None)
    assert headers["Lease-Protocol"] == "1" and headers["Authorization"] == "Bearer s3cret"


def test_leadership_that_cannot_be_read_is_an_error_and_never_an_absence():
    answer = {"leases": [lease("db")], "unknown": [], "unreadable": [{"application": "pg", "kind": "unreachable", "msg": "no member of pg answers"}]}
    asker, send = client((200, answer), (200, answer))
    with pytest.raises(values.Unreachable, match="pg cannot be read: no member of pg answers"):
        asker.leases()
    found = asker.leases(partial=True)
    assert list(found) == ["db"] and found.unreadable == {"pg": "pg cannot be read: no member of pg answers"}


def test_many_names_are_asked_for_in_several_lines():
    names = ["a%03d" % number for number in range(NAMES_PER_READ + 1)]
    asker, send = client((200, {"leases": [lease(name) for name in names[:NAMES_PER_READ]], "unknown": []}), (200, {"leases": [], "unknown": names[-1:]}))
    assert len(asker.leases(names)) == NAMES_PER_READ and len(send.asked) == 2


def test_no_name_is_not_the_same_as_all_names():
    asker, send = client()
    assert asker.leases([]) == {} and not send.asked


def test_pin_answers_for_each_application():
    asker, send = client((200, {"results": [
        {"application": "db", "ok": True, "changed": True, "lease": lease("db", pins=[{"pinner": "me/run"}])},
        {"application": "web", "ok": False, "kind": "no_leader", "msg": "web has no leader"},
    ]}))
    answer = asker.pin(["db", "web"], "run", "because", 60, session="s1", exclusive=True, terms={"db": 3})
    assert answer["db"].changed and answer["db"].lease.pinned and answer["db"].error is None
    assert isinstance(answer["web"].error, values.NoLeader) and not answer["web"].ok
    assert send.asked[0][3] == {"run": "run", "reason": "because", "duration": 60, "exclusive": True, "allow_no_leader": False, "session": "s1",
                                "items": [{"application": "db", "term": 3}, {"application": "web"}]}


def test_application_about_which_nothing_is_said_is_not_taken_for_pinned():
    asker, send = client((200, {"results": []}))
    with pytest.raises(values.Unreachable, match="said nothing about db"):
        asker.pin(["db"], "run", "because")


def test_unpin_of_ones_own_names_the_run_and_of_anothers_the_pinner():
    asker, send = client(*[(200, {"results": [{"application": "db", "ok": True, "changed": False, "lease": None}]})] * 2)
    asker.unpin(["db"], "run")
    asker.unpin(["db"], "run", "he left", pinner="him/run")
    assert send.asked[0][3] == {"items": [{"application": "db"}], "run": "run"}
    assert send.asked[1][3] == {"items": [{"application": "db"}], "pinner": "him/run", "reason": "he left"}


def test_transfer_carries_the_term_it_was_decided_on():
    asker, send = client((200, {"lease": lease("db", holder="db/1", term=4)}))
    assert asker.transfer("db", "db/1", "because", run="run", term=3).term == 4
    assert send.asked[0][3] == {"application": "db", "to": "db/1", "reason": "because", "run": "run", "term": 3}


@pytest.mark.parametrize("kind", sorted(set(values.KINDS) - {"unreachable"}))
def test_each_kind_of_refusal_is_an_error_of_its_own(kind):
    asker, send = client((409, {"kind": kind, "msg": "no", "pinners": ["a/b"]}))
    with pytest.raises(values.KINDS[kind]) as caught:
        asker.whoami()
    assert (caught.value.kind, caught.value.msg, caught.value.details["pinners"]) == (kind, "no", ["a/b"])


@pytest.mark.parametrize("status, answer", [
    (200, b"<html>"), (404, {"detail": "Not Found"}), (302, b""), (200, []), (200, {"leases": [{"application": "db"}]}), (200, {}),
    (500, {"kind": "hiccup", "msg": "?"}),
], ids=["html", "other service", "redirect", "list", "half a lease", "nothing", "unknown kind"])
def test_answer_that_cannot_be_understood_proves_nothing(status, answer):
    asker, send = client((status, answer))
    with pytest.raises(values.Unreachable):
        asker.leases()


@pytest.mark.parametrize("url", ["", "endpoint:8470", "file:///etc/passwd"])
def test_address_must_be_one(url):
    with pytest.raises(values.Invalid, match="set endpoint_url to something like"):
        Client(url)


def test_token_is_in_no_error():
    asker, send = client((200, b"s"))
    with pytest.raises(values.LeaseError) as caught:
        asker.whoami()
    assert "s3cret" not in caught.value.msg + repr(caught.value.details)


# Over a real loopback socket: what goes wrong below HTTP, and one address that answers elsewhere.


class Elsewhere(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/v1/whoami":
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/v1/leases" and len(self.asked) < 3:
            answer = json.dumps({"kind": "stopping", "msg": "no replica is active at present", "retry_in": 0}).encode()
            self.send_response(503)
            self.send_header("Retry-After", "0")
        else:
            answer = json.dumps({"pins": [], "tombstones": [], "halts": [], "leases": [], "unknown": [], "unreadable": []}).encode()
            self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture(name="serve")
def serve_():
    servers = []

    def serve(context=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return "%s://127.0.0.1:%d" % ("https" if context else "http", server.server_address[1])

    Elsewhere.asked = []
    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_redirect_is_not_followed(serve):
    with pytest.raises(values.Unreachable, match="answered HTTP 307 and not the lease protocol"):
        Client(serve()).whoami()
    assert Elsewhere.asked == ["/v1/whoami"]


def test_client_asks_again_while_replicas_say_that_none_is_active_yet(serve, monkeypatch):
    assert list(Client(serve()).leases()) == [] and len(Elsewhere.asked) == 3
    Elsewhere.asked.clear()
    monkeypatch.setattr(client_room, "TAKING_OVER", -1.0)
    with pytest.raises(values.LeaseError, match="no replica is active") as caught:
        Client(serve()).leases()
    assert caught.value.kind == "stopping" and len(Elsewhere.asked) == 1


def test_proxy_is_not_asked_for_loopback(serve, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Client(serve()).pins()["pins"] == []


def test_refused_connection_says_so():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(values.Unreachable, match="no answer from the lease endpoint at http://127.0.0.1:.*is the endpoint running there"):
            Client("http://127.0.0.1:%d" % nobody.getsockname()[1]).pins()


def test_silence_is_unreachable_after_the_timeout():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(values.Unreachable, match="it stayed silent for 0.1 s"):
            Client("http://127.0.0.1:%d" % silent.getsockname()[1], timeout=0.1).pins()


@pytest.fixture(name="certificate", scope="module")
def certificate_(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "endpoint")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256()))
    path = tmp_path_factory.mktemp("tls") / "endpoint.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(path)


def test_certificate_is_checked_and_the_ca_file_makes_it_good(serve, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url = serve(context)
    with pytest.raises(values.Unreachable, match="its certificate is not trusted by the system's certificates .*; set endpoint_ca_file"):
        Client(url).pins()
    assert Client(url, ca_file=certificate).pins()["pins"] == []


def test_ca_file_that_cannot_be_read_is_named(serve):
    with pytest.raises(values.Invalid, match="the CA file /nonexistent.pem cannot be read"):
        Client("https://127.0.0.1:1", ca_file="/nonexistent.pem").pins()


@pytest.mark.parametrize("url", ["http://192.0.2.1:8470", "http://leases.example:8470", "http://[2001:db8::1]", "http://127.example"])
def test_no_token_is_sent_in_the_clear(url):
    with pytest.raises(values.Invalid, match="in the clear.*https"):
        Client(url, "lease_x_s3cret", timeout=0.1).whoami()


def test_machine_that_is_not_there_is_noticed_before_the_patience_for_an_answer_is_spent(monkeypatch):
    monkeypatch.setattr(client_room, "CONNECT", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for dummy in range(3)]
        for one in waiting:  # they fill the queue, so that the next one gets no answer at all
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        begun = time.monotonic()
        with pytest.raises(values.Unreachable, match="no connection within 0.3 s"):
            Client("http://127.0.0.1:%d" % full.getsockname()[1], timeout=30).whoami()
        assert time.monotonic() - begun < 5
        for one in waiting:
            one.close()


def test_answer_may_take_longer_than_a_connection(monkeypatch):
    monkeypatch.setattr(client_room, "CONNECT", 0.1)
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()

        def answer():
            accepted = slow.accept()[0]
            accepted.recv(4096)
            time.sleep(0.4)  # longer than CONNECT: that is what is tried
            body = json.dumps({"pins": [], "tombstones": [], "halts": []}).encode()
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            accepted.close()

        threading.Thread(target=answer, daemon=True).start()
        assert Client("http://127.0.0.1:%d" % slow.getsockname()[1], timeout=10).pins()["pins"] == []
