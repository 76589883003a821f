# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots on a real btrfs on a loop device, as root. A reboot is an unmount and a mount of the default subvolume."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import registry
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed, run_step

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.btrfs") is None, reason="needs root and btrfs-progs")


def do(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


class Disk:
    """A btrfs of its own, its root subvolume mounted at `root` by being the default one."""

    def __init__(self, place):
        self.image, self.root, self.top = place / "disk.img", place / "root", place / "top"
        self.root.mkdir()
        self.top.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(600 * 1024 * 1024)
        do("mkfs.btrfs", "-q", str(self.image))
        self.device = do("losetup", "--find", "--show", str(self.image)).strip()
        try:
            do("mount", self.device, str(self.root))
            do("btrfs", "subvolume", "create", str(self.root / "system"))
            do("btrfs", "subvolume", "set-default", str(self.root / "system"))
            self.reboot()
        except BaseException:
            self.close()
            raise

    def reboot(self):
        do("umount", str(self.root))
        do("mount", self.device, str(self.root))

    def show_top(self):
        do("mount", "-o", "subvolid=5", self.device, str(self.top))

    def close(self):
        for point in (self.top, self.root):
            while os.path.ismount(point):
                do("umount", str(point))
        do("losetup", "--detach", self.device)


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def state(disk):
    """The watcher's directory on the machine, on bookworm."""
    (disk.root / "etc").mkdir()
    (disk.root / "etc" / "series").write_text("bookworm", encoding="ascii")
    place = disk.root / "var" / "lib" / "series-upgrade"
    (place / "log").mkdir(parents=True)
    (place / "marker.json").write_text("generation 1", encoding="ascii")
    (place / "lock").write_text("", encoding="ascii")
    return place


def btrfs(disk, **more):
    return registry.kind(dict({"kind": "btrfs", "root": str(disk.root), "min_free_mb": 50}, **more), programs.run)


def upgrade(disk, state):
    (disk.root / "etc" / "series").write_text("trixie", encoding="ascii")
    (state / "log" / "upgrade.log").write_text("dpkg: error", encoding="ascii")
    (state / "marker.json").write_text("generation 9", encoding="ascii")
    os.chown(state / "log", 0, 12)


@pytest.mark.parametrize("top_is_mounted", [True, False])
def test_machine_comes_back_with_its_old_system_and_its_newest_record(disk, state, top_is_mounted):
    if top_is_mounted:
        disk.show_top()
    snapshot = btrfs(disk)
    assert snapshot.check() is None
    record = snapshot.create("to-trixie/m1/x")
    assert record == snapshot.create("to-trixie/m1/x"), "a phase that was cut off takes the snapshot that it has made"
    upgrade(disk, state)

    steps = snapshot.revert_steps(record, str(state))
    assert [run_step(step) for step in steps] == [True, True, True]
    (state / "marker.json").write_text("generation 12", encoding="ascii")
    snapshot.carry(record, str(state))
    disk.reboot()

    assert (disk.root / "etc" / "series").read_text(encoding="ascii") == "bookworm"
    assert (state / "marker.json").read_text(encoding="ascii") == "generation 12"
    assert (state / "log" / "upgrade.log").read_text(encoding="ascii") == "dpkg: error"
    assert (state / "log").stat().st_gid == 12
    assert not (state / "lock").exists()
    assert [run_step(step) for step in btrfs(disk).revert_steps(record, str(state))] == [False, False, False]
    if not top_is_mounted:
        disk.show_top()
    assert (disk.top / "system" / "etc" / "series").read_text(encoding="ascii") == "trixie", "the failed system stays readable"


def test_revert_goes_on_wherever_it_was_cut_off(disk, state):
    snapshot = btrfs(disk)
    record = snapshot.create("x")
    upgrade(disk, state)
    for begun in (1, 2, 3):
        for step in btrfs(disk).revert_steps(record, str(state))[:begun]:
            run_step(step)
    disk.reboot()
    assert (disk.root / "etc" / "series").read_text(encoding="ascii") == "bookworm"


def test_machine_that_loses_power_before_the_last_step_is_still_the_upgraded_one(disk, state):
    snapshot = btrfs(disk)
    record = snapshot.create("x")
    upgrade(disk, state)
    for step in snapshot.revert_steps(record, str(state))[:2]:
        run_step(step)
    disk.reboot()
    assert (disk.root / "etc" / "series").read_text(encoding="ascii") == "trixie"
    assert (state / "marker.json").read_text(encoding="ascii") == "generation 9"


def test_second_upgrade_after_a_rollback_is_rolled_back_as_well(disk, state):
    for attempt in ("first", "second"):
        snapshot = btrfs(disk)
        assert snapshot.check() is None
        record = snapshot.create(attempt)
        upgrade(disk, state)
        for step in snapshot.revert_steps(record, str(state)):
            run_step(step)
        disk.reboot()
        assert (disk.root / "etc" / "series").read_text(encoding="ascii") == "bookworm"


def test_dropping_keeps_what_runs_and_may_be_repeated(disk, state):
    snapshot = btrfs(disk)
    kept, dropped = snapshot.create("kept"), snapshot.create("dropped")
    for step in snapshot.revert_steps(kept, str(state)):
        run_step(step)
    disk.reboot()
    for record in (dropped, dropped, kept, kept):
        btrfs(disk).drop(record)
    disk.show_top()
    assert sorted(path.name for path in disk.top.iterdir()) == ["series-upgrade-kept-root", "system"]
    assert (disk.root / "etc" / "series").exists()


def test_state_directory_of_its_own_file_system_is_not_carried(disk, state, tmp_path):
    snapshot = btrfs(disk)
    record = snapshot.create("x")
    for step in snapshot.revert_steps(record, str(tmp_path)):
        run_step(step)
    disk.reboot()
    assert not (disk.root / "carried").exists()


def test_no_mount_of_ours_is_left_behind(disk, state):
    before = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").count(disk.device)
    snapshot = btrfs(disk)
    with pytest.raises(StepFailed):
        for step in snapshot.revert_steps(dict(snapshot.create("x"), name="series-upgrade-none"), str(state)):
            run_step(step)
    assert pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").count(disk.device) == before


def test_what_cannot_be_taken_back_is_said_beforehand(disk, state, tmp_path):
    assert "has" in btrfs(disk, min_free_mb=100000).check() and "Make room" in btrfs(disk, min_free_mb=100000).check()
    do("btrfs", "subvolume", "set-default", "5", str(disk.root))
    assert "Boot the default subvolume" in btrfs(disk).check()
    plain = registry.kind({"kind": "btrfs", "root": "/proc"}, programs.run)
    assert plain.check() == "/proc is proc and not btrfs. Choose another kind of snapshot, or none."


def test_nested_subvolumes_are_named(disk, state):
    assert btrfs(disk).notes() == []
    do("btrfs", "subvolume", "create", str(disk.root / "machines"))
    assert btrfs(disk).notes() == ["The subvolume system/machines lies inside %s and is no part of its snapshot." % disk.root]


def test_something_in_the_way_is_not_taken_for_the_snapshot(disk, state):
    disk.show_top()
    do("btrfs", "subvolume", "create", str(disk.top / "series-upgrade-x"))
    with pytest.raises(StepFailed, match="is in the way"):
        btrfs(disk).create("x")
