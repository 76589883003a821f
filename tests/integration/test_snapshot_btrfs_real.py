# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Snapshots on a real btrfs on a loop device, as root. A reboot is an unmount and a mount, of the default subvolume or of one by its path,
as the kernel's command line says.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import btrfs as btrfs_room
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import proof, registry
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed, run_step
from tests.unit.plugins.module_utils._snapshot import contract

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.btrfs") is None, reason="needs root and btrfs-progs")


def do(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


class Disk:
    """A btrfs of its own with the system in the subvolume `system`, mounted at `root`. by_path: as with rootflags=subvol=system."""

    knows_its_end = True

    def __init__(self, place, by_path=False):
        self.image, self.root, self.top, self.proc = place / "disk.img", place / "root", place / "top", place / "proc"
        self.state = self.root / "var" / "lib" / "series-upgrade"
        self.by_path = by_path
        for folder in (self.root, self.top, self.proc / "self"):
            folder.mkdir(parents=True)
        (self.proc / "self" / "mountinfo").symlink_to("/proc/self/mountinfo")
        (self.proc / "cmdline").write_text("quiet{0}\n".format(" rootflags=noatime,subvol=system" if by_path else ""), encoding="ascii")
        with open(self.image, "wb") as file:
            file.truncate(600 * 1024 * 1024)
        do("mkfs.btrfs", "-q", str(self.image))
        self.device = do("losetup", "--find", "--show", str(self.image)).strip()
        try:
            do("mount", self.device, str(self.root))
            do("btrfs", "subvolume", "create", str(self.root / "system"))
            if not by_path:
                do("btrfs", "subvolume", "set-default", str(self.root / "system"))
            self.reboot()
        except BaseException:
            self.close()
            raise

    def reboot(self):
        do("umount", "--recursive", str(self.root))
        do("mount", *(["-o", "subvol=system"] if self.by_path else []), self.device, str(self.root))

    def kind(self, **more):
        spec = dict({"kind": "btrfs", "root": str(self.root), "min_free_mb": 50}, **more)
        return btrfs_room.Btrfs(spec, programs.run, proc=str(self.proc), fstab=str(self.proc / "fstab"))

    def left(self):
        return do("btrfs", "subvolume", "list", str(self.root)).count("\n"), sorted(str(path) for path in self.root.rglob("*"))

    def show_top(self):
        do("mount", "-o", "subvolid=5", self.device, str(self.top))

    def close(self):
        for point in (self.top, self.root):
            while os.path.ismount(point):
                do("umount", "--recursive", str(point))
        do("losetup", "--detach", self.device)


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def state(disk):
    """The watcher's directory on the machine, on bookworm."""
    contract.settle(disk)
    return disk.state


class TestBtrfsBootedByDefault(contract.Contract):
    @pytest.fixture
    def box(self, disk, state):
        return disk


class TestBtrfsBootedByPath(contract.Contract):
    @pytest.fixture
    def box(self, tmp_path):
        made = Disk(tmp_path, by_path=True)
        contract.settle(made)
        yield made
        made.close()


def btrfs(disk, **more):
    return disk.kind(**more)


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
    assert [run_step(step) for step in steps] == [True, False, True, True, False]
    (state / "marker.json").write_text("generation 12", encoding="ascii")
    snapshot.carry(record, str(state))
    disk.reboot()

    assert (disk.root / "etc" / "series").read_text(encoding="ascii") == "bookworm"
    assert (state / "marker.json").read_text(encoding="ascii") == "generation 12"
    assert (state / "log" / "upgrade.log").read_text(encoding="ascii") == "dpkg: error"
    assert (state / "log").stat().st_gid == 12
    assert not (state / "lock").exists()
    assert [run_step(step) for step in btrfs(disk).revert_steps(record, str(state))] == [False] * 5
    if not top_is_mounted:
        disk.show_top()
    assert (disk.top / "series-upgrade-to-trixie-m1-x-failed" / "etc" / "series").read_text(encoding="ascii") == "trixie", "the failed system stays readable"


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


def test_nested_subvolumes_are_named_and_go_along_with_their_newest_content(disk, state):
    assert btrfs(disk).notes() == []
    do("btrfs", "subvolume", "create", str(disk.root / "srv"))
    do("btrfs", "subvolume", "create", str(disk.root / "srv" / "deeper"))
    (disk.root / "srv" / "deeper" / "data").write_text("before", encoding="ascii")
    assert btrfs(disk).notes()[0] == "The subvolume system/srv lies inside %s and is no part of its snapshot." % disk.root
    record = btrfs(disk).create("x")
    upgrade(disk, state)
    (disk.root / "srv" / "deeper" / "data").write_text("after", encoding="ascii")
    steps = btrfs(disk).revert_steps(record, str(state))
    for step in steps[:-1]:
        run_step(step)
    disk.reboot()
    assert [run_step(step) for step in btrfs(disk).revert_steps(record, str(state))] == [False] * 4 + [True], "a power cut came before the last step"
    assert (disk.root / "etc" / "series").read_text(encoding="ascii") == "bookworm"
    assert (disk.root / "srv" / "deeper" / "data").read_text(encoding="ascii") == "after"
    btrfs(disk).drop(record)
    assert (disk.root / "srv" / "deeper" / "data").read_text(encoding="ascii") == "after"


def test_nested_subvolume_whose_place_is_taken_is_told_and_not_lost(disk, state):
    do("btrfs", "subvolume", "create", str(disk.root / "srv"))
    record = btrfs(disk).create("x")
    steps = btrfs(disk).revert_steps(record, str(state))
    for step in steps[:-1]:
        run_step(step)
    disk.reboot()
    # The place that a snapshot keeps for it takes no files; somebody has to make another first.
    (disk.root / "srv").rmdir()
    (disk.root / "srv").mkdir()
    (disk.root / "srv" / "new").write_text("", encoding="ascii")
    with pytest.raises(StepFailed, match="cannot be moved to srv: Directory not empty"):
        run_step(steps[-1])


def test_subvolume_that_holds_a_part_of_the_system_is_refused(disk, state):
    do("btrfs", "subvolume", "create", str(disk.root / "usr"))
    assert btrfs(disk).check().startswith("%s/usr is a file system of its own, so a snapshot of %s would bring back half a system." % (disk.root, disk.root))


@pytest.mark.parametrize("by_path", [False, True])
def test_boot_file_system_of_its_own_goes_back_with_the_root(tmp_path, by_path):
    made = Disk(tmp_path, by_path)
    try:
        contract.settle(made)
        (made.root / "boot").mkdir()
        with open(tmp_path / "boot.img", "wb") as file:
            file.truncate(16 * 1024 * 1024)
        do("mkfs.ext4", "-q", str(tmp_path / "boot.img"))
        do("mount", "-o", "loop", str(tmp_path / "boot.img"), str(made.root / "boot"))
        (made.root / "boot" / "vmlinuz").write_text("bookworm", encoding="ascii")
        record = made.kind().create("x")
        contract.upgrade(made)
        (made.root / "boot" / "vmlinuz").write_text("trixie", encoding="ascii")
        (made.root / "boot" / "vmlinuz-new").write_text("trixie", encoding="ascii")
        contract.revert(made, record)
        assert (made.root / "boot" / "vmlinuz").read_text(encoding="ascii") == "bookworm"
        assert not (made.root / "boot" / "vmlinuz-new").exists()
        made.reboot()
        assert contract.series(made) == "bookworm"
        made.kind().drop(record)
    finally:
        made.close()


def test_failed_system_is_beside_the_old_one_until_it_is_dropped(disk, state):
    record = btrfs(disk).create("x")
    upgrade(disk, state)
    contract.revert(disk, record)
    disk.reboot()
    disk.show_top()
    assert sorted(path.name for path in disk.top.iterdir()) == ["series-upgrade-x", "series-upgrade-x-failed", "system"]
    assert (disk.top / "series-upgrade-x-failed" / "etc" / "series").read_text(encoding="ascii") == "trixie"
    btrfs(disk).drop(record)
    assert [path.name for path in disk.top.iterdir()] == ["system"]


def test_record_of_an_older_watcher_is_reverted_by_the_default_subvolume(disk, state):
    record = {key: value for key, value in btrfs(disk).create("x").items() if key not in ("path", "default")}
    upgrade(disk, state)
    contract.revert(disk, record)
    disk.reboot()
    assert contract.series(disk) == "bookworm"


def test_machine_that_does_not_see_its_device_is_proved_by_the_mounted_top(disk, state):
    disk.show_top()
    seen = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").replace(disk.device + " ", "/dev/nowhere ")
    (disk.proc / "self" / "mountinfo").unlink()
    (disk.proc / "self" / "mountinfo").write_text(seen, encoding="utf-8")
    assert proof.prove(btrfs(disk)) is None
    assert sorted(path.name for path in disk.top.iterdir()) == ["system"]


WITHOUT_PYTHON = """
import sys
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import keepsakes
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import registry
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Context, run_step

root, state = sys.argv[1:]
memory = {}
context = Context()
context.state_dir, context.run_id, context.run = state, "x", programs.run
context.remember, context.recall, context.progress = memory.__setitem__, memory.get, lambda percent, msg: sys.exit(msg)
# Now nothing can be loaded any more: neither a module nor a codec.
sys.path[:], sys.meta_path[:], sys.path_hooks[:] = [], [], []
kind = registry.kind({"kind": "btrfs", "root": root, "min_free_mb": 50}, programs.run)
record = kind.create("x")
for step in [keepsakes.diagnostics(context, root)] + kind.revert_steps(record, state):
    run_step(step)
kind.carry(record, state)
"""


def test_revert_needs_nothing_of_a_python_that_the_upgrade_has_taken_away(disk, state):
    upgrade(disk, state)
    ran = subprocess.run([sys.executable, "-c", WITHOUT_PYTHON, str(disk.root), str(state)], cwd=pathlib.Path(__file__).parents[2] / ".dev",
                         stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    (disk.root / "etc" / "series").write_text("the failed one", encoding="ascii")
    disk.reboot()
    assert contract.series(disk) == "trixie", "the snapshot was taken of it"


def test_proof_that_cannot_be_read_is_told_and_leaves_nothing(disk, state):
    before = disk.left()
    kind = btrfs(disk)
    (disk.root / "etc").rename(disk.root / "elsewhere")
    assert "A snapshot was tried and could not be read: there is no etc in it." in proof.prove(kind)
    (disk.root / "elsewhere").rename(disk.root / "etc")
    assert disk.left() == before


def test_something_in_the_way_is_not_taken_for_the_snapshot(disk, state):
    disk.show_top()
    do("btrfs", "subvolume", "create", str(disk.top / "series-upgrade-x"))
    with pytest.raises(StepFailed, match="is in the way"):
        btrfs(disk).create("x")
