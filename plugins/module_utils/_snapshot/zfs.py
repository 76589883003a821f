# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Snapshots of a ZFS root that is booted by its pool's property bootfs. Private room of the collection.

create: a snapshot of the root's dataset. revert: a clone of it, a boot environment of its own, becomes bootfs and is booted. The failed
root is left as it is and can be read. `zfs rollback` would destroy it, and could not be done on a root in use. Tried only on outputs as
the manual pages of OpenZFS 2.1 give them, because ZFS runs on no machine of ours.
"""

from __future__ import annotations

import os
import re
from typing import ContextManager, List, Optional

from . import places
from .beside import Beside
from .._watcher.steps import Record, Step, StepFailed

MB = 1024 * 1024


class Zfs(Beside):
    """spec: {"kind": "zfs", "min_free_mb": 2048, "root": "/"}."""

    def check(self) -> Optional[str]:
        """Why this machine cannot be snapshotted and taken back, with the next step; None when it can. Changes nothing."""
        mount = places.mount_at(self._proc, self._root)
        if mount is None or mount.kind != "zfs":
            return "{0} is {1} and not zfs. Choose another kind of snapshot, or none.".format(self._root, mount.kind if mount else "not mounted")
        dataset = mount.source
        if self._run(["zfs", "version"]).rc == 127:
            return "There is no zfs program. Install zfsutils-linux."
        named = re.search(r"(?:^|\s)root=(?:ZFS=|zfs:)(\S+)", places.command_line(self._proc), re.IGNORECASE)
        if named and named.group(1).upper() != "AUTO":
            return "The kernel's command line names the dataset {0}, so another bootfs would not be booted. Boot by bootfs (root=zfs:AUTO).".format(
                named.group(1))
        try:
            bootfs = self._bootfs(dataset)
            if bootfs != dataset:
                return "{0} is {1}, and bootfs of its pool is {2}. Set bootfs to the root, or a rollback would boot something else.".format(
                    self._root, dataset, bootfs)
            if self._get(dataset, "mountpoint") != "legacy" and self._get(dataset, "canmount") != "noauto":
                return "{0} would be mounted over another root. Run `zfs set canmount=noauto {0}`.".format(dataset)
            room = int(self._get(dataset, "available")) // MB
        except StepFailed as failure:
            return str(failure)
        return places.apart_problem(self._root) or self._boot.problem() or places.room_problem(
            self._root, room, self._least + self._boot.size_mb())

    def notes(self) -> List[str]:
        """What a person has to know of a revert: datasets below the root's are no part of its snapshot."""
        mount = places.mount_at(self._proc, self._root)
        listed = self._run(["zfs", "list", "-H", "-r", "-t", "filesystem", "-o", "name", mount.source]) if mount else None
        below = listed.out.split("\n")[1:] if listed is not None and listed.rc == 0 else []
        return ["The dataset {0} lies below {1} and is no part of its snapshot.".format(name, mount.source if mount else "") for name in below if name]

    def create(self, name: str) -> Record:
        """Returns the record of a snapshot under this name. One that is there already is taken as it is. Raises StepFailed."""
        mount = places.mount_at(self._proc, self._root)
        if mount is None or mount.kind != "zfs":
            raise StepFailed("{0} is no ZFS dataset.".format(self._root))
        word = "series-upgrade-" + re.sub(r"[^A-Za-z0-9_.:-]", "-", name)
        snapshot = "{0}@{1}".format(mount.source, word)
        if not self._exists(snapshot):
            self._boot.save(word)
            self._zfs(["zfs", "snapshot", snapshot])
        beside = os.path.dirname(mount.source) or mount.source
        return {"kind": "zfs", "name": word, "dataset": mount.source, "snapshot": snapshot, "guid": self._get(snapshot, "guid"),
                "clone": "{0}/{1}-root".format(beside, word), "mountpoint": self._get(mount.source, "mountpoint")}

    def readable(self, record: Record) -> ContextManager[Optional[str]]:
        """The snapshot, mounted to be read meanwhile."""
        return places.mounted(self._run, record["snapshot"], "The snapshot " + record["snapshot"], ["-t", "zfs", "-o", "ro"])

    def revert_steps(self, record: Record, state_dir: str) -> List[Step]:
        """Make a clone of the snapshot what the pool boots, with the state directory of the watcher as it is now."""
        clone = self._step(record, state_dir, "writable", "Clone the snapshot", lambda: self._is_cloned(record), lambda: self._clone(record))
        default = self._step(record, state_dir, "default", "Make the clone what boots next", lambda: self._bootfs(record["dataset"]) == record["clone"],
                             lambda: self._make_default(record))
        return [clone, *self._ready(record, state_dir), default]

    def drop(self, record: Record) -> None:
        """
        Destroy the clone and the snapshot; neither when the clone is what runs or boots, because it lives on the snapshot's blocks.
        Repeating it changes nothing.
        """
        kept = False
        if self._exists(record["clone"]):
            kept = self._is_back(record) or self._bootfs(record["dataset"]) == record["clone"]
            if not kept:
                self._zfs(["zfs", "destroy", record["clone"]])
        if not kept and self._exists(record["snapshot"]):
            self._zfs(["zfs", "destroy", record["snapshot"]])
        self._boot.drop(record["name"])

    def _is_cloned(self, record: Record) -> bool:
        if not self._exists(record["clone"]):
            return False
        if self._get(record["clone"], "origin") != record["snapshot"]:
            raise StepFailed("{0} is in the way: it is no clone of {1}.".format(record["clone"], record["snapshot"]))
        return True

    def _clone(self, record: Record) -> None:
        if self._get(record["snapshot"], "guid") != record["guid"]:
            raise StepFailed("{0} is another snapshot than the one that was taken.".format(record["snapshot"]))
        self._zfs(["zfs", "clone", "-o", "canmount=noauto", "-o", "mountpoint=" + record["mountpoint"], record["snapshot"], record["clone"]])

    def _make_default(self, record: Record) -> None:
        pool = _pool(record["dataset"])
        self._zfs(["zpool", "set", "bootfs=" + record["clone"], pool])
        self._zfs(["zpool", "sync", pool])

    def _sign(self, record: Record) -> str:
        return str(record["guid"])

    def _is_back(self, record: Record, state_dir: str = "") -> bool:
        mount = places.mount_at(self._proc, self._root)
        return mount is not None and mount.kind == "zfs" and mount.source == record["clone"]

    def _mounted(self, record: Record, writable: bool = False) -> ContextManager[str]:
        # A dataset with a mountpoint of its own is mounted elsewhere only with zfsutil.
        options = "rw" if record["mountpoint"] == "legacy" else "rw,zfsutil"
        return places.mounted(self._run, record["clone"], "The clone " + record["clone"], ["-t", "zfs", "-o", options])

    def _exists(self, name: str) -> bool:
        """Raises StepFailed when ZFS says neither yes nor no."""
        done = self._run(["zfs", "list", "-H", "-t", "all", "-o", "name", name])
        if done.rc != 0 and "does not exist" not in done.err:
            raise StepFailed("zfs list failed: {0}".format(done.err.strip().replace("\n", "; ")))
        return done.rc == 0

    def _bootfs(self, dataset: str) -> str:
        """The dataset that the pool boots; "-" when none is set."""
        return self._zfs(["zpool", "get", "-H", "-o", "value", "bootfs", _pool(dataset)]).strip()

    def _get(self, name: str, key: str) -> str:
        return self._zfs(["zfs", "get", "-H", "-p", "-o", "value", key, name]).strip()

    def _zfs(self, argv: List[str]) -> str:
        done = self._run(argv, timeout=300)
        if done.rc != 0:
            raise StepFailed("{0} {1} failed: {2}".format(argv[0], argv[1], (done.err.strip() or done.out.strip()).replace("\n", "; ")))
        return done.out


def _pool(dataset: str) -> str:
    return dataset.split("/")[0]
