"""Put native applications and a lease endpoint on a fleet that is up: python -m tests.fleet NAME. They go when the fleet goes."""

from __future__ import annotations

import sys

from tests.testbed import Fleet

from .applications import APPLICATIONS, NativeFleet
from .endpoint import Endpoint


def main(name: str) -> None:
    """Start them, and print the inventory that knows them."""
    fleet = Fleet(name)
    machines = [machine.name for machine in fleet.machines]
    applications = {
        application: {**rules, "units": {unit: host for unit, host in rules["units"].items() if host in machines}}
        for application, rules in APPLICATIONS.items()
    }
    applications = {application: rules for application, rules in applications.items() if rules["units"]}
    print(NativeFleet(fleet, Endpoint(fleet).start(), applications).install().inventory)


if __name__ == "__main__":
    main(*sys.argv[1:])
