"""The role lease_endpoint as replicas: etcd on three real machines, an endpoint on two of them, and whoever is active dies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pytest
import yaml

from tests.fleet.controller import ANSIBLE, CHECKOUT
from tests.fleet.endpoint import PACKAGE, PORT
from tests.fleet.etcd import EtcdFleet
from tests.fleet.role import Role
from tests.testbed import Fleet

from .test_testbed import wait_until

# It is not to come back by itself: then the other one must do.
KILL_FOR_GOOD = """set -e
install -d /run/systemd/system/lease-endpoint.service.d
printf '[Service]\\nRestart=no\\n' >/run/systemd/system/lease-endpoint.service.d/killed.conf
systemctl daemon-reload
systemctl kill -s KILL lease-endpoint
"""
PAGE = CHECKOUT / "roles/lease_endpoint/README.md"
BRING_BACK = "rm /run/systemd/system/lease-endpoint.service.d/killed.conf && systemctl daemon-reload && systemctl start lease-endpoint"


def example() -> dict:
    """Return the variables of the role's page that make replicas."""
    blocks = re.findall(r"^( *)```yaml\n(.*?)^\1```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (role,) = [yaml.safe_load(textwrap.dedent(text))[0]["roles"][0] for _indent, text in blocks if "lease_endpoint_etcd" in text]
    return {name: value for name, value in role.items() if name.startswith("lease_endpoint_")}


class Replicas:
    """Endpoints on m1 and m2, which share tokens that were made beforehand."""

    def __init__(self, fleet: Fleet, place) -> None:
        self.fleet, self.machines = fleet, fleet.machines[:2]
        self.etcd = EtcdFleet(fleet.machines)
        for machine in fleet.machines:
            self.etcd.start(machine)
        wait_until(self.etcd.whole, "etcd to be whole")
        token = place / "operator.token"
        subprocess.run([sys.executable, "-m", "lease_endpoint", "token", "create", "operator", "--data-dir", str(place / "data"), "--scope", "read",
                        "--scope", "pin", "--output", str(token)], check=True, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, stdout=subprocess.DEVNULL)
        # As on the page, with our files and addresses.
        self.role = Role(fleet, self.machines, place, token, **{
            **example(), "lease_endpoint_etcd": {"endpoints": self.etcd.urls}, "lease_endpoint_tokens_file": str(place / "data/tokens.json")})
        self.role.variables["lease_endpoint_secrets"] = {"leases-ca.pem": str(self.role.ca)}

    def active(self) -> list:
        """Return the machines whose endpoint says that it is the active one."""
        return [machine for machine in self.machines if self.role.answers(machine) and self.role.ask(machine, "/replica")["active"]]

    def pins(self, machine) -> list:
        """Return [(application, pinner), ...] as the endpoint of a machine tells it."""
        return [(pin["application"], pin["pinner"]) for pin in self.role.ask(machine, "/v1/pins")["pins"]]

    def pin(self, machine, state: str) -> None:
        """Pin db through the endpoint of a machine, or let go of it, by the collection's own module."""
        words = f"applications=db run=replicas reason='to be seen everywhere' allow_no_leader=true state={state}"
        self.fleet.run([f"{ANSIBLE}", "localhost", "-m", "leasehold.series_upgrade.lease_pin", "-a", words], check=True, cwd=CHECKOUT,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={
                           **os.environ, "LEASE_ENDPOINT_URL": f"https://{machine.ip}:{PORT}", "LEASE_ENDPOINT_CA_FILE": str(self.role.ca),
                           "LEASE_ENDPOINT_TOKEN": self.role.token.read_text(encoding="utf-8").strip()})


@pytest.fixture(name="replicas", scope="module")
def _replicas(tmp_path_factory):
    with Fleet.up(f"endpoint-replicas-{os.getpid()}", machines=3, image="patroni", owner=os.getpid()) as fleet:
        replicas = Replicas(fleet, tmp_path_factory.mktemp("replicas"))
        replicas.role.carry_the_libraries()
        yield replicas


def test_the_role_makes_replicas_and_a_second_run_changes_nothing(replicas):
    assert all(recap["changed"] > 0 for recap in replicas.role.apply().values())
    assert all(recap["changed"] == 0 for recap in replicas.role.apply().values())


def test_either_replica_answers_and_both_name_the_same_active_one(replicas):
    wait_until(lambda: len(replicas.active()) == 1, "one replica to be active")
    (active,) = replicas.active()
    for machine in replicas.machines:
        assert replicas.role.ask(machine, "/v1/whoami")["identity"] == "operator"
        assert replicas.role.ask(machine, "/replica")["active_url"] == f"https://{active.ip}:{PORT}"


def test_a_pin_taken_through_the_one_that_stands_by_outlives_the_death_of_the_active_one(replicas):
    (active,) = replicas.active()
    (other,) = [machine for machine in replicas.machines if machine is not active]
    replicas.pin(other, "present")
    assert replicas.pins(active) == replicas.pins(other) == [("db", "operator/replicas")]
    active.ssh(KILL_FOR_GOOD)
    wait_until(lambda: replicas.active() == [other], f"{other.name} to take over")
    assert replicas.pins(other) == [("db", "operator/replicas")]
    active.ssh(BRING_BACK)
    wait_until(lambda: replicas.role.answers(active), "the dead one to stand by")
    assert replicas.role.ask(active, "/replica")["active"] is False
    assert replicas.pins(active) == [("db", "operator/replicas")]


def test_the_pin_is_there_when_every_machine_has_lost_power_and_can_be_taken_off_through_any(replicas):
    before = {machine: machine.boot_id() for machine in replicas.fleet.machines}
    for machine in replicas.fleet.machines:
        machine.cut_power()
    for machine in replicas.machines:
        wait_until(lambda machine=machine: replicas.role.answers(machine), f"the endpoint of {machine.name} to answer again")
    assert all(machine.boot_id() != before[machine] for machine in replicas.fleet.machines)
    first, second = replicas.machines
    assert replicas.pins(first) == replicas.pins(second) == [("db", "operator/replicas")]
    replicas.pin(first, "absent")
    assert replicas.pins(second) == []
