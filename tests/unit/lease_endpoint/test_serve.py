# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting an endpoint: addresses, TLS, first token, clock, ledger."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from lease_endpoint.cli import app
from lease_endpoint.clock import Clock
from lease_endpoint.errors import Invalid, NotDurable
from lease_endpoint.ledger.sqlite import Ledger
from lease_endpoint.records import Lease, Pin
from lease_endpoint.serve import Address
from tests.contract.endpoint import HEADERS, PACKAGE, cli, environment


def certificate(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lease")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "192.0.2.1:8470", "[::]:8470", "example.org:8470"])
def test_any_address_but_loopback_needs_tls(listen):
    with pytest.raises(Invalid, match="no loopback address"):
        Address.parse(listen, None, None)
    assert Address.parse(listen, Path("c"), Path("k")).url(8470).startswith("https://")


@pytest.mark.parametrize("listen, url", [("127.0.0.1:0", "http://127.0.0.1:0"), ("[::1]:1", "http://[::1]:1"), ("localhost:1", "http://localhost:1")])
def test_loopback_goes_without_tls(listen, url):
    address = Address.parse(listen, None, None)
    assert address.url(address.port) == url


@pytest.mark.parametrize("listen", ["8470", "127.0.0.1", "127.0.0.1:x", ":8470", "127.0.0.1:99999"])
def test_malformed_address_is_invalid(listen):
    with pytest.raises(Invalid, match="HOST:PORT"):
        Address.parse(listen, None, None)


def test_half_of_tls_is_invalid():
    with pytest.raises(Invalid, match="belong together"):
        Address.parse("127.0.0.1:1", Path("c"), None)


def test_serve_speaks_tls_and_says_where_the_first_token_is(tmp_path):
    cert_file, key_file = certificate(tmp_path)
    argv = [sys.executable, "-m", "lease_endpoint", "serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen([*argv, "--tls-cert", str(cert_file), "--tls-key", str(key_file)], env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        url = serving.stdout.readline().strip()
        token_file = tmp_path / "data/admin.token"
        assert url.startswith("https://") and str(token_file) in serving.stderr.readline()
        assert token_file.stat().st_mode & 0o777 == 0o600
        headers = dict(HEADERS, Authorization="Bearer " + token_file.read_text(encoding="ascii").strip())
        context = ssl.create_default_context(cafile=cert_file)
        with urllib.request.urlopen(urllib.request.Request(url + "/v1/whoami", headers=headers), context=context, timeout=10) as answer:
            assert json.load(answer)["identity"] == "admin"
        status = cli("status", "--url", url, "--token-file", str(token_file), "--ca-file", str(cert_file))
        assert (status.returncode, status.stdout) == (0, "no application has claimed a lease yet\n")
        untrusted = cli("status", "--url", url, "--token-file", str(token_file))
        assert untrusted.returncode == 1 and "certificate" in untrusted.stderr and "Traceback" not in untrusted.stderr
        serving.terminate()
        assert serving.wait(10) == 0


def test_token_commands_refuse_with_one_sentence(tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ["token", *words, "--data-dir", str(tmp_path)])

    assert run("create", "ci", "--scope", "pin", "--application", "db-*", "--output", str(tmp_path / "t")).exit_code == 0
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600
    assert run("list").stdout == "ci\tpin\tdb-*\t-\t-\n"
    for words in (("create", "ci", "--scope", "pin"), ("create", "x", "--scope", "root"), ("create", "a b", "--scope", "pin"), ("revoke", "nobody")):
        refused = run(*words)
        assert refused.exit_code == 1 and len(refused.stderr.splitlines()) == 1, refused
    assert run("revoke", "ci").exit_code == 0
    assert run("list").stdout == ""


def test_token_is_shown_once_on_standard_output(tmp_path):
    made = cli("token", "create", "ci", "--data-dir", str(tmp_path), "--scope", "pin")
    assert made.returncode == 0 and made.stdout.startswith("lease_") and made.stderr == ""


def test_endpoint_time_never_goes_back():
    moments = iter([100.0, 107.0, 50.0, 108.0])
    clock = Clock(1000.0, lambda: next(moments))
    assert [clock.now(), clock.now(), clock.now()] == [1007.0, 1007.0, 1008.0]


def test_transaction_that_raises_leaves_nothing(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    pin = Pin("db", "a/r", "a", "r", "x", 0.0, 60.0, 60.0, None, 0)
    with pytest.raises(RuntimeError):
        with ledger.write() as book:
            book.put(Lease("db"))
            book.put(pin)
            raise RuntimeError
    with ledger.write() as book:
        assert book.leases() == [] and book.pins() == []
        book.put(Lease("db"))
        book.put(pin)
        book.put(Lease("db", term=1))  # replacing a lease must not take its pins along
    with ledger.read() as book:
        assert book.pins() == [pin] and book.lease("db").term == 1
    ledger.close()


def test_ledger_of_a_newer_format_is_refused(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger._db.execute("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(NotDurable, match="format 99"):
        Ledger(tmp_path / "ledger")


def test_every_commit_is_synced(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    assert ledger._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert ledger._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    ledger.close()


def test_role_installs_the_pinned_libraries():
    role = PACKAGE / "requirements.txt"
    assert role.read_text(encoding="utf-8") == (PACKAGE.parents[2] / "requirements/endpoint.txt").read_text(encoding="utf-8")
