# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Snapshots of a btrfs root, for machines that boot the file system's default subvolume. Private room of the collection.

create: a read-only snapshot at the top of the file system. revert: a writable copy of it becomes the default subvolume and is
booted. The failed root is left where it was, under its own name, so that its logs can be read afterwards.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from .._watcher.steps import Record, Result, Step, StepFailed

Run = Callable[..., Result]

# What a series upgrade writes beside the old blocks that the snapshot keeps: 1.3 to 1.7 GB were seen on small machines.
LEAST_FREE_MB = 2048

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


class Btrfs:
    """
    spec: {"kind": "btrfs", "min_free_mb": 2048, "root": "/"}. run: runs a short program, as Context.run does.
    """

    needs_reboot = True
    can_revert = True

    def __init__(self, spec: Dict[str, Any], run: Run, proc: str = "/proc", fstab: str = "/etc/fstab") -> None:
        self._root = spec.get("root") or "/"
        self._least = int(spec.get("min_free_mb") or LEAST_FREE_MB)
        self._run = run
        self._proc = proc
        self._fstab = fstab

    def check(self) -> Optional[str]:
        """Why this machine cannot be snapshotted and taken back, with the next step; None when it can. Changes nothing."""
        mount = self._mount()
        if mount is None or mount.kind != "btrfs":
            return "{0} is {1} and not btrfs. Choose another kind of snapshot, or none.".format(self._root, mount.kind if mount else "not mounted")
        if self._run(["btrfs", "--version"]).rc != 0:
            return "There is no btrfs program. Install btrfs-progs."
        if self._top() is None and not os.path.exists(mount.source):
            return "The device {0} of {1} is not to be seen here, and the top of its file system is not mounted.".format(mount.source, self._root)
        try:
            live, default = self._live(), self._default()
        except StepFailed as problem:
            return str(problem)
        if live != default:
            return "{0} is subvolume {1}, and the default one is {2}. Boot the default subvolume, or a rollback would boot something else.".format(
                self._root, live, default
            )
        forced = self._forced()
        if forced:
            return "{0} names the root subvolume, so the default one is not booted. Take subvol= and subvolid= away from it.".format(forced)
        free = self._free_mb()
        if free < self._least:
            return "{0} has {1} MB free, and a snapshot needs {2} MB beside it. Make room, or lower min_free_mb.".format(self._root, free, self._least)
        return None

    def notes(self) -> List[str]:
        """What a revert will not bring back: subvolumes inside the root are no part of its snapshot."""
        listed = self._run(["btrfs", "subvolume", "list", "-o", self._root])
        nested = re.findall(r"^ID \d+ .* path (.+)$", listed.out, re.MULTILINE) if listed.rc == 0 else []
        return ["The subvolume {0} lies inside {1} and is no part of its snapshot.".format(path, self._root) for path in nested]

    def create(self, name: str) -> Record:
        """
        Returns the record of a read-only snapshot under this name when it is on the disk. One that is there already is taken as it
        is: this phase was cut off after making it. Raises StepFailed.
        """
        folder = "series-upgrade-" + re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        with self._toplevel() as top:
            path = os.path.join(top, folder)
            if not os.path.exists(path):
                self._btrfs("subvolume", "snapshot", "-r", self._root, path)
                self._btrfs("filesystem", "sync", top)
            about = self._show(path)
            if "readonly" not in about.get("Flags", ""):
                raise StepFailed("{0} is in the way: it is there, and it is no read-only snapshot.".format(path))
            return {"kind": "btrfs", "name": folder, "uuid": about["UUID"], "subvolume": int(about["Subvolume ID"]), "failed": self._live()}

    def revert_steps(self, record: Record, state_dir: str) -> List[Step]:
        """
        Make the snapshot what the machine boots next, with the state directory of the watcher as it is now. All is done already on a
        machine that runs from it.
        """

        def step(name: str, describe: str, done: Callable[[], bool], do: Callable[[], None]) -> Step:
            def is_done() -> bool:
                return self._is_back(record) or done()

            return Step(name, describe, is_done, do, lambda: None if is_done() else "it was done, and is not to be seen")

        return [
            step("writable", "Make a writable copy of the snapshot", lambda: self._copy(record) is not None, lambda: self._make_copy(record)),
            step("carry", "Take the record and logs of the upgrade along", lambda: self._is_carried(record, state_dir),
                 lambda: self.carry(record, state_dir)),
            step("default", "Make the copy what boots next", lambda: self._is_default(record), lambda: self._make_default(record)),
        ]

    def carry(self, record: Record, state_dir: str) -> None:
        """
        Copy the state directory as it is now into the copy that boots next. Must come before "default": a machine that loses power
        in between would find the marker of the snapshot's time, and upgrade again. Once more just before the reboot does no harm.
        """
        if not self._is_inside(state_dir) or self._is_back(record):
            return
        with self._toplevel() as top:
            into = self._inside(top, record, state_dir)
            fresh, old = into + ".fresh", into + ".old"
            for path in (fresh, old):
                shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(state_dir, fresh, symlinks=True, ignore=shutil.ignore_patterns(*NOT_CARRIED))
            _same_owner(state_dir, fresh)
            with open(os.path.join(fresh, CARRIED), "w", encoding="ascii") as file:
                file.write(record["uuid"])
            if os.path.lexists(into):
                os.rename(into, old)
            os.rename(fresh, into)
            shutil.rmtree(old, ignore_errors=True)
            self._btrfs("filesystem", "sync", top)

    def drop(self, record: Record) -> None:
        """Delete the snapshot, and the copy made of it unless that is what runs or boots. Repeating it changes nothing."""
        with self._toplevel() as top:
            copy = self._copy(record)
            if copy is not None and copy not in (self._live(), self._default()):
                self._btrfs("subvolume", "delete", self._copy_path(top, record))
            path = os.path.join(top, record["name"])
            if os.path.exists(path):
                self._btrfs("subvolume", "delete", path)

    # The parts of a revert, each with how it shows that it is done.

    def _copy(self, record: Record) -> Optional[int]:
        """The id of the writable copy; None when there is none yet. Raises StepFailed when something else bears its name."""
        with self._toplevel() as top:
            path = self._copy_path(top, record)
            if not os.path.exists(path):
                return None
            about = self._show(path)
            if about.get("Parent UUID") != record["uuid"]:
                raise StepFailed("{0} is in the way: it is no copy of the snapshot {1}.".format(path, record["name"]))
            return int(about["Subvolume ID"])

    def _make_copy(self, record: Record) -> None:
        with self._toplevel() as top:
            self._btrfs("subvolume", "snapshot", os.path.join(top, record["name"]), self._copy_path(top, record))
            self._btrfs("filesystem", "sync", top)

    def _is_carried(self, record: Record, state_dir: str) -> bool:
        """Whether a copy was made at all: its content ages with every word that the watcher writes."""
        if not self._is_inside(state_dir):
            return True
        with self._toplevel() as top:
            sign = os.path.join(self._inside(top, record, state_dir), CARRIED)
            return os.path.exists(sign) and _text(sign) == record["uuid"]

    def _make_default(self, record: Record) -> None:
        with self._toplevel() as top:
            self._btrfs("subvolume", "set-default", str(self._copy(record)), top)
            self._btrfs("filesystem", "sync", top)

    def _is_default(self, record: Record) -> bool:
        return self._copy(record) == self._default()

    def _is_back(self, record: Record) -> bool:
        copy = self._copy(record)
        return copy is not None and copy == self._live()

    # What the file system says.

    @contextlib.contextmanager
    def _toplevel(self) -> Iterator[str]:
        """Where the top of the file system is mounted; by us, and only meanwhile, when nobody else has."""
        top = self._top()
        if top is not None:
            yield top
            return
        mount = self._mount()
        if mount is None:
            raise StepFailed("{0} is no mount point.".format(self._root))
        point = tempfile.mkdtemp(prefix="series-upgrade-top-", dir="/run" if os.access("/run", os.W_OK) else None)
        try:
            done = self._run(["mount", "-t", "btrfs", "-o", "subvolid=5", mount.source, point])
            if done.rc != 0:
                raise StepFailed("The top of the file system on {0} cannot be mounted: {1}".format(mount.source, done.err.strip()))
            try:
                yield point
            finally:
                self._run(["umount", point])
        finally:
            os.rmdir(point)

    def _top(self) -> Optional[str]:
        mount = self._mount()
        for other in self._mounts():
            writable = "ro" not in other.options.split(",")
            if mount is not None and other.kind == "btrfs" and other.source == mount.source and other.root == "/" and other.point != self._root and writable:
                return other.point
        return None

    def _mounts(self) -> List[Mount]:
        with open(os.path.join(self._proc, "self", "mountinfo"), encoding="utf-8", errors="surrogateescape") as file:
            return mounts(file.read())

    def _mount(self) -> Optional[Mount]:
        # The last one mounted at a point hides those before.
        return next((mount for mount in reversed(self._mounts()) if mount.point == self._root), None)

    def _forced(self) -> Optional[str]:
        """Where a subvolume is forced on the root: the kernel's command line or fstab. None when nothing does."""
        with open(os.path.join(self._proc, "cmdline"), encoding="utf-8", errors="replace") as file:
            if re.search(r"(?:^|\s)rootflags=\S*subvol", file.read()):
                return "The kernel's command line"
        if os.path.exists(self._fstab):
            with open(self._fstab, encoding="utf-8", errors="replace") as file:
                for words in (line.split("#")[0].split() for line in file):
                    if len(words) >= 4 and words[1] == self._root and "subvol" in words[3]:
                        return self._fstab
        return None

    def _free_mb(self) -> int:
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize // (1024 * 1024)

    def _live(self) -> int:
        return int(self._show(self._root)["Subvolume ID"])

    def _default(self) -> int:
        said = self._btrfs("subvolume", "get-default", self._root)
        match = re.match(r"ID (\d+)", said)
        if not match:
            raise StepFailed("btrfs does not name the default subvolume of {0}: {1}".format(self._root, said.strip()))
        return int(match.group(1))

    def _show(self, path: str) -> Dict[str, str]:
        """`btrfs subvolume show` as a dict. The top of a file system says less; its id is always 5."""
        shown = dict(re.findall(r"^\s+([A-Z][A-Za-z ]*?):\s+(\S.*?)\s*$", self._btrfs("subvolume", "show", path), re.MULTILINE))
        shown.setdefault("Subvolume ID", "5")
        return shown

    def _btrfs(self, *words: str) -> str:
        done = self._run(["btrfs"] + list(words), timeout=300)
        if done.rc != 0:
            raise StepFailed("btrfs {0} failed: {1}".format(" ".join(words[:2]), (done.err.strip() or done.out.strip()).replace("\n", "; ")))
        return done.out

    def _is_inside(self, path: str) -> bool:
        """Whether path lies on the root's own subvolume, which the snapshot holds, and not on one mounted below it."""
        return os.path.isdir(path) and os.stat(path).st_dev == os.stat(self._root).st_dev

    def _inside(self, top: str, record: Record, state_dir: str) -> str:
        """Where the state directory lies in the copy."""
        return os.path.join(self._copy_path(top, record), os.path.relpath(os.path.realpath(state_dir), self._root))

    @staticmethod
    def _copy_path(top: str, record: Record) -> str:
        return os.path.join(top, record["name"] + "-root")


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def _text(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def _same_owner(source: str, copy: str) -> None:
    """copytree keeps modes and times and not owners."""
    for folder, folders, names in os.walk(source):
        relative = os.path.relpath(folder, source)
        for name in [os.curdir] + folders + names:
            twin = os.path.join(copy, relative, name)
            if os.path.lexists(twin):
                found = os.lstat(os.path.join(folder, name))
                os.chown(twin, found.st_uid, found.st_gid, follow_symlinks=False)
