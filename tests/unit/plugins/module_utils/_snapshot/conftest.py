# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines whose volumes are directories. Their programs answer with recorded reports, so only the plans of a kind are tried on them."""

from __future__ import annotations

import json
import pathlib
import re
import shutil

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import lvm, registry, zfs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result

from tests.unit.plugins.module_utils._snapshot import contract

RECORDED = pathlib.Path(__file__).parent / "recorded"
GONE = Result(5, "", '  Failed to find logical volume "vg0/x"\n')


class Volumes:
    """Directories that are mounted by putting a link where the mount point was. A reboot is left to the kind."""

    knows_its_end = True
    mount = ""

    def __init__(self, place):
        self.place, self.root = place, place / "root"
        self.state = self.root / "var" / "lib" / "series-upgrade"
        self.proc = place / "proc"
        (self.proc / "self").mkdir(parents=True)
        self.boots("quiet")
        self.shows(self.mount)
        self.asked = []

    def boots(self, line):
        (self.proc / "cmdline").write_text("BOOT_IMAGE=/vmlinuz " + line + "\n", encoding="ascii")

    def shows(self, kind_and_source):
        (self.proc / "self" / "mountinfo").write_text("22 1 0:20 / {0} rw - {1} rw\n".format(self.root, kind_and_source), encoding="utf-8")

    def run(self, argv, timeout=60, env=None):
        self.asked.append(" ".join(argv))
        if argv[0] == "mount":
            volume, point = self.volume(argv[-2]), pathlib.Path(argv[-1])
            if volume is None or not volume.is_dir():
                return Result(32, "", "mount: {0}: special device does not exist.".format(argv[-2]))
            point.rmdir()
            point.symlink_to(volume)
            return Result(0, "", "")
        if argv[0] == "umount":
            pathlib.Path(argv[-1]).unlink()
            pathlib.Path(argv[-1]).mkdir()
            return Result(0, "", "")
        return self.answer(argv)

    def becomes(self, volume):
        """The root is what was in volume."""
        shutil.rmtree(self.root)
        volume.rename(self.root)

    def left(self):
        return sorted(str(path) for path in self.place.rglob("*") if path != self.proc / "self" / "mountinfo")

    def volume(self, name):
        raise NotImplementedError

    def answer(self, argv):
        raise NotImplementedError


class LvmBox(Volumes):
    """
    LVM 2.03.16 on a group vg0 with a thick volume root and a thin one thinroot in pool. The reports were recorded from metadata with a
    thick and a thin snapshot, without a device-mapper; what only an active volume tells (data_percent) is put in.
    """

    def __init__(self, place, thin):
        self.thin = thin
        self.lv, self.recorded = ("thinroot", "series-upgrade-x") if thin else ("root", "series-upgrade-y")
        self.mount = "ext4 /dev/mapper/vg0-" + self.lv
        self.snapshot, self.merging, self.invalid = None, False, False
        self.full, self.free = "20.00", None
        super().__init__(place)

    def kind(self, **spec):
        return lvm.Lvm(dict({"kind": "lvm", "root": str(self.root), "min_free_mb": 1}, **spec), self.run, proc=str(self.proc))

    def volume(self, name):
        return self.place / "volumes" / name.split("/")[-1] if name.startswith("/dev/vg0/") else None

    def volumes(self):
        stage = "merging" if self.merging else "taken" if self.snapshot else "before"
        report = json.loads((RECORDED / "lvs-{0}.json".format(stage)).read_text(encoding="ascii"))
        found = []
        for volume in report["report"][0]["lv"]:
            bare = volume["lv_name"].strip("[]")
            if bare.startswith("series-upgrade-") and bare != self.recorded:
                continue  # The snapshot of the other volume.
            if bare == self.recorded:
                volume["lv_name"] = volume["lv_name"].replace(bare, self.snapshot)
                volume["lv_attr"] = volume["lv_attr"][:4] + ("I" if self.invalid else "X") + volume["lv_attr"][5:]
            if bare == "pool":
                volume["data_percent"] = self.full
            volume["vg_free"] = self.free or volume["vg_free"]
            found.append(volume)
        return found

    def answer(self, argv):
        if argv[0] == "lvs" and argv[1] == "--version":
            return Result(0, "  LVM version:     2.03.16(2) (2022-05-18)\n", "")
        if argv[0] == "lvs":
            if argv[-1] == "vg0":
                return self.report(self.volumes())
            name = argv[-1].replace("/dev/mapper/vg0-", "vg0/")
            found = [volume for volume in self.volumes() if "vg0/" + volume["lv_name"] == name]
            return self.report(found) if found else GONE
        if argv[0] == "lvcreate":
            assert ("--size" in argv) != self.thin and argv[-1] == "vg0/" + self.lv
            self.snapshot = argv[argv.index("--name") + 1]
            shutil.copytree(self.root, self.place / "volumes" / self.snapshot, symlinks=True)
        elif argv[0] == "lvremove":
            shutil.rmtree(self.place / "volumes")
            self.snapshot = None
        elif argv[0] == "lvconvert":
            assert argv == ["lvconvert", "--yes", "--merge", "vg0/" + self.snapshot]
            self.merging = True
        return Result(0, "", "")

    @staticmethod
    def report(volumes):
        return Result(0, json.dumps({"report": [{"lv": volumes}]}), "")

    def reboot(self):
        if self.merging:
            self.becomes(self.place / "volumes" / self.snapshot)
            shutil.rmtree(self.place / "volumes")
            self.snapshot, self.merging = None, False


class ZfsBox(Volumes):
    """A pool rpool whose root is rpool/ROOT/debian. What its programs say is written after the manual pages zfs(8) and zpool(8), 2.1."""

    mount = "zfs rpool/ROOT/debian"

    def __init__(self, place):
        self.live, self.bootfs = "rpool/ROOT/debian", "rpool/ROOT/debian"
        self.made = {}
        self.properties = {"mountpoint": "/", "canmount": "noauto", "available": "9663676416"}
        self.below = ["rpool/ROOT/debian"]
        super().__init__(place)

    def kind(self, **spec):
        return zfs.Zfs(dict({"kind": "zfs", "root": str(self.root), "min_free_mb": 1}, **spec), self.run, proc=str(self.proc))

    def volume(self, name):
        return self.place / "datasets" / name.replace("/", "_") if name in self.made else None

    def answer(self, argv):
        name = argv[-1]
        if argv[:2] == ["zfs", "list"] and "-r" in argv:
            return Result(0, "\n".join(self.below) + "\n", "")
        if argv[:2] == ["zfs", "list"]:
            known = name == self.live or name in self.made
            return Result(0, name + "\n", "") if known else Result(1, "", "cannot open '{0}': dataset does not exist\n".format(name))
        if argv[:2] == ["zfs", "get"]:
            key = argv[-2]
            return Result(0, dict(self.properties, guid=str(len(name)), origin=self.made.get(name) or "-")[key] + "\n", "")
        if argv[:2] == ["zfs", "snapshot"]:
            return self.copy(self.root, name, None)
        if argv[:2] == ["zfs", "clone"]:
            assert argv[2:6] == ["-o", "canmount=noauto", "-o", "mountpoint=/"]
            if argv[-2] not in self.made:
                return Result(1, "", "cannot open '{0}': dataset does not exist\n".format(argv[-2]))
            return self.copy(self.volume(argv[-2]), name, argv[-2])
        if argv[:2] == ["zfs", "destroy"]:
            assert name not in self.made.values() and name not in (self.live, self.bootfs)
            shutil.rmtree(self.volume(name))
            del self.made[name]
        if argv[:2] == ["zpool", "get"]:
            return Result(0, self.bootfs + "\n", "")
        if argv[:2] == ["zpool", "set"]:
            self.bootfs = re.match(r"bootfs=(.+)$", argv[2]).group(1)
        return Result(0, "", "")

    def copy(self, source, name, origin):
        self.made[name] = origin
        shutil.copytree(source, self.volume(name), symlinks=True)
        return Result(0, "", "")

    def left(self):
        (self.place / "datasets").mkdir(exist_ok=True)
        return super().left()

    def reboot(self):
        if self.bootfs != self.live:
            clone = self.volume(self.bootfs)
            self.becomes(clone)
            clone.symlink_to(self.root)
            self.live = self.bootfs
            self.shows("zfs " + self.live)


class CommandBox:
    """A directory and three commands of its owner's."""

    knows_its_end = False

    def __init__(self, place):
        self.place, self.root, self.state, self.kept = place, place / "root", place / "state", place / "kept"
        self.kept.mkdir()

    def kind(self):
        kept = 'kept="{0}/$(echo "$SERIES_UPGRADE_SNAPSHOT" | tr / -)"; '.format(self.kept)
        return registry.kind({
            "kind": "command",
            "create": kept + '[ -d "$kept" ] || cp -a {0} "$kept"'.format(self.root),
            "revert": kept + '[ -d "$kept" ] && rm -rf {0} && cp -a "$kept" {0}'.format(self.root),
            "drop": kept + 'rm -rf "$kept"',
        }, programs.run)

    def reboot(self):
        """Nothing: the commands need none."""

    def left(self):
        return sorted(str(path) for path in self.kept.iterdir())


BOXES = {
    "lvm_thick": lambda place: LvmBox(place, thin=False),
    "lvm_thin": lambda place: LvmBox(place, thin=True),
    "zfs": ZfsBox,
    "command": CommandBox,
}


@pytest.fixture
def box_of(tmp_path):
    """Makes a box of a kind, on bookworm."""
    def make(kind):
        made = BOXES[kind](tmp_path)
        contract.settle(made)
        return made

    return make
