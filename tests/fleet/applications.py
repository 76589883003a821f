"""Units as systemd services on real machines, and playbooks run from the fleet's control node."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

from tests.testbed import Fleet

from .endpoint import PACKAGE, Endpoint

CHECKOUT = pathlib.Path(__file__).parents[2]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible")
LEASE = 10      # seconds; far below what an upgrade keeps a unit away: without a pin its leadership is lost
# Two applications that share machines, with leaders on different ones: db's on m1, cache's on m2. Both put their leader last.
APPLICATIONS = {
    "db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}},
    "cache": {"units": {"cache/0": "m2", "cache/1": "m3"}},
}
SERVICE = """[Unit]
Description={unit}, a unit of {application}
RequiresMountsFor=/srv/data
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 /opt/leasehold/hold.py {application} --holder {unit} --url {url} --ca-file /etc/leasehold/ca.pem \
    --token-file /etc/leasehold/token --duration {lease} --state-file /srv/data/{name}.json -- /bin/sleep infinity
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""


class NativeFleet:
    """A fleet whose machines carry the units of ``applications``; the first unit of each becomes its leader."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint, applications: dict | None = None, **variables: object) -> None:
        """``variables`` go into the inventory, beside those the collection needs. A smaller fleet carries what fits on it."""
        self.fleet = fleet
        self.endpoint = endpoint
        self.units = _fitting(APPLICATIONS if applications is None else applications, [machine.name for machine in fleet.machines])
        self.variables = variables
        self.inventory = fleet.state / "applications.json"

    def install(self) -> "NativeFleet":
        """Return when every unit runs and the leaders are the intended ones."""
        for machine in self.fleet.machines:
            machine.put(PACKAGE / "lease_endpoint/hold.py", "/opt/leasehold/hold.py")
            machine.put(self.endpoint.ca, "/etc/leasehold/ca.pem")
            machine.put(self.endpoint.token_file("units"), "/etc/leasehold/token", "600")
        for application, rules in self.units.items():
            for unit, host in rules["units"].items():
                self._service(application, unit, host)
        self.inventory.write_text(json.dumps({"all": {"vars": self._inventory()}}, indent=1), encoding="utf-8")
        return self

    def _service(self, application: str, unit: str, host: str) -> None:
        name = unit.replace("/", "-")
        text = SERVICE.format(application=application, unit=unit, name=name, url=self.endpoint.url, lease=LEASE)
        self.fleet[host].ssh(f"cat >/etc/systemd/system/{name}.service && systemctl daemon-reload && systemctl enable --quiet --now {name}", stdin=text)
        first = next(iter(self.units[application]["units"]))
        self.until(lambda: self.endpoint.leases().get(application, {}).get("holder") == first, f"{first} leads {application}")

    def _inventory(self) -> dict:
        ours = {
            "drain": "systemctl stop {unit_name}.service",
            "resume": "systemctl start {unit_name}.service",
            "checks": [{"name": "{unit} runs", "kind": "systemd", "unit": "{unit_name}.service"}, {"name": "{unit} is reached", "kind": "tcp", "port": 22}],
        }
        return {
            "lease_endpoint_url": self.endpoint.url,
            "lease_endpoint_ca_file": str(self.endpoint.ca),
            "lease_endpoint_token": self.endpoint.token_file("operator").read_text(encoding="utf-8").strip(),
            "series_upgrade_target": "trixie",
            "series_upgrade_applications": {name: {**ours, **rules} for name, rules in self.units.items()},
            "series_upgrade_snapshot": {"kind": "btrfs"},
            "series_upgrade_report_dir": str(self.fleet.state / "reports"),
            # Short, for tests; above (allowed_misses + 1) x interval.
            "series_upgrade_grace": 6, "series_upgrade_interval": 2, "series_upgrade_allowed_misses": 2,
            # The two-series archive is nobody's official one: what becomes of it has to be said.
            **({"series_upgrade_debian": {"sources": {"*/two-series*": "follow"}}} if self.fleet.image == "two-series" else {}),
            **self.variables,
        }

    def play(self, playbook: str, *extra: str, timeout: float = 1800) -> subprocess.CompletedProcess:
        """Run one of the collection's playbooks from the control node; its whole output is in ``stdout``."""
        command = [f"{ANSIBLE}-playbook", "-i", str(self.fleet.inventory_path), "-i", str(self.inventory),
                   f"leasehold.series_upgrade.{playbook}", *extra]
        log = self.fleet.state / f"{time.strftime('%H%M%S')}-{playbook}.log"      # there to be read while it runs
        with open(log, "w", encoding="utf-8") as out:
            done = self.fleet.run(command, cwd=CHECKOUT, timeout=timeout, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env)
        done.stdout = log.read_text(encoding="utf-8")
        return done

    def hand_back(self) -> None:
        """Return when the first unit of every application leads it again, moved by the collection's own module."""
        for application, rules in self.units.items():
            first = next(iter(rules["units"]))
            words = f"application={application} to={first} reason='the test wants it back'"
            self.fleet.run([str(ANSIBLE), "localhost", "-m", "leasehold.series_upgrade.lease_transfer", "-a", words], check=True, cwd=CHECKOUT,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={
                               **self.env, "LEASE_ENDPOINT_URL": self.endpoint.url, "LEASE_ENDPOINT_CA_FILE": str(self.endpoint.ca),
                               "LEASE_ENDPOINT_TOKEN": self.endpoint.token_file("operator").read_text(encoding="utf-8").strip()})
            self.until(lambda application=application: not self.endpoint.leases()[application]["handover"], f"{first} to act as leader")

    @property
    def env(self) -> dict:
        """Return the environment of playbooks: nothing of them is left under the home directory."""
        home = self.fleet.state / "ansible"
        return {**os.environ, "ANSIBLE_HOME": str(home), "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}

    def series(self) -> dict:
        """Return {machine: codename of the live series}."""
        return {machine.name: machine.series() for machine in self.fleet.machines}

    @staticmethod
    def until(true, what: str, patience: float = 60) -> None:
        """Return when ``true()`` is; raise TimeoutError saying what did not come about."""
        deadline = time.monotonic() + patience
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {patience} s: {what}")
            time.sleep(0.2)


def _fitting(applications: dict, machines: list) -> dict:
    there = {name: {unit: host for unit, host in rules["units"].items() if host in machines} for name, rules in applications.items()}
    return {name: {**applications[name], "units": units} for name, units in there.items() if units}
