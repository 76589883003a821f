"""Applications on a fleet that is up, by hand. They go when the fleet goes.

    python -m tests.fleet NAME              two native applications and a lease endpoint; prints the inventory that knows them
    python -m tests.fleet patroni NAME      a PostgreSQL cluster with etcd and Patroni, on a fleet of image patroni
"""

from __future__ import annotations

import sys

from tests.testbed import Fleet

from .applications import NativeFleet
from .endpoint import Endpoint
from .patroni import PatroniFleet


def main(*words: str) -> None:
    """Start them, and say how they are reached."""
    if words[:1] == ("patroni",):
        cluster = PatroniFleet(Fleet(*words[1:])).install()
        print(f"members: {' '.join(cluster.urls)}\nauthority: {cluster.ca}\nuser: operator\npassword: in {cluster.password_file}")
        return
    fleet = Fleet(*words)
    print(NativeFleet(fleet, Endpoint(fleet).start()).install().inventory)


if __name__ == "__main__":
    main(*sys.argv[1:])
