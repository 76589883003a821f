"""Where the test bed keeps what it keeps, and the one network plan of every fleet.

Each fleet has network namespaces of its own, so all fleets may use the same addresses at the same time.
"""

from __future__ import annotations

import os
import pathlib

CACHE = pathlib.Path(os.environ.get("LEASEHOLD_TESTBED_CACHE", "/var/cache/leasehold-testbed"))
DOWNLOADS = CACHE / "apt"        # package files and indexes, by the hash of their address: safe to share, never stale
IMAGES = CACHE / "images"        # golden disks and the two-series archive, by the hash of what made them
FLEETS = CACHE / "fleets"        # one directory per fleet that is up; gone when it is down

CONTROL_NODE = "10.77.0.1"       # the bridge: where playbooks, the endpoint and the archive mirror live
MIRROR_PORT = 3142
NETMASK = 24


def machine_address(index: int) -> str:
    """Return the address of machine ``index`` (1 is the first)."""
    return f"10.77.0.{10 + index}"


def mirror_url(label: str, host: str = CONTROL_NODE, port: int = MIRROR_PORT) -> str:
    """Return the address under which a fleet's machines see the archive called ``label``."""
    return f"http://{host}:{port}/{label}"
