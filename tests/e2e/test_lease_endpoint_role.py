"""The role lease_endpoint on a real machine: --check changes nothing, it installs a service over TLS, a second run changes nothing."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.fleet.endpoint import ASK
from tests.testbed import Fleet

from .test_testbed import wait_until

TOP = pathlib.Path(__file__).parents[2]
REQUIREMENTS = TOP / "roles/lease_endpoint/files/requirements.txt"
WHEELS = "/root/wheels"


class Host:
    """One real machine, and the role as an operator would apply it to it."""

    def __init__(self, fleet: Fleet, place: pathlib.Path) -> None:
        self.machine, self.fleet, self.place = fleet["m1"], fleet, place
        self.address = self.machine.ip + ":8470"
        self.token = place / "operator.token"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30", "-subj", "/CN=lease endpoint",
             "-addext", "subjectAltName=IP:" + self.machine.ip, "-keyout", "lease.key", "-out", "lease.pem"],
            check=True, capture_output=True, cwd=place)
        (place / "play.yml").write_text(json.dumps([{"hosts": "m1", "gather_facts": False, "roles": [{
            "role": "leasehold.series_upgrade.lease_endpoint",
            "lease_endpoint_listen": self.address,
            "lease_endpoint_tls_cert": str(place / "lease.pem"),
            "lease_endpoint_tls_key": str(place / "lease.key"),
            # The machine has no way out but apt's.
            "lease_endpoint_pip_args": ["--no-index", "--find-links", WHEELS],
            "lease_endpoint_tokens": [{"name": "operator", "scopes": ["read", "pin"], "fetch_to": str(self.token)}],
        }]}]), encoding="utf-8")

    def carry_the_libraries(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS),
             "-d", str(self.place / "wheels")],
            check=True, capture_output=True, timeout=240)
        packed = self.place / "wheels.tar"
        subprocess.run(["tar", "-C", str(self.place / "wheels"), "-cf", str(packed), "."], check=True)
        with open(packed, "rb") as stream:
            self.fleet.run(["ssh", *self.fleet.ssh_options, "root@" + self.machine.ip, "mkdir -p %s && tar -C %s -xf -" % (WHEELS, WHEELS)],
                           check=True, stdin=stream)

    def apply(self, *words: str) -> dict:
        """Apply the role; returns the recap of the machine: {ok, changed, failures, ...}."""
        played = self.fleet.run(
            [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.fleet.inventory_path), str(self.place / "play.yml"), *words],
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, cwd=TOP)
        recap = [line for line in played.stdout.splitlines() if line.startswith("m1 ") and "ok=" in line]
        assert played.returncode == 0 and recap, played.stdout
        return {key: int(value) for key, value in (word.split("=") for word in recap[-1].split(":", 1)[1].split())}


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory):
    with Fleet.up("endpoint-role-%d" % os.getpid(), machines=1, image="bookworm", owner=os.getpid()) as fleet:
        yield Host(fleet, tmp_path_factory.mktemp("role"))


def test_the_role_installs_a_service_and_a_second_run_changes_nothing(host):
    host.carry_the_libraries()
    host.apply("--check", "--diff")
    assert host.machine.ssh("ls -d /opt/lease-endpoint /etc/lease-endpoint /usr/local/bin/lease_endpoint; id lease-endpoint", check=False).stdout == ""

    assert host.apply()["changed"] > 0
    token = host.token.read_text(encoding="utf-8").strip()
    assert host.token.stat().st_mode & 0o777 == 0o600
    shown = host.machine.ssh("lease_endpoint token list && systemctl is-active lease-endpoint && stat -c %U:%a /var/lib/lease-endpoint").stdout
    assert "operator" in shown and "active\n" in shown and "lease-endpoint:700\n" in shown and token not in shown

    for words in ([], ["--check"]):
        assert host.apply(*words)["changed"] == 0, words


def test_the_installed_service_answers_over_tls_also_after_a_reboot(host):
    question = [sys.executable, str(ASK), "https://" + host.address, str(host.place / "lease.pem"), str(host.token), "/v1/whoami"]
    assert json.loads(host.fleet.run(question, check=True, stdout=subprocess.PIPE, timeout=60).stdout)["identity"] == "operator"
    before = host.machine.boot_id()
    host.machine.ssh("systemctl reboot", check=False)
    wait_until(lambda: host.machine.ssh("cat /proc/sys/kernel/random/boot_id", check=False).stdout.strip() not in ("", before), "another boot")
    wait_until(lambda: host.fleet.run(question, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60).returncode == 0, "the endpoint to answer again")
