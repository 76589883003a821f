"""The control group that holds a fleet's processes: one per fleet, below it a fresh one for every boot."""

from __future__ import annotations

import os
import pathlib
import time


def cgroup_of(name: str) -> pathlib.Path | None:
    """Return the fleet's control group (version 2, wherever this box has it), or None when the box has none."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _device, mountpoint, kind = line.split()[:3]
        if kind == "cgroup2":
            return pathlib.Path(mountpoint) / f"leasehold-testbed-{name}"
    return None


def sweep_cgroup(group: pathlib.Path | None) -> None:
    """Remove a control group whose processes are gone (they take a moment to be)."""
    deadline = time.monotonic() + 10
    while group is not None and group.exists() and time.monotonic() < deadline:
        for directory, _names, _files in os.walk(group, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                time.sleep(0.05)
