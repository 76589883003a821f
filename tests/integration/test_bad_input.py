# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is wrong with what a run is given, it is told in one sentence with the next step, and nothing is changed."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import free_port, os_release
from tests.integration.on_stage import run, stage_of, variables

FLEET = {"db": {"units": {"db/0": "m1", "db/1": "m2"}}}


@pytest.fixture(scope="module")
def stage():
    with stage_of(FLEET) as made:
        yield made


def looks(stage):
    """Everything that a run could have changed: machines, leaders, pins."""
    files = {str(path) for machine in stage.machines for path in stage.home(machine).rglob("*") if path.name != "control.sock"}
    leases = {name: (lease["holder"], lease["term"], lease["pinned"], lease["halted"]) for name, lease in stage.leases().items()}
    return files, leases, {machine: stage.series(machine) for machine in stage.machines}


def refused(stage, *words, playbook="upgrade_series", **values):
    """Runs with VALUES, and wants an error that says WORDS, no traceback, and everything as it was."""
    before = looks(stage)
    ran = run(stage, playbook, *variables(**values))
    assert ran.code != 0, ran.said
    for word in words:
        assert word in ran.said, ran.said
    for noise in ("Traceback", "MODULE FAILURE", "Unexpected failure", "is undefined"):
        assert noise not in ran.said, ran.said
    assert looks(stage) == before
    return ran.said


def test_an_application_that_nobody_leads_is_named(stage):
    refused(stage, "ghost", "leader", series_upgrade_applications={**stage.applications, "ghost": {"units": {"ghost/0": "m1"}, "min_healthy": 0}})


def test_an_application_that_does_not_exist_is_named(stage):
    refused(stage, "nosuch", playbook="rollback", series_upgrade_rollback="nosuch")


def test_a_unit_on_a_machine_that_is_not_in_the_inventory_is_named(stage):
    refused(stage, "db/2", "m9", series_upgrade_applications={"db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m9"}}})


def test_an_endpoint_that_is_down_is_told_with_its_address(stage):
    address = "http://127.0.0.1:%d" % free_port()
    refused(stage, address, lease_endpoint_url=address)


@contextlib.contextmanager
def self_signed(directory):
    """A TLS server that no authority vouches for; gives its address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield "https://127.0.0.1:%d" % server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_an_endpoint_with_a_certificate_nobody_vouches_for_is_not_talked_to(stage, tmp_path):
    with self_signed(tmp_path) as address:
        refused(stage, "certificate", address, lease_endpoint_url=address)


def test_a_wrong_token_is_told_and_never_shown(stage):
    said = refused(stage, "token", lease_endpoint_token="not-the-token-at-all")
    assert "not-the-token-at-all" not in said


def test_an_application_that_somebody_else_has_pinned_is_refused_with_their_name_and_reason(stage):
    pin = {"items": [{"application": "db"}], "run": "rack-move", "reason": "moving racks"}
    stage.post("pin", {**pin, "duration": 600}, token="boss")
    try:
        refused(stage, "boss/rack-move", "moving racks")
    finally:
        stage.post("unpin", pin, token="boss")


def test_a_target_that_does_not_follow_the_live_series_is_told_with_the_one_that_does(stage):
    refused(stage, "forky", "bookworm", "trixie", series_upgrade_target="forky")


@pytest.mark.parametrize("target", [7.4, ["trixie"]])
def test_a_target_that_is_no_text_is_refused_as_such(stage, target):
    refused(stage, "target", "codename", series_upgrade_target=target)


def test_a_limit_that_leaves_the_controller_out_does_not_look_like_a_run_with_nothing_to_do(stage):
    before = looks(stage)
    ran = run(stage, "upgrade_series", "--limit", "m1")
    assert ran.code != 0 and "series_upgrade_scope" in ran.said, ran.said
    assert looks(stage) == before


def test_a_disk_that_is_too_small_is_told_with_both_numbers(stage):
    refused(stage, "m1", "free", "999999999", preflight_min_free_mb=999999999)


def test_a_control_socket_whose_path_is_too_long_is_told_before_anything_is_armed(stage):
    refused(stage, "m1", "bytes", "upgrade_watcher_runtime_dir", upgrade_watcher_runtime_dir="/tmp/" + "x" * 100)


def test_a_damaged_marker_is_told_and_left_as_it_is(stage):
    directory = stage.home("m1") / "state"
    directory.mkdir()
    marker = directory / "marker.json"
    marker.write_text("{ this was a marker", encoding="utf-8")
    try:
        refused(stage, "m1", "marker")
        assert marker.read_text(encoding="utf-8") == "{ this was a marker"
    finally:
        marker.unlink()
        directory.rmdir()


def test_a_machine_that_is_on_the_target_already_is_skipped_and_said_so(stage):
    release = stage.home("m2") / "os-release"
    old = release.read_text(encoding="utf-8")
    release.write_text(os_release("trixie"), encoding="utf-8")
    try:
        before = looks(stage)
        ran = run(stage, "preflight")
        assert ran.code == 0 and "m2" in ran.said and "is on trixie already" in ran.said, ran.said
        assert looks(stage) == before
    finally:
        release.write_text(old, encoding="utf-8")
