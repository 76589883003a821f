# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LVM on recorded reports, ZFS on output after its manual pages: neither runs on a kernel without a device-mapper or a ZFS module."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result, StepFailed, run_step

from tests.unit.plugins.module_utils._snapshot.contract import revert, upgrade


def test_thick_snapshot_is_as_large_as_asked_and_never_larger_than_its_root_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    box.kind(size_mb=40).create("x")
    assert "lvcreate --yes --snapshot --size 40m --name series-upgrade-x vg0/root" in box.asked
    box.snapshot = None
    box.kind(size_mb=4096).create("y")
    assert "lvcreate --yes --snapshot --size 100m --name series-upgrade-y vg0/root" in box.asked


def test_thin_snapshot_takes_no_size_and_can_be_mounted_on_recorded_output(box_of):
    box = box_of("lvm_thin")
    assert box.kind().create("x")["thin"] is True
    assert "lvcreate --yes --snapshot --setactivationskip n --name series-upgrade-x vg0/thinroot" in box.asked


def test_room_is_asked_of_the_volume_group_or_the_pool_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    box.free = str(50 * 1024 * 1024)
    assert box.kind().check() == "The volume group vg0 has 50 MB free, and a snapshot needs 100 MB. Add room to it, or lower size_mb."
    box = box.__class__(box.place / "thin", thin=True)
    box.root.mkdir()
    assert box.kind(min_free_mb=40).check() is None
    box.full = "90.00"
    assert box.kind(min_free_mb=40).check() == (
        "The thin pool vg0/pool has 6 MB free, and an upgrade beside a snapshot needs 40 MB. Extend it, or lower min_free_mb.")
    box.full = ""
    assert "LVM does not tell how full the thin pool pool is" in box.kind().check()


def test_root_that_lvm_cannot_take_back_is_refused_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    box.shows("ext4 /dev/vda1")
    assert box.kind().check() == "{0} is on /dev/vda1, which is no logical volume. Choose another kind of snapshot, or none.".format(box.root)
    box.shows("btrfs /dev/mapper/vg0-root")
    assert "is btrfs, and LVM snapshots are taken here of ext2, ext3, ext4, xfs." in box.kind().check()
    box.shows("ext4 /dev/mapper/vg0-root")
    box.snapshot, box.merging = "series-upgrade-old", True
    assert "An earlier snapshot is still to be merged into vg0/root. Reboot" in box.kind().check()
    box.answer = lambda argv: Result(127, "", "lvs: not found")
    assert box.kind().check() == "There is no lvs program. Install lvm2."


@pytest.mark.parametrize("kind", ["lvm_thick", "lvm_thin"])
def test_merge_waits_for_the_reboot_and_is_ordered_once_on_recorded_output(box_of, kind):
    box = box_of(kind)
    record = box.kind().create("x")
    upgrade(box)
    revert(box, record)
    revert(box, record)
    assert box.asked.count("lvconvert --yes --merge vg0/series-upgrade-x") == 1
    assert (box.root / "etc" / "new").exists(), "nothing changes under the running system"
    box.kind().drop(record)
    assert not any(line.startswith("lvremove") for line in box.asked), "a snapshot that is being merged is not taken away"


def test_snapshot_that_has_run_full_is_no_way_back_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    record = box.kind().create("x")
    box.invalid = True
    with pytest.raises(StepFailed, match="The snapshot vg0/series-upgrade-x has run full and is lost, so nothing leads back."):
        revert(box, record)


def test_question_that_lvm_does_not_answer_is_not_taken_for_a_merge_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    record = box.kind().create("x")
    box.answer = lambda argv: Result(5, "", "  Can't get lock for vg0")
    with pytest.raises(StepFailed, match="lvs failed: Can't get lock for vg0"):
        revert(box, record)
    box.answer = lambda argv: Result(0, "no json", "")
    with pytest.raises(StepFailed, match="lvs gives no report that can be read"):
        revert(box, record)


def test_volume_in_the_way_is_not_taken_for_the_snapshot_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    box.kind().create("x")
    real = box.volumes
    box.volumes = lambda: [dict(volume, origin="") for volume in real()]
    with pytest.raises(StepFailed, match="vg0/series-upgrade-x is in the way: it is no snapshot of root."):
        box.kind().create("x")


def test_long_names_fit_into_lvm_and_differ_on_recorded_output(box_of):
    box = box_of("lvm_thick")
    names = []
    for name in ("a" * 100, "a" * 99 + "b"):
        names.append(box.kind().create(name)["name"])
        box.snapshot = None
    assert max(map(len, names)) <= 60 and len(set(names)) == 2


def test_root_that_zfs_cannot_take_back_is_refused_on_output_after_its_manual(box_of):
    box = box_of("zfs")
    box.boots("root=ZFS=rpool/ROOT/debian")
    assert "The kernel's command line names the dataset rpool/ROOT/debian" in box.kind().check()
    for line in ("root=zfs:AUTO", "root=ZFS=auto", "ro"):
        box.boots(line)
        assert box.kind().check() is None
    box.bootfs = "rpool/ROOT/other"
    assert "bootfs of its pool is rpool/ROOT/other" in box.kind().check()
    box.bootfs = box.live
    box.properties["canmount"] = "on"
    assert "Run `zfs set canmount=noauto rpool/ROOT/debian`" in box.kind().check()
    box.properties.update(canmount="noauto", available="1048576")
    assert "has 1 MB free, and a snapshot needs 2048 MB" in box.kind(min_free_mb=2048).check()
    box.shows("ext4 /dev/vda1")
    assert "is ext4 and not zfs" in box.kind().check()


def test_datasets_below_the_root_are_named_on_output_after_the_manual_of_zfs(box_of):
    box = box_of("zfs")
    box.below.append("rpool/ROOT/debian/srv")
    assert box.kind().notes() == ["The dataset rpool/ROOT/debian/srv lies below rpool/ROOT/debian and is no part of its snapshot."]


def test_clone_in_the_way_is_not_taken_for_ours_on_output_after_the_manual_of_zfs(box_of):
    box = box_of("zfs")
    record = box.kind().create("x")
    box.copy(box.root, record["clone"], "rpool/ROOT/other@y")
    with pytest.raises(StepFailed, match="is in the way: it is no clone of rpool/ROOT/debian@series-upgrade-x"):
        run_step(box.kind().revert_steps(record, str(box.state))[0])
