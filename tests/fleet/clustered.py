"""The run that matters: a Patroni cluster on three machines, a native application on any machine beyond them, one endpoint for both."""

from __future__ import annotations

import json

from tests.testbed import Fleet

from .applications import NativeFleet
from .controller import Controller
from .endpoint import Endpoint
from .patroni import PatroniFleet

# What an operator writes for such a cluster; docs/runbook.md has the same.
DB = {
    "order": "leader_last",
    "drain": "runuser -u postgres -- /usr/lib/postgresql/15/bin/psql -qc CHECKPOINT",
    "checks": [
        {"name": "{unit}: PostgreSQL runs under Patroni", "kind": "http", "url": "https://{machine}:8008/health"},
        {"name": "{unit}: etcd has a leader", "kind": "http", "url": "http://{machine}:2379/health"},
    ],
    "no_return": {
        "rule": "last_machine",
        "command": "v=$(curl -sf http://{machine}:2379/version) || exit 127; echo \"$v\" | grep -q '\"etcdcluster\":\"3.5'",
        "reason": "the etcd cluster runs as 3.5, which no member of 3.4 joins",
    },
}
PATIENCE = 20       # s that PostgreSQL may need to come back after a boot; also the time that the new series is watched


class ClusteredFleet(Controller):
    """``leader`` is hold or handover. A fourth machine carries the application ``cache``, which has nothing to do with the cluster."""

    def __init__(self, fleet: Fleet, leader: str = "hold") -> None:
        self.cluster = PatroniFleet(fleet, fleet.machines[:3])
        super().__init__(fleet, Endpoint(fleet, fleet.state / "leadership.json"), "applications.json")
        self.leader = leader
        self.others = NativeFleet(fleet, self.endpoint, {"cache": {"units": {"cache/0": "m4"}}})

    def install(self) -> "ClusteredFleet":
        """Return when the cluster is whole with pg1 leading, and the endpoint reads it."""
        self.cluster.install()
        (self.fleet.state / "leadership.json").write_text(json.dumps({"db": self.cluster.provider}), encoding="utf-8")
        self.endpoint.start()
        rules = self.others.install().rules()
        units = {member: machine.name for member, machine in self.cluster.members.items()}
        rules["series_upgrade_applications"]["db"] = {**DB, "leader": self.leader, "units": units}
        self.describe({**rules, "series_upgrade_grace": PATIENCE})
        self.until(lambda: self.endpoint.leases().get("db", {}).get("holder") == "pg1", "the endpoint to read who leads db")
        return self
