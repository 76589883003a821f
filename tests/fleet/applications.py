"""Units as systemd services on real machines, and playbooks run from the fleet's control node."""

from __future__ import annotations

import subprocess

from tests.testbed import Fleet

from .controller import ANSIBLE, CHECKOUT, Controller
from .endpoint import PACKAGE, Endpoint

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


class NativeFleet(Controller):
    """A fleet whose machines carry the units of ``applications``; the first unit of each becomes its leader."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint, applications: dict | None = None, **variables: object) -> None:
        """``variables`` go into the inventory, beside those the collection needs. A smaller fleet carries what fits on it."""
        super().__init__(fleet, endpoint, "applications.json")
        self.units = _fitting(APPLICATIONS if applications is None else applications, [machine.name for machine in fleet.machines])
        self.variables = variables

    def install(self) -> "NativeFleet":
        """Return when every unit runs and the leaders are the intended ones."""
        for machine in self.fleet.machines:
            machine.put(PACKAGE / "lease_endpoint/hold.py", "/opt/leasehold/hold.py")
            machine.put(self.endpoint.ca, "/etc/leasehold/ca.pem")
            machine.put(self.endpoint.token_file("units"), "/etc/leasehold/token", "600")
        for application, rules in self.units.items():
            for unit, host in rules["units"].items():
                self._service(application, unit, host)
        self.describe({**self.rules(), **self.variables})
        return self

    def _service(self, application: str, unit: str, host: str) -> None:
        name = unit.replace("/", "-")
        text = SERVICE.format(application=application, unit=unit, name=name, url=self.endpoint.url, lease=LEASE)
        self.fleet[host].ssh(f"cat >/etc/systemd/system/{name}.service && systemctl daemon-reload && systemctl enable --quiet --now {name}", stdin=text)
        first = next(iter(self.units[application]["units"]))
        self.until(lambda: self.endpoint.leases().get(application, {}).get("holder") == first, f"{first} leads {application}")

    def rules(self) -> dict:
        """Return what the inventory says of these applications."""
        ours = {
            "drain": "systemctl stop {unit_name}.service",
            "resume": "systemctl start {unit_name}.service",
            "checks": [{"name": "{unit} runs", "kind": "systemd", "unit": "{unit_name}.service"}, {"name": "{unit} is reached", "kind": "tcp", "port": 22}],
        }
        return {
            "series_upgrade_applications": {name: {**ours, **rules} for name, rules in self.units.items()},
            # Short, for tests; above (allowed_misses + 1) x interval.
            "series_upgrade_grace": 6, "series_upgrade_interval": 2, "series_upgrade_allowed_misses": 2,
            # The two-series archive is nobody's official one: what becomes of it has to be said.
            **({"series_upgrade_debian": {"sources": {"*/two-series*": "follow"}}} if self.fleet.image.endswith("two-series") else {}),
        }

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


def _fitting(applications: dict, machines: list) -> dict:
    there = {name: {unit: host for unit, host in rules["units"].items() if host in machines} for name, rules in applications.items()}
    return {name: {**applications[name], "units": units} for name, units in there.items() if units}
