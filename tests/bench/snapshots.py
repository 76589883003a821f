# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of a btrfs root and the way back to it, beside the bare btrfs commands on the same file system."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import time
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot.btrfs import Btrfs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import run_step
from tests.bench.table import Table

# As many files as a small system has, so that copying them would be seen.
FILES = 20000
TITLE = "Snapshot of a btrfs root with %d files and the way back, median of %d"


def measure(directory: pathlib.Path, quick: bool) -> Table:
    rounds, files = (1, 200) if quick else (7, FILES)
    table = Table(TITLE % (files, rounds))
    lacking = needs()
    if lacking:
        table.notes = ["Not measured: it needs %s." % lacking]
        return table
    ours: list[tuple[float, float]] = []
    rival: list[tuple[float, float]] = []
    for number in range(rounds):
        # A disk for each: a snapshot that others share blocks with is no longer the same work.
        for how, found in ((by_room, ours), (by_hand, rival)):
            with disk(directory / ("%s%d" % (how.__name__, number)), files) as (root, device):
                found.append(how(root, device))
    for index, what in enumerate(("create", "revert, until the next boot is the old system")):
        unit = "s (%s)" % what.partition(",")[0]
        table.add("%s: our snapshot room" % what, statistics.median(pair[index] for pair in ours), unit)
        table.add("%s: bare btrfs commands" % what, statistics.median(pair[index] for pair in rival), unit)
    table.notes = ["Ours also proves each step, carries the watcher's record along and keeps the failed root; both end with a sync. No reboot in either."]
    return table


def needs() -> str:
    """What is lacking here; empty when nothing is."""
    if os.geteuid() != 0:
        return "root"
    lacking = [name for name in ("mkfs.btrfs", "btrfs", "losetup", "mount") if shutil.which(name) is None]
    return ", ".join(lacking)


@contextlib.contextmanager
def disk(place: pathlib.Path, files: int) -> t.Iterator[tuple[pathlib.Path, str]]:
    """A btrfs of its own, whose default subvolume is the system at `root`. Mounts and loop device are gone afterwards, whatever happens."""
    root, image = place / "root", place / "disk.img"
    root.mkdir(parents=True)
    with contextlib.ExitStack() as undo:
        with open(image, "wb") as file:
            file.truncate(1024 ** 3)
        undo.callback(image.unlink)
        do("mkfs.btrfs", "-q", str(image))
        device = do("losetup", "--find", "--show", str(image)).strip()
        undo.callback(do, "losetup", "--detach", device)
        undo.callback(unmount, root)
        do("mount", device, str(root))
        do("btrfs", "subvolume", "create", str(root / "system"))
        do("btrfs", "subvolume", "set-default", str(root / "system"))
        do("umount", str(root))
        do("mount", device, str(root))
        state = root / "var" / "lib" / "series-upgrade"
        state.mkdir(parents=True)
        (state / "marker.json").write_text("{}", encoding="ascii")
        for number in range(files):
            folder = root / "usr" / str(number // 500)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(number)).write_bytes(b"x" * 5000)
        do("btrfs", "filesystem", "sync", str(root))
        yield root, device


def unmount(root: pathlib.Path) -> None:
    while os.path.ismount(root):
        do("umount", "--recursive", str(root))


def by_room(root: pathlib.Path, device: str) -> tuple[float, float]:
    """Seconds of create and of revert by the collection's own room."""
    # The bench's machine boots from elsewhere: its kernel command line and fstab say nothing about this disk.
    proc = root.parent / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").symlink_to("/proc/self/mountinfo")
    (proc / "cmdline").write_text("quiet\n", encoding="ascii")
    room = Btrfs({"kind": "btrfs", "root": str(root), "min_free_mb": 50}, programs.run, proc=str(proc), fstab=str(proc / "fstab"))
    began = time.monotonic()
    record = room.create("bench")
    created = time.monotonic()
    for step in room.revert_steps(record, str(root / "var" / "lib" / "series-upgrade")):
        run_step(step)
    return created - began, time.monotonic() - created


def by_hand(root: pathlib.Path, device: str) -> tuple[float, float]:
    """The same as a person would type it: mount the top, snapshot, sync; writable copy, set-default, sync."""
    top = root.parent / "top"
    top.mkdir()

    def on_top(*commands: tuple[str, ...]) -> float:
        began = time.monotonic()
        do("mount", "-o", "subvolid=5", device, str(top))
        try:
            for command in commands:
                do("btrfs", *command)
            do("btrfs", "filesystem", "sync", str(top))
        finally:
            do("umount", str(top))
        return time.monotonic() - began

    created = on_top(("subvolume", "snapshot", "-r", str(root), str(top / "pre")))
    return created, on_top(("subvolume", "snapshot", str(top / "pre"), str(top / "back")), ("subvolume", "set-default", str(top / "back")))


def do(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
