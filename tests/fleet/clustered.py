"""The run that matters: a Patroni cluster on three machines, a native application on any machine beyond them, one endpoint for both."""

from __future__ import annotations

import json
import pathlib

import yaml

from tests.testbed import Fleet

from .applications import NativeFleet
from .controller import Controller
from .endpoint import Endpoint
from .patroni import PatroniFleet

# What an operator writes for such a cluster: users copy that file, so the tests use it as it is.
INVENTORY = pathlib.Path(__file__).parents[1] / "molecule/patroni/group_vars/all.yml"


class ClusteredFleet(Controller):
    """``leader`` is hold or handover. A fourth machine carries the application ``cache``, which has nothing to do with the cluster."""

    def __init__(self, fleet: Fleet, leader: str = "hold", **variables: object) -> None:
        """``variables`` go into the inventory, beside those the collection needs."""
        self.cluster = PatroniFleet(fleet, fleet.machines[:3])
        super().__init__(fleet, Endpoint(fleet, fleet.state / "leadership.json"), "applications.json")
        self.leader = leader
        self.variables = variables
        self.others = NativeFleet(fleet, self.endpoint, {"cache": {"units": {"cache/0": "m4"}}})

    def install(self) -> "ClusteredFleet":
        """Return when the cluster is whole with pg1 leading, and the endpoint reads it."""
        self.cluster.install()
        (self.fleet.state / "leadership.json").write_text(json.dumps({"db": self.cluster.provider}), encoding="utf-8")
        self.endpoint.start()
        inventory = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))
        inventory["series_upgrade_applications"]["db"]["leader"] = self.leader
        rules = self.others.install().rules()
        inventory["series_upgrade_applications"].update(rules.pop("series_upgrade_applications"))
        self.describe({**rules, **inventory, **self.variables})
        self.until(lambda: self.endpoint.leases().get("db", {}).get("holder") == "pg1", "the endpoint to read who leads db")
        return self
