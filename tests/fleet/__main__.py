"""Put native applications and a lease endpoint on a fleet that is up: python -m tests.fleet NAME. They go when the fleet goes."""

from __future__ import annotations

import sys

from tests.testbed import Fleet

from .applications import NativeFleet
from .endpoint import Endpoint


def main(name: str) -> None:
    """Start them, and print the inventory that knows them."""
    fleet = Fleet(name)
    print(NativeFleet(fleet, Endpoint(fleet).start()).install().inventory)


if __name__ == "__main__":
    main(*sys.argv[1:])
