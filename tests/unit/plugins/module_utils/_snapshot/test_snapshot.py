# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import btrfs, places, proof, registry
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed, run_step

MOUNTS = """\
22 1 0:20 /system / rw,relatime - btrfs /dev/vda2 rw,space_cache=v2,subvolid=256,subvol=/system
30 22 0:21 / /proc rw - proc proc rw
31 22 0:20 / /.btrfs rw - btrfs /dev/vda2 rw,subvolid=5,subvol=/
32 22 0:20 /@data /srv/with\\040blank rw - btrfs /dev/vda2 rw,subvolid=257,subvol=/@data
"""
SHOW = "system\n\tName: \t\t\tsystem\n\tUUID: \t\t\t1-2\n\tParent UUID: \t\t-\n\tSubvolume ID: \t\t256\n\tFlags: \t\t\t-\n"


@pytest.fixture
def machine(tmp_path, context):
    """A context whose programs tell of a machine in good order, and how to look at it; parts may be put otherwise."""
    (tmp_path / "self").mkdir()
    (tmp_path / "cmdline").write_text("root=/dev/vda2 quiet\n", encoding="ascii")
    (tmp_path / "fstab").write_text("/dev/vda2 / btrfs defaults 0 0\n# /dev/vda2 / btrfs subvol=x 0 0\n", encoding="ascii")
    context.answers = [("get-default", 0, "ID 256 gen 9 top level 5 path system\n"), ("subvolume show", 0, SHOW)]

    def make(mounts=MOUNTS, **spec):
        (tmp_path / "self" / "mountinfo").write_text(mounts, encoding="ascii")
        return btrfs.Btrfs(dict({"kind": "btrfs", "min_free_mb": 1}, **spec), context.run, proc=str(tmp_path), fstab=str(tmp_path / "fstab"))

    return make


def test_mounts_are_read_with_their_escapes_undone():
    found = places.mounts(MOUNTS)
    assert found[0] == ("/", "/system", "btrfs", "/dev/vda2", "rw,space_cache=v2,subvolid=256,subvol=/system")
    assert found[3].point == "/srv/with blank"


def test_machine_that_boots_its_default_subvolume_is_fit(machine):
    assert machine().check() is None


def test_machine_that_cannot_be_taken_back_is_told_why(machine, context, tmp_path):
    assert "is ext4 and not btrfs" in machine("22 1 8:1 / / rw - ext4 /dev/vda1 rw\n").check()
    assert "Make room, or lower min_free_mb." in machine(min_free_mb=10 ** 9).check()
    (tmp_path / "cmdline").write_text("root=/dev/vda2 rootflags=subvol=@rootfs quiet\n", encoding="ascii")
    assert "The kernel's command line names the subvolume @rootfs, and / is system. Reboot, or put it right." == machine().check()
    (tmp_path / "cmdline").write_text("root=/dev/vda2 rootflags=noatime,subvolid=256 quiet\n", encoding="ascii")
    assert "The kernel's command line names the root subvolume by its number. Name it by its path (subvol=system)" in machine().check()
    (tmp_path / "cmdline").write_text("quiet\n", encoding="ascii")
    (tmp_path / "fstab").write_text("/dev/vda2 / btrfs defaults,subvol=@ 0 0\n", encoding="ascii")
    assert "fstab names the subvolume @, and / is system" in machine().check()
    (tmp_path / "fstab").write_text("/dev/vda2 / btrfs defaults,subvol=/system 0 0\n", encoding="ascii")
    assert machine().check() is None
    assert "/ is the top of its file system" in machine(MOUNTS.replace("/system / rw", "/ / rw")).check()
    context.answers[0] = ("get-default", 0, "ID 5 (FS_TREE)\n")
    assert "/ is subvolume 256, and the default one is 5." in machine().check()
    (tmp_path / "cmdline").write_text("rootflags=subvol=/system\n", encoding="ascii")
    assert machine().check() is None, "booted by its path, whatever the default one is"
    context.answers.insert(0, ("--version", 127, "not found"))
    assert machine().check() == "There is no btrfs program. Install btrfs-progs."


def test_device_that_is_out_of_sight_is_a_problem_unless_the_top_is_mounted(machine):
    assert "is not to be seen here" in machine(MOUNTS.splitlines()[0].replace("/dev/vda2", "/dev/nowhere") + "\n").check()
    assert machine(MOUNTS.replace("/dev/vda2", "/dev/nowhere")).check() is None


def test_question_that_btrfs_does_not_answer_is_a_problem_and_not_fitness(machine, context):
    context.answers = [("get-default", 1, "ERROR: Operation not permitted"), ("subvolume show", 0, SHOW)]
    assert "btrfs subvolume get-default failed: ERROR: Operation not permitted" in machine().check()


def test_commands_get_the_name_and_their_failure_is_told(context):
    asked = []

    def run(argv, timeout=60, env=None):
        asked.append((argv[2], env))
        return context.run(argv, timeout, env)

    kind = registry.kind({"kind": "command", "create": "snap", "revert": "back", "needs_reboot": True}, run)
    assert kind.check() is None and kind.notes() == [] and kind.needs_reboot and kind.can_revert
    record = kind.create("x1")
    assert record == {"kind": "command", "name": "x1"}
    kind.drop(record)
    kind.carry(record, "/state")
    assert asked == [("snap", {"SERIES_UPGRADE_SNAPSHOT": "x1"})]
    (step,) = kind.revert_steps(record, "/state")
    run_step(step)
    assert asked[1:] == [("back", {"SERIES_UPGRADE_SNAPSHOT": "x1"})]
    context.answers = [("back", 2, "some words\nno such volume\n")]
    with pytest.raises(StepFailed, match="snapshot command revert ended with exit status 2: no such volume"):
        run_step(step)


def test_command_snapshot_needs_both_ways(context):
    assert "has no create and no revert" in registry.kind({"kind": "command"}, context.run).check()
    assert "set series_upgrade_snapshot.revert" in registry.kind({"kind": "command", "create": "x"}, context.run).check()


@pytest.mark.parametrize("spec", [None, {}, {"kind": "none"}])
def test_no_snapshot_brings_nothing_back_and_says_so(spec, context):
    kind = registry.kind(spec, context.run)
    record = kind.create("x")
    assert (kind.check(), kind.notes(), kind.can_revert, kind.needs_reboot, kind.revert_steps(record, "/")) == (None, [], False, False, [])
    kind.carry(record, "/")
    kind.drop(record)


def test_directory_that_a_snapshot_would_leave_out_is_named(tmp_path):
    for folder in ("root/etc", "root/usr", "root/var/lib"):
        (tmp_path / folder).mkdir(parents=True)
    assert places.apart_problem(str(tmp_path / "root")) is None
    (tmp_path / "root" / "lib").mkdir()
    (tmp_path / "root" / "lib" / "modules").symlink_to("/proc")
    assert places.apart_problem(str(tmp_path / "root")) == (
        "{0}/lib/modules is a file system of its own, so a snapshot of {0} would bring back half a system. "
        "Take a snapshot of kind command that holds all of it.".format(tmp_path / "root"))
    (tmp_path / "root" / "var" / "lib" / "dpkg").symlink_to("/proc")
    assert "/var/lib/dpkg are file systems of their own" in places.apart_problem(str(tmp_path / "root"))


@pytest.mark.parametrize(("spec", "told"), [
    ({"create": "exit 3"}, "could not be made: The snapshot command create ended with exit status 3"),
    ({"create": "true", "drop": "echo busy; exit 1"}, "could not be dropped: The snapshot command drop ended with exit status 1: busy."),
])
def test_proof_that_fails_says_at_what(spec, told):
    assert told in proof.prove(registry.kind(dict(spec, kind="command", revert="true"), programs.run))


def test_snapshot_that_cannot_be_read_is_dropped_all_the_same():
    dropped = []

    class Unreadable(registry.Nothing):
        def readable(self, record):
            raise StepFailed("bad superblock")

        def drop(self, record):
            dropped.append(record["name"])

    assert "could not be read: bad superblock." in proof.prove(Unreadable())
    assert dropped == ["proof"]


def test_unknown_kind_is_refused(context):
    with pytest.raises(StepFailed, match="There is no snapshot of kind 'rsync'; there are btrfs, command, lvm, none, zfs."):
        registry.kind({"kind": "rsync"}, context.run)
