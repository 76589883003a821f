# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What room an upgrade takes, by file system. Private room of the collection."""

from __future__ import annotations

import os
import re
from typing import Dict, List, Mapping, NamedTuple

from .isolated import Isolated, NotPredicted
from .system import System

MB = 1024 * 1024
# Maintainer scripts, logs, caches that grow, and our own backup of /etc and dpkg's lists.
RESERVE_MB = 128
# These keep every block that the upgrade replaces.
KEEPING = ("btrfs", "zfs")


class Record(NamedTuple):
    """Of a package of the target: bytes to fetch, bytes unpacked."""

    size: int
    unpacked: int


class Need(NamedTuple):
    """place: a directory on the file system; needed and free: MB; parts: MB by what for."""

    place: str
    needed: int
    free: int
    parts: Mapping[str, int]


def records(apt: Isolated, versions: Mapping[str, str]) -> Dict[str, Record]:
    """Raises NotPredicted when apt does not tell."""
    if not versions:
        return {}
    shown = apt.ask("apt-cache", "show", *["{0}={1}".format(name, version) for name, version in sorted(versions.items())])
    found = {}
    for stanza in shown.out.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Size|Installed-Size): (.*)$", stanza, re.MULTILINE))
        name = fields.get("Package")
        if name is not None and versions.get(name) == fields.get("Version") and "Size" in fields:
            found.setdefault(name, Record(int(fields["Size"]), int(fields.get("Installed-Size", 0)) * 1024))
    lacking = sorted(set(versions) - set(found))
    if lacking:
        raise NotPredicted("apt does not tell the size of {0}.".format(", ".join(lacking[:5])))
    return found


def needs(system: System, found: Mapping[str, Record], upgraded: Mapping[str, str], removed: List[str], snapshot: str, state_dir: str,
          lists_mb: int) -> List[Need]:
    """What each file system needs and has. Raises OSError when dpkg or a file system does not answer."""
    shown = system.run(["dpkg-query", "--show", "--showformat", "${Package}\t${Installed-Size}\n"])
    if shown.rc != 0:
        raise OSError("dpkg-query does not answer: {0}".format(shown.err.strip()[:200]))
    old = {name: int(size or 0) * 1024 for name, dummy, size in (line.partition("\t") for line in shown.out.splitlines())}
    new = sum(record.unpacked for record in found.values())
    gone = sum(old.get(name, 0) for name in [*upgraded, *removed])
    # dpkg keeps a package's old files until its new ones are all there.
    largest = max([record.unpacked for record in found.values()] or [0])
    kernels = [name for name in found if re.match(r"^linux-image-\d", name) and name not in upgraded]
    parts = [
        ("/usr", "packages", (new if snapshot in KEEPING else max(0, new - gone) + largest) // MB),
        ("/var/cache/apt/archives", "archives", sum(record.size for record in found.values()) // MB + 1 if found else 0),
        ("/var/lib/apt/lists", "lists", lists_mb),
        ("/boot", "kernels", len(kernels) * _kernel_mb(system)),
        (state_dir, "reserve", RESERVE_MB),
        ("/", "reserve", RESERVE_MB),
    ]
    return _by_file_system(system, parts)


def _by_file_system(system: System, parts: List) -> List[Need]:
    together: Dict[int, Dict[str, int]] = {}
    places: Dict[int, str] = {}
    free: Dict[int, int] = {}
    for place, what, megabytes in parts:
        there = system.path(place)
        while not os.path.isdir(there):
            there = os.path.dirname(there)
        device = os.stat(there).st_dev
        room = os.statvfs(there)
        # The shortest name of a file system is the one people know it by.
        places[device] = min(places.get(device, place), place, key=len)
        free[device] = room.f_bavail * room.f_frsize // MB
        mine = together.setdefault(device, {})
        mine[what] = max(mine.get(what, 0), megabytes) if what == "reserve" else mine.get(what, 0) + megabytes
    return sorted(Need(places[device], sum(mine.values()), free[device], mine) for device, mine in together.items())


def _kernel_mb(system: System) -> int:
    """What one kernel takes in /boot, by the largest that is there; a usual one when none is."""
    sizes = [os.path.getsize(system.path(path)) + sum(os.path.getsize(system.path(other)) for other in system.glob("/boot/initrd.img-" + version))
             for path in system.glob("/boot/vmlinuz-*") for version in [path.split("vmlinuz-", 1)[1]]]
    # A newer kernel and its firmware are larger than the old one.
    return int(max(sizes) * 1.5) // MB + 1 if sizes else 150
