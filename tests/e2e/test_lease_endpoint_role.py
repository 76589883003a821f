"""The role lease_endpoint on a real machine: --check changes nothing, it installs a service over TLS, a second run changes nothing."""

from __future__ import annotations

import json
import os

import pytest

from tests.fleet.role import Role
from tests.testbed import Fleet

from .test_testbed import wait_until


class Host:
    """One real machine with the role."""

    def __init__(self, fleet, place) -> None:
        (self.machine,) = fleet.machines
        password = place / "patroni.password"
        password.write_text("never shown\n", encoding="utf-8")
        self.token = place / "operator.token"
        self.role = Role(
            fleet, fleet.machines, place, self.token,
            lease_endpoint_tokens=[
                {"name": "operator", "scopes": ["read", "pin"], "fetch_to": str(self.token)},
                {"name": "m1", "scopes": ["hold", "pin"], "units": ["queue=rabbit@m1", "db/0"], "expires_in": "1d"},
            ],
            # Nobody answers at that address: what is tried is that the endpoint knows of it.
            lease_endpoint_applications={"pg": {
                "provider": "patroni", "members": {"pg/0": "https://127.0.0.1:9"}, "username": "leases", "timeout": 1,
                "password_file": "/etc/lease-endpoint/secrets/patroni.password"}},
            lease_endpoint_secrets={"patroni.password": str(password)},
            lease_endpoint_limit_failures="3/hour")

    def apply(self, *words: str) -> dict:
        """Apply the role; return the machine's recap."""
        return self.role.apply(*words)["m1"]

    def ask(self, path: str) -> dict:
        """Return what the endpoint answers the operator."""
        return self.role.ask(self.machine, path)


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory):
    with Fleet.up("endpoint-role-%d" % os.getpid(), machines=1, image="bookworm", owner=os.getpid()) as fleet:
        yield Host(fleet, tmp_path_factory.mktemp("role"))


def test_the_role_installs_a_service_and_a_second_run_changes_nothing(host):
    host.role.carry_the_libraries()
    host.apply("--check", "--diff")
    assert host.machine.ssh("ls -d /opt/lease-endpoint /etc/lease-endpoint /usr/local/bin/lease_endpoint; id lease-endpoint", check=False).stdout == ""

    assert host.apply()["changed"] > 0
    token = host.token.read_text(encoding="utf-8").strip()
    assert host.token.stat().st_mode & 0o777 == 0o600
    shown = host.machine.ssh("lease_endpoint token list && systemctl is-active lease-endpoint && stat -c %U:%a /var/lib/lease-endpoint").stdout
    assert "operator" in shown and "active\n" in shown and "lease-endpoint:700\n" in shown and token not in shown

    for words in ([], ["--check"]):
        assert host.apply(*words)["changed"] == 0, words


def test_what_is_secret_is_read_by_root_and_the_service_alone(host):
    files = "applications.json secrets secrets/* tls.key /var/lib/lease-endpoint/audit.jsonl"
    shown = host.machine.ssh("cd /etc/lease-endpoint && stat -c '%n %a %U %G' " + files).stdout
    assert shown.splitlines() == [
        "applications.json 640 root lease-endpoint", "secrets 750 root lease-endpoint", "secrets/patroni.password 640 root lease-endpoint",
        "tls.key 640 root lease-endpoint", "/var/lib/lease-endpoint/audit.jsonl 600 lease-endpoint lease-endpoint"]


def test_applications_that_are_led_elsewhere_are_known_and_what_cannot_be_read_is_said(host):
    assert host.ask("/v1/leases?application=pg")["unreadable"][0]["application"] == "pg"


def test_machine_holds_what_it_hosts_and_the_audit_log_outlives_its_rotation(host):
    host.machine.put(host.role.ca, "/root/ca.pem")
    as_m1 = "LEASE_ENDPOINT_TOKEN=$(cat /var/lib/lease-endpoint/issued/m1.token) "
    as_m1 += "lease_endpoint hold db --ca-file /root/ca.pem --holder %s -- true"
    assert host.machine.ssh(as_m1 % "db/0", check=False).returncode == 0
    host.machine.ssh("mv /var/lib/lease-endpoint/audit.jsonl /var/lib/lease-endpoint/audit.jsonl.1")
    refused = host.machine.ssh(as_m1 % "db/1", check=False)
    assert refused.returncode == 2 and "only as db/0, not as db/1" in refused.stderr + refused.stdout
    first, second = (json.loads(host.machine.ssh("head -n 1 /var/lib/lease-endpoint/audit.jsonl" + end).stdout) for end in (".1", ""))
    assert (first["verb"], first["identity"], first["holder"], first["address"]) == ("claim", "m1", "db/0", host.machine.ip)
    assert (second["outcome"], second["kind"], second["holder"]) == ("refused", "forbidden", "db/1")
    rules = host.machine.ssh("[ ! -d /etc/logrotate.d ] || cat /etc/logrotate.d/lease-endpoint").stdout
    assert not rules or "/var/lib/lease-endpoint/audit.jsonl {" in rules


def test_token_rotated_by_command_is_fetched_by_the_next_run_and_both_are_good_meanwhile(host):
    old = host.token.read_text(encoding="utf-8")
    host.machine.ssh("lease_endpoint token rotate operator --overlap 1h --output /var/lib/lease-endpoint/issued/operator.token")
    assert host.apply()["changed"] == 1
    assert host.token.read_text(encoding="utf-8") != old and host.ask("/v1/whoami")["identity"] == "operator"
    host.token.write_text(old, encoding="utf-8")
    assert host.ask("/v1/whoami")["identity"] == "operator"
    assert host.apply()["changed"] == 1


def test_taken_out_of_the_inventory_an_application_is_native_again(host):
    host.role.variables["lease_endpoint_applications"] = {}
    assert host.apply("--check", "--diff")["changed"] > 0
    assert "pg" in host.machine.ssh("cat /etc/lease-endpoint/applications.json").stdout, "check mode changes nothing"
    assert host.apply()["changed"] > 0
    assert host.ask("/v1/leases?application=pg") == {"leases": [], "unknown": ["pg"], "unreadable": []}
    assert host.apply()["changed"] == 0


def test_the_installed_service_answers_over_tls_also_after_a_reboot(host):
    assert host.ask("/v1/whoami")["identity"] == "operator"
    before = host.machine.boot_id()
    host.machine.ssh("systemctl reboot", check=False)
    wait_until(lambda: host.machine.ssh("cat /proc/sys/kernel/random/boot_id", check=False).stdout.strip() not in ("", before), "another boot")
    wait_until(lambda: host.role.answers(host.machine), "the endpoint to answer again")
