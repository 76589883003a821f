# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Snapshots of a root on a logical volume, thick or thin. Private room of the collection.

create: a snapshot of the volume. revert: the record of the upgrade is copied into the snapshot, then lvconvert merges it into the root;
the root is in use, so that happens when the initramfs activates it at the reboot. The failed system is gone then: its logs go along in
the state directory. Tried on recorded reports of LVM only, because no machine of ours has a device-mapper.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, ContextManager, Dict, List, Optional

from . import places
from .beside import Beside
from .places import Run
from .._watcher.steps import Record, Step, StepFailed

FIELDS = "vg_name,lv_name,lv_attr,lv_size,origin,pool_lv,data_percent,vg_free"
MB = 1024 * 1024

# How each file system is mounted from a snapshot beside its origin: without the origin's journal, and for xfs with its twin's UUID.
READ_ONLY = {"ext2": "ro", "ext3": "ro,noload", "ext4": "ro,noload", "xfs": "ro,nouuid,norecovery"}
WRITABLE = {"ext2": "rw", "ext3": "rw", "ext4": "rw", "xfs": "rw,nouuid"}

# A thick snapshot that runs full is lost, and with it the way back: as much as an upgrade was ever seen to write, and half as much again.
SIZE_MB = 4096


class Lvm(Beside):
    """spec: {"kind": "lvm", "size_mb": 4096 (of a thick snapshot), "min_free_mb": 2048 (in a thin pool), "root": "/"}."""

    def __init__(self, spec: Dict[str, Any], run: Run, proc: str = "/proc") -> None:
        super().__init__(spec, run, proc)
        self._size = int(spec.get("size_mb") or SIZE_MB)

    def check(self) -> Optional[str]:
        """Why this machine cannot be snapshotted and taken back, with the next step; None when it can. Changes nothing."""
        mount = places.mount_at(self._proc, self._root)
        if self._run(["lvs", "--version"]).rc == 127:
            return "There is no lvs program. Install lvm2."
        volume = self._report(mount.source) if mount else None
        if mount is None or volume is None:
            return "{0} is on {1}, which is no logical volume. Choose another kind of snapshot, or none.".format(
                self._root, mount.source if mount else "no mount")
        if mount.kind not in READ_ONLY:
            return "{0} is {1}, and LVM snapshots are taken here of {2}.".format(self._root, mount.kind, ", ".join(sorted(READ_ONLY)))
        if volume["lv_attr"][:1] == "O":
            return "An earlier snapshot is still to be merged into {0}. Reboot, and wait until `lvs -a` shows no merging.".format(_name(volume))
        try:
            problem = self._room_problem(volume)
        except StepFailed as failure:
            return str(failure)
        return problem or places.apart_problem(self._root) or self._boot.problem() or places.room_problem(
            self._root, places.free_mb(self._root), self._boot.size_mb())

    def notes(self) -> List[str]:
        return []

    def create(self, name: str) -> Record:
        """Returns the record of a snapshot under this name. One of the root that is there already is taken as it is. Raises StepFailed."""
        snapshot = _short("series-upgrade-" + re.sub(r"[^A-Za-z0-9_.-]", "-", name))
        volume = self._volume()
        there = self._report("{0}/{1}".format(volume["vg_name"], snapshot))
        if there is None:
            self._boot.save(snapshot)
            size = [] if volume["pool_lv"] else ["--size", "{0}m".format(min(self._size, int(volume["lv_size"]) // MB))]
            # A thin snapshot is not activated by itself unless this says so, and could not be mounted.
            skip = ["--setactivationskip", "n"] if volume["pool_lv"] else []
            self._lvm(["lvcreate", "--yes", "--snapshot"] + size + skip + ["--name", snapshot, _name(volume)])
            there = self._report("{0}/{1}".format(volume["vg_name"], snapshot))
        if there is None or there["origin"] != volume["lv_name"]:
            raise StepFailed("{0}/{1} is in the way: it is no snapshot of {2}.".format(volume["vg_name"], snapshot, volume["lv_name"]))
        mount = places.mount_at(self._proc, self._root)
        return {"kind": "lvm", "name": snapshot, "vg": volume["vg_name"], "lv": volume["lv_name"], "thin": bool(volume["pool_lv"]),
                "file_system": mount.kind if mount else ""}

    def readable(self, record: Record) -> ContextManager[Optional[str]]:
        """The snapshot, mounted to be read meanwhile."""
        return self._mounted(record)

    def revert_steps(self, record: Record, state_dir: str) -> List[Step]:
        """Let the root become the snapshot again at the reboot, with the state directory as it is now."""
        return self._ready(record, state_dir) + [
            self._step(record, state_dir, "merge", "Have the snapshot merged into the root at the reboot", lambda: False,
                       lambda: self._merge(record, state_dir)),
        ]

    def drop(self, record: Record) -> None:
        """Give the snapshot up, unless it is being merged. Repeating it changes nothing."""
        there = self._snapshot(record)
        if there is not None and not _is_merging(there):
            self._lvm(["lvremove", "--yes", "{0}/{1}".format(record["vg"], record["name"])])
        self._boot.drop(record["name"])

    def _room_problem(self, volume: Dict[str, str]) -> Optional[str]:
        if not volume["pool_lv"]:
            free, wanted = int(volume["vg_free"]) // MB, min(self._size, int(volume["lv_size"]) // MB)
            if free < wanted:
                return "The volume group {0} has {1} MB free, and a snapshot needs {2} MB. Add room to it, or lower size_mb.".format(
                    volume["vg_name"], free, wanted)
            return None
        pool = self._report("{0}/{1}".format(volume["vg_name"], volume["pool_lv"]))
        if pool is None or not pool["data_percent"]:
            return "LVM does not tell how full the thin pool {0} is. Look at `lvs -a`.".format(volume["pool_lv"])
        free = int(int(pool["lv_size"]) * (100 - float(pool["data_percent"])) / 100) // MB
        if free < self._least:
            return "The thin pool {0} has {1} MB free, and an upgrade beside a snapshot needs {2} MB. Extend it, or lower min_free_mb.".format(
                _name(pool), free, self._least)
        return None

    def _merge(self, record: Record, state_dir: str) -> None:
        self.carry(record, state_dir)
        self._lvm(["lvconvert", "--yes", "--merge", "{0}/{1}".format(record["vg"], record["name"])])

    def _sign(self, record: Record) -> str:
        return str(record["name"])

    def _is_back(self, record: Record, state_dir: str) -> bool:
        """
        Whether the merge is ordered or done. That the snapshot is gone is no proof of it: the carried sign is, when there can be one, as
        only the merge brings it into the live root. Raises StepFailed for a snapshot that is lost.
        """
        there = self._snapshot(record)
        if there is not None:
            if there["lv_attr"][4:5] in ("I", "S"):
                raise StepFailed("The snapshot {0} has run full and is lost, so nothing leads back.".format(_name(there)))
            return _is_merging(there)
        if places.is_inside(self._root, state_dir) and places.carried(state_dir) != record["name"]:
            raise StepFailed("The snapshot {0}/{1} is gone, so nothing leads back.".format(record["vg"], record["name"]))
        return True

    def _mounted(self, record: Record, writable: bool = False) -> ContextManager[str]:
        kind, options = record["file_system"], WRITABLE if writable else READ_ONLY
        device = "/dev/{0}/{1}".format(record["vg"], record["name"])
        return places.mounted(self._run, device, "The snapshot " + device, ["-t", kind, "-o", options.get(kind, "ro")])

    def _snapshot(self, record: Record) -> Optional[Dict[str, str]]:
        """Its report; None when it is gone. A question that LVM does not answer is not an answer: raises StepFailed."""
        return next((volume for volume in self._volumes(record["vg"]) if volume["lv_name"] == record["name"]), None)

    def _volume(self) -> Dict[str, str]:
        mount = places.mount_at(self._proc, self._root)
        volume = self._report(mount.source) if mount else None
        if volume is None:
            raise StepFailed("{0} is on no logical volume.".format(self._root))
        return volume

    def _volumes(self, group: str) -> List[Dict[str, str]]:
        """All volumes of a group; a merging snapshot is hidden and has its name in brackets, here without them."""
        told = self._lvm(["lvs", "--all"] + _reported() + [group])
        return [dict(volume, lv_name=volume["lv_name"].strip("[]")) for volume in _volumes(told)]

    def _report(self, name: str) -> Optional[Dict[str, str]]:
        """What LVM says of one volume, by its device or group/name; None when it is none."""
        done = self._run(["lvs"] + _reported() + [name])
        found = _volumes(done.out) if done.rc == 0 else []
        return found[0] if found else None

    def _lvm(self, argv: List[str]) -> str:
        done = self._run(argv, timeout=300)
        if done.rc != 0:
            raise StepFailed("{0} failed: {1}".format(argv[0], (done.err.strip() or done.out.strip()).replace("\n", "; ")))
        return done.out


def _reported() -> List[str]:
    return ["--reportformat", "json", "--units", "b", "--nosuffix", "--options", FIELDS]


def _volumes(told: str) -> List[Dict[str, str]]:
    try:
        return [volume for part in json.loads(told)["report"] for volume in part["lv"]]
    except (ValueError, KeyError, TypeError) as problem:
        raise StepFailed("lvs gives no report that can be read: {0}".format(told.strip()[:200])) from problem


def _is_merging(volume: Dict[str, str]) -> bool:
    return volume["lv_attr"][:1] == "S"


def _name(volume: Dict[str, str]) -> str:
    return "{0}/{1}".format(volume["vg_name"], volume["lv_name"])


def _short(name: str) -> str:
    """LVM has at most 127 characters for group and volume together, and each hyphen counts twice."""
    return name if len(name) <= 60 else name[:50] + "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
