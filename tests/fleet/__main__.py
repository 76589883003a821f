"""Applications on a fleet that is up, by hand. They go when the fleet goes.

    python -m tests.fleet NAME              two native applications and a lease endpoint; prints the inventory that knows them
    python -m tests.fleet patroni NAME      a PostgreSQL cluster with etcd and Patroni, on a fleet of image patroni (or patroni-two-series)
    python -m tests.fleet clustered NAME    the same, with an endpoint that knows it and the inventory for playbooks
"""

from __future__ import annotations

import sys

from tests.testbed import Fleet

from .applications import NativeFleet
from .clustered import ClusteredFleet
from .endpoint import Endpoint
from .patroni import PatroniFleet


def main(*words: str) -> None:
    """Start them, and say how they are reached."""
    if words[:1] == ("patroni",):
        cluster = PatroniFleet(Fleet(*words[1:])).install()
        print(f"members: {' '.join(cluster.urls)}\nauthority: {cluster.ca}\nuser: operator\npassword: in {cluster.password_file}")
        return
    if words[:1] == ("clustered",):
        print(ClusteredFleet(Fleet(*words[1:])).install().inventory)
        return
    fleet = Fleet(*words)
    print(NativeFleet(fleet, Endpoint(fleet).start()).install().inventory)


if __name__ == "__main__":
    main(*sys.argv[1:])
