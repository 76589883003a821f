# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all kinds of snapshot want of file systems: what is mounted where, a mount for a moment, the record carried along. Private room."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence

from .._watcher.steps import Result, StepFailed

Run = Callable[..., Result]

# What a series upgrade writes beside the old blocks that the snapshot keeps: 1.3 to 1.7 GB were seen on small machines.
LEAST_FREE_MB = 2048

# A snapshot without one of these would bring back half a system.
VITAL = ("etc", "usr", "lib/modules", "var/lib/dpkg")

# Files of a live process; a copy would be taken for its own.
NOT_CARRIED = ("lock", "*.sock", "*.tmp")
# Lies in a carried state directory and names the snapshot whose revert has brought it there.
CARRIED = "carried"


class Mount(NamedTuple):
    """One line of mountinfo. root: the path inside the file system that is mounted at point."""

    point: str
    root: str
    kind: str
    source: str
    options: str


def mounts(text: str) -> List[Mount]:
    """The lines of /proc/self/mountinfo, with its octal escapes undone."""
    found = []
    for line in text.splitlines():
        before, _dash, after = line.partition(" - ")
        words, rest = before.split(), after.split()
        if len(words) >= 5 and len(rest) >= 3:
            found.append(Mount(_plain(words[4]), _plain(words[3]), rest[0], _plain(rest[1]), rest[2]))
    return found


def mounted_now(proc: str) -> List[Mount]:
    with open(os.path.join(proc, "self", "mountinfo"), encoding="utf-8", errors="surrogateescape") as file:
        return mounts(file.read())


def mount_at(proc: str, point: str) -> Optional[Mount]:
    """What is to be seen at point. The last one mounted there hides those before."""
    return next((mount for mount in reversed(mounted_now(proc)) if mount.point == point), None)


def command_line(proc: str) -> str:
    """What the kernel was booted with."""
    with open(os.path.join(proc, "cmdline"), encoding="utf-8", errors="replace") as file:
        return file.read()


def apart(root: str) -> List[str]:
    """The vital directories that are no part of the root's own file system (or subvolume, or dataset), for example "/usr"."""
    own = os.stat(root).st_dev
    paths = [os.path.join(root, *name.split("/")) for name in VITAL]
    return [path for path in paths if os.path.exists(path) and os.stat(path).st_dev != own]


def apart_problem(root: str) -> Optional[str]:
    """The sentence about them; None when the root is whole."""
    found = apart(root)
    if not found:
        return None
    what = "is a file system of its own" if len(found) == 1 else "are file systems of their own"
    return "{0} {1}, so a snapshot of {2} would bring back half a system. Take a snapshot of kind command that holds all of it.".format(
        " and ".join(found), what, root)


def free_mb(path: str) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize // (1024 * 1024)


def room_problem(root: str, free: int, least: int) -> Optional[str]:
    if free >= least:
        return None
    return "{0} has {1} MB free, and a snapshot needs {2} MB beside it. Make room, or lower min_free_mb.".format(root, free, least)


@contextlib.contextmanager
def mounted(run: Run, source: str, what: str, options: Sequence[str]) -> Iterator[str]:
    """
    Where source is mounted meanwhile, with options like ["-t", "btrfs", "-o", "ro"]; nothing is left of it. what: a word for source in
    the sentence. Raises StepFailed.
    """
    point = tempfile.mkdtemp(prefix="series-upgrade-", dir="/run" if os.access("/run", os.W_OK) else None)
    try:
        done = run(["mount"] + list(options) + [source, point])
        if done.rc != 0:
            raise StepFailed("{0} cannot be mounted: {1}".format(what, done.err.strip().replace("\n", "; ")))
        try:
            yield point
        finally:
            if run(["umount", point]).rc != 0:
                # Somebody looks into it, a scanner for instance. It goes when he does.
                run(["umount", "--lazy", point])
    finally:
        os.rmdir(point)


def is_inside(root: str, path: str) -> bool:
    """Whether path lies on the root's own file system, which the snapshot holds, and not on one mounted below it."""
    return os.path.isdir(path) and os.stat(path).st_dev == os.stat(root).st_dev


def place_of(state_dir: str, root: str, back: str) -> str:
    """Where the state directory of the system at root lies in the system at back."""
    return os.path.join(back, os.path.relpath(os.path.realpath(state_dir), os.path.realpath(root)))


def carry(state_dir: str, into: str, sign: str) -> None:
    """Make into what state_dir is now, at once and with sign in it. Whoever looks sees the old content or the new one."""
    fresh, old = into + ".fresh", into + ".old"
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(state_dir, fresh, symlinks=True, ignore=shutil.ignore_patterns(*NOT_CARRIED))
    same_owner(state_dir, fresh)
    # UTF-8 here and everywhere: any other codec would have to be loaded, and the upgrade may have taken Python's files away.
    with open(os.path.join(fresh, CARRIED), "w", encoding="utf-8") as file:
        file.write(sign)
    if os.path.lexists(into):
        os.rename(into, old)
    os.rename(fresh, into)
    shutil.rmtree(old, ignore_errors=True)


def carried(place: str) -> Optional[str]:
    """The sign in a carried directory; None in any other."""
    try:
        with open(os.path.join(place, CARRIED), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def same_owner(source: str, copy: str) -> None:
    """copytree keeps modes and times and not owners."""
    for folder, folders, names in os.walk(source):
        relative = os.path.relpath(folder, source)
        for name in [os.curdir] + folders + names:
            twin = os.path.join(copy, relative, name)
            if os.path.lexists(twin):
                found = os.lstat(os.path.join(folder, name))
                os.chown(twin, found.st_uid, found.st_gid, follow_symlinks=False)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)
