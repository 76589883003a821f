# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Snapshots of a btrfs root that is a subvolume, booted by its path or by being the default one. Private room of the collection.

create: a read-only snapshot at the top of the file system. revert: a writable copy of it changes places with the root's subvolume, in
one indivisible rename, and becomes the default one if the root was. So whatever boot loader, kernel command line and fstab go by, they
find the old system. The failed root stays beside it and can be read; subvolumes that lay inside the root go along with its path.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import places
from .boot import Boot
from .places import Run
from .._watcher.steps import Record, Step, StepFailed

# Loaded now: in the middle of an upgrade Python's own files may be gone.
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_EXCHANGE = 2

TOP_ID = 5


class Btrfs:
    """
    spec: {"kind": "btrfs", "min_free_mb": 2048, "root": "/"}. run: runs a short program, as Context.run does.
    """

    needs_reboot = True
    can_revert = True

    def __init__(self, spec: Dict[str, Any], run: Run, proc: str = "/proc", fstab: str = "/etc/fstab") -> None:
        self._root = spec.get("root") or "/"
        self._least = int(spec.get("min_free_mb") or places.LEAST_FREE_MB)
        self._run = run
        self._proc = proc
        self._fstab = fstab
        self._boot = Boot(self._root)

    def check(self) -> Optional[str]:
        """Why this machine cannot be snapshotted and taken back, with the next step; None when it can. Changes nothing."""
        mount = self._mount()
        if mount is None or mount.kind != "btrfs":
            return "{0} is {1} and not btrfs. Choose another kind of snapshot, or none.".format(self._root, mount.kind if mount else "not mounted")
        if self._run(["btrfs", "--version"]).rc != 0:
            return "There is no btrfs program. Install btrfs-progs."
        if not hasattr(LIBC, "renameat2"):
            return "The C library here has no renameat2, so two subvolumes cannot change places. Choose another kind of snapshot."
        if self._top() is None and not os.path.exists(mount.source):
            return "The device {0} of {1} is not to be seen here, and the top of its file system is not mounted.".format(mount.source, self._root)
        try:
            problem = self._boot_problem()
        except StepFailed as failure:
            return str(failure)
        return problem or places.apart_problem(self._root) or places.room_problem(
            self._root, places.free_mb(self._root), self._least + self._boot.size_mb())

    def notes(self) -> List[str]:
        """What a person has to know of a revert: subvolumes inside the root are no part of its snapshot."""
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
                self._boot.save(folder)
                self._btrfs("subvolume", "snapshot", "-r", self._root, path)
                self._btrfs("filesystem", "sync", top)
            about = self._show(path)
            if "readonly" not in about.get("Flags", ""):
                raise StepFailed("{0} is in the way: it is there, and it is no read-only snapshot.".format(path))
            live = self._live()
            return {"kind": "btrfs", "name": folder, "uuid": about["UUID"], "subvolume": int(about["Subvolume ID"]), "failed": live,
                    "path": self._path(), "default": live == self._default()}

    @contextlib.contextmanager
    def readable(self, record: Record) -> Iterator[Optional[str]]:
        """The snapshot, mounted to be read meanwhile: from its device, or from the mounted top where that is not to be seen."""
        mount = self._mount()
        if mount is not None and os.path.exists(mount.source):
            source, options = mount.source, ["-t", "btrfs", "-o", "ro,subvol=/" + record["name"]]
        else:
            source, options = os.path.join(self._top() or "", record["name"]), ["--bind"]
        with places.mounted(self._run, source, "The snapshot " + record["name"], options) as place:
            yield place

    def revert_steps(self, record: Record, state_dir: str) -> List[Step]:
        """
        Make the snapshot what the machine boots next, with the state directory of the watcher as it is now. All is done already on a
        machine that runs from it.
        """

        def step(name: str, describe: str, done: Callable[[], bool], do: Callable[[], None], proof: Callable[[], Optional[str]] = lambda: None) -> Step:
            def is_done() -> bool:
                return self._is_back(record) or done()

            def verify() -> Optional[str]:
                return proof() if is_done() else "it was done, and is not to be seen"

            return Step(name, describe, is_done, do, verify)

        return [
            step("writable", "Make a writable copy of the snapshot", lambda: self._copy(record) is not None, lambda: self._make_copy(record)),
            step("boot", "Make the boot files fit it", lambda: self._with_copy(record, lambda copy: self._boot.is_restored(record["name"], copy)),
                 lambda: self._with_copy(record, lambda copy: self._boot.restore(record["name"], copy)),
                 lambda: self._with_copy(record, lambda copy: self._boot.problem(copy, record.get("path")))),
            step("carry", "Take the record and logs of the upgrade along", lambda: self._is_carried(record, state_dir),
                 lambda: self.carry(record, state_dir)),
            step("default", "Make the copy what boots next", lambda: self._is_next(record), lambda: self._make_next(record)),
            # After the change of places, because a machine that boots in between is back already, and this goes on there.
            Step("nested", "Move the subvolumes inside the root along", lambda: not self._left_behind(record), lambda: self._move_nested(record),
                 lambda: None),
        ]

    def carry(self, record: Record, state_dir: str) -> None:
        """
        Copy the state directory as it is now into the copy that boots next. Must come before "default": a machine that loses power
        in between would find the marker of the snapshot's time, and upgrade again. Once more just before the reboot does no harm.
        """
        if not places.is_inside(self._root, state_dir) or self._is_back(record):
            return
        with self._toplevel() as top:
            places.carry(state_dir, places.place_of(state_dir, self._root, self._copy_path(top, record)), record["uuid"])
            self._btrfs("filesystem", "sync", top)

    def drop(self, record: Record) -> None:
        """Delete the snapshot, and what was made of it or of the failed root; never what runs or boots. Repeating it changes nothing."""
        with self._toplevel() as top:
            # Asked anew for each: that something is live is never taken from a record.
            for name in (record["name"] + "-root", record["name"] + "-failed", record["name"]):
                path = os.path.join(top, name)
                if os.path.exists(path) and int(self._show(path)["Subvolume ID"]) not in (self._live(), self._default()):
                    self._btrfs("subvolume", "delete", path)
        self._boot.drop(record["name"])

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
            self._btrfs("subvolume", "snapshot", os.path.join(top, record["name"]), os.path.join(top, record["name"] + "-root"))
            self._btrfs("filesystem", "sync", top)

    def _with_copy(self, record: Record, ask: Callable[[str], Any]) -> Any:
        with self._toplevel() as top:
            answer = ask(self._copy_path(top, record))
            self._btrfs("filesystem", "sync", top)
            return answer

    def _is_carried(self, record: Record, state_dir: str) -> bool:
        """Whether a copy was made at all: its content ages with every word that the watcher writes."""
        if not places.is_inside(self._root, state_dir):
            return True
        with self._toplevel() as top:
            return places.carried(places.place_of(state_dir, self._root, self._copy_path(top, record))) == record["uuid"]

    def _make_next(self, record: Record) -> None:
        with self._toplevel() as top:
            copy, place = os.path.join(top, record["name"] + "-root"), self._place(top, record)
            if place is not None and self._copy_path(top, record) != place:
                _exchange(copy, place)
                self._btrfs("filesystem", "sync", top)
            if place is not None and os.path.exists(copy):
                os.rename(copy, os.path.join(top, record["name"] + "-failed"))
            if record.get("default", True):
                self._btrfs("subvolume", "set-default", str(self._copy(record)), top)
            self._btrfs("filesystem", "sync", top)

    def _is_next(self, record: Record) -> bool:
        with self._toplevel() as top:
            place = self._place(top, record)
            if place is not None and (self._copy_path(top, record) != place or os.path.exists(os.path.join(top, record["name"] + "-root"))):
                return False
        return not record.get("default", True) or self._copy(record) == self._default()

    def _left_behind(self, record: Record) -> List[Tuple[str, str]]:
        """Subvolumes that lie directly in the failed root, as (path in it, path from the top)."""
        failed = record["name"] + "-failed"
        with self._toplevel() as top:
            if not os.path.exists(os.path.join(top, failed)):
                return []
            listed = self._btrfs("subvolume", "list", "-o", os.path.join(top, failed))
        found = re.findall(r"^ID \d+ gen \d+ top level (\d+) path (.+)$", listed, re.MULTILINE)
        return [(path[len(failed) + 1:], path) for parent, path in found if int(parent) == record["failed"] and path.startswith(failed + "/")]

    def _move_nested(self, record: Record) -> None:
        """In the old system only an empty folder stands where each lay. One that is in use there already is left, and told."""
        with self._toplevel() as top:
            for inner, path in self._left_behind(record):
                target = os.path.join(self._copy_path(top, record), inner)
                try:
                    if os.path.lexists(target):
                        os.rmdir(target)
                    os.rename(os.path.join(top, path), target)
                except OSError as problem:
                    raise StepFailed("The subvolume {0} cannot be moved to {1}: {2}. Move it by hand, then roll back again.".format(
                        path, inner, problem.strerror)) from problem
            self._btrfs("filesystem", "sync", top)

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
        with places.mounted(self._run, mount.source, "The top of the file system on " + mount.source, ["-t", "btrfs", "-o", "subvolid=5"]) as point:
            yield point

    def _top(self) -> Optional[str]:
        mount = self._mount()
        for other in places.mounted_now(self._proc):
            writable = "ro" not in other.options.split(",")
            if mount is not None and other.kind == "btrfs" and other.source == mount.source and other.root == "/" and other.point != self._root and writable:
                return other.point
        return None

    def _mount(self) -> Optional[places.Mount]:
        return places.mount_at(self._proc, self._root)

    def _boot_problem(self) -> Optional[str]:
        """Why the next boot would not take the root's subvolume, or could not be led to another. Raises StepFailed."""
        live, path = self._live(), self._path()
        if path is None:
            return "{0} is the top of its file system, where no other root can take its place. Move the system into a subvolume.".format(self._root)
        line = places.command_line(self._proc)
        forced = [("The kernel's command line", options) for options in re.findall(r"(?:^|\s)rootflags=(\S+)", line)]
        by_path = any("subvol=" in options for _where, options in forced)
        for where, options in forced + self._in_fstab():
            if "subvolid=" in options:
                return "{0} names the root subvolume by its number. Name it by its path (subvol={1}), or not at all.".format(where, path)
            named = re.search(r"(?:^|,)subvol=([^,]+)", options)
            if named and named.group(1).strip("/") != path:
                return "{0} names the subvolume {1}, and {2} is {3}. Reboot, or put it right.".format(where, named.group(1), self._root, path)
        if not by_path and live != self._default():
            return "{0} is subvolume {1}, and the default one is {2}. Boot the default subvolume, or a rollback would boot something else.".format(
                self._root, live, self._default())
        return self._boot.problem(subvolume=path)

    def _in_fstab(self) -> List[Tuple[str, str]]:
        if not os.path.exists(self._fstab):
            return []
        with open(self._fstab, encoding="utf-8", errors="replace") as file:
            lines = [line.split("#")[0].split() for line in file]
        return [(self._fstab, words[3]) for words in lines if len(words) >= 4 and words[1] == self._root]

    def _path(self) -> Optional[str]:
        """Where the root's subvolume lies, from the top of the file system; None for the top itself."""
        mount = self._mount()
        return mount.root.strip("/") or None if mount else None

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
        shown.setdefault("Subvolume ID", str(TOP_ID))
        return shown

    def _btrfs(self, *words: str) -> str:
        done = self._run(["btrfs"] + list(words), timeout=300)
        if done.rc != 0:
            raise StepFailed("btrfs {0} failed: {1}".format(" ".join(words[:2]), (done.err.strip() or done.out.strip()).replace("\n", "; ")))
        return done.out

    @staticmethod
    def _place(top: str, record: Record) -> Optional[str]:
        """The path that the machine boots; None in the record of an older watcher, which knows the default subvolume only."""
        return os.path.join(top, record["path"]) if record.get("path") else None

    def _copy_path(self, top: str, record: Record) -> str:
        """Where the writable copy is, or will be made. Before the change of places it has a name of its own."""
        place = self._place(top, record)
        if place is not None and os.path.exists(place) and self._show(place).get("Parent UUID") == record["uuid"]:
            return place
        return os.path.join(top, record["name"] + "-root")


def _exchange(one: str, other: str) -> None:
    """Let two directory entries change places: no moment, and no power cut, sees either of them missing. Raises StepFailed."""
    if LIBC.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        raise StepFailed("{0} and {1} cannot change places: {2}".format(one, other, os.strerror(ctypes.get_errno())))
