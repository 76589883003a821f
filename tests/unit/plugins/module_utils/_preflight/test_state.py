# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight import state
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import sources
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release.machine import Machine, Packages
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release.os_release import Release

MOVED = sources.Change("/etc/apt/sources.list", 1, "http://mirror.debian.org/debian", ("bookworm",), ("trixie",), "moved", "it is the distribution's own")
PACKAGES = Packages(
    is_root=True, architecture="amd64", audit="", held=[], preferences=[], reboot_required=False, old_ssh="", held_by=None, moves=[MOVED],
)
MACHINE = Machine(
    release=Release("debian", "bookworm", "12"), release_problem=None, marker=None, marker_problem=None, boot_id="b", python=(3, 11),
    free_mb={"/": 9000, "/var/lib/series-upgrade": 9000}, snapshot_problem=None, snapshot_notes=[], packages=PACKAGES,
)
WANTED = {
    "target": "trixie", "run": None, "method": "debian", "snapshot": {"kind": "btrfs"}, "state_dir": "/var/lib/series-upgrade",
    "runtime_dir": "/run/series-upgrade", "series_file": "/etc/os-release", "min_free_mb": None, "debian": None,
}
RECORD = {"state": "WATCHING", "upgrade_id": "to-trixie-1", "run": "to-trixie", "source_series": "bookworm", "target_series": "trixie", "reason": None}


def found(machine=MACHINE, **wanted):
    return {finding.id: finding for finding in state.findings(machine, dict(WANTED, **wanted))}


def packages(**changes):
    return found(MACHINE._replace(packages=PACKAGES._replace(**changes)))


def test_machine_in_good_order_has_no_finding():
    assert found() == {}


@pytest.mark.parametrize("id_, machine, wanted, words", [
    ("series_unknown", {"release": None, "release_problem": "The series cannot be read from /x: No such file."}, {}, "/x: No such file. Mend the file"),
    ("marker_damaged", {"marker_problem": "/x/marker.json does not match its checksum"}, {}, "checksum. Look at its journal"),
    ("socket_path_long", {}, {"runtime_dir": "/run/" + "x" * 100}, "has 118 bytes. Set upgrade_watcher_runtime_dir to a shorter path."),
    ("python_old", {"python": (3, 7)}, {}, "Python is 3.7 here. Install a newer python3."),
    ("not_successor", {}, {"target": "forky"}, "forky does not follow bookworm. Go to trixie first."),
    ("not_successor", {}, {"target": "bullseye"}, "bullseye does not follow bookworm. Go to trixie first."),
    ("not_successor", {}, {"target": "noble"}, "noble does not follow bookworm. Go to trixie first."),
    ("target_unknown", {}, {"target": "7.4"}, "7.4 is no series that we know. From bookworm the way leads to trixie."),
    ("series_unsupported", {"release": Release("arch", "rolling", "")}, {}, "rolling is no series that we know."),
    ("disk_small", {"free_mb": {"/": 312}}, {}, "312 MB are free for /, and 2048 MB are needed. Make room"),
    ("disk_small", {"free_mb": {"/boot": 200}}, {}, "200 MB are free for /boot, and 300 MB are needed. Make room"),
    ("snapshot_impossible", {"snapshot_problem": "/ is ext4 and not btrfs. Choose another kind of snapshot, or none."}, {}, "/ is ext4 and not btrfs."),
])
def test_inhibitor_is_one_sentence_with_the_next_step(id_, machine, wanted, words):
    finding = found(MACHINE._replace(**machine), **wanted)[id_]
    assert finding.severity == "inhibitor"
    assert words in finding.sentence()


@pytest.mark.parametrize("id_, changes, words", [
    ("not_root", {"is_root": False}, "Set become: true."),
    ("i386", {"architecture": "i386"}, "This machine is i386."),
    ("dpkg_broken", {"audit": "The following packages are only half configured:\n app"}, "half configured: app. Run `dpkg --configure -a`"),
    ("held", {"held": ["etcd", "nginx"]}, "Held packages: etcd, nginx."),
    ("reboot_required", {"reboot_required": True}, "Reboot this machine first."),
    ("no_source", {"moves": []}, "No apt source of this machine leads to trixie."),
    ("no_source", {"moves": [MOVED._replace(action="disabled", becomes=())]}, "No apt source of this machine leads to trixie."),
])
def test_packages_in_a_bad_state_forbid_the_upgrade(id_, changes, words):
    finding = packages(**changes)[id_]
    assert finding.severity == "inhibitor"
    assert words in finding.sentence()


@pytest.mark.parametrize("id_, changes", [
    ("preferences", {"preferences": ["/etc/apt/preferences.d/pin"]}),
    ("old_ssh", {"old_ssh": "1:9.2p1-2+deb12u3"}),
    ("source_disabled", {"moves": [MOVED, MOVED._replace(uri="http://x", becomes=(), action="disabled", why="no rule")]}),
])
def test_what_only_asks_to_be_read_is_a_warning(id_, changes):
    assert packages(**changes)[id_].severity == "warning"


def test_debian_without_a_snapshot_is_warned():
    assert found(snapshot=None)["no_snapshot"].severity == "warning"
    assert "no_snapshot" not in found(MACHINE._replace(packages=None), method="command", snapshot=None)


def test_machine_on_its_target_is_said_so_and_asked_nothing_more():
    machine = MACHINE._replace(release=Release("debian", "trixie", "13"), free_mb={"/": 1})
    assert [(finding.id, finding.severity) for finding in state.findings(machine, WANTED)] == [("on_target", "info")]


@pytest.mark.parametrize("run", [None, "to-trixie"])
def test_own_unfinished_upgrade_goes_on_even_with_broken_packages(run):
    machine = MACHINE._replace(marker=dict(RECORD, state="UPGRADING"), packages=PACKAGES._replace(audit="half", moves=[]), free_mb={"/": 1})
    assert list(found(machine, run=run)) == ["resumes"]


@pytest.mark.parametrize("record, wanted", [({}, {"run": "another"}), ({"target_series": "forky"}, {})])
def test_unfinished_upgrade_of_another_run_or_target_is_named(record, wanted):
    finding = found(MACHINE._replace(marker=dict(RECORD, **record)), **wanted)["other_upgrade"]
    assert finding.severity == "inhibitor"
    assert "belongs to the run to-trixie" in finding.what


@pytest.mark.parametrize("ended", ["COMMITTED", "ABORTED", "ROLLED_BACK"])
def test_finished_upgrade_stands_in_nobodys_way(ended):
    assert found(MACHINE._replace(marker=dict(RECORD, state=ended)), run="another") == {}


def test_failed_rollback_wants_a_person():
    finding = found(MACHINE._replace(marker=dict(RECORD, state="ROLLBACK_FAILED", reason="btrfs set-default failed")))["rollback_failed"]
    assert "btrfs set-default failed" in finding.what


def test_given_room_counts_and_commands_need_little():
    assert "disk_small" not in found(MACHINE._replace(free_mb={"/": 500}), min_free_mb=400)
    assert "disk_small" in found(MACHINE._replace(free_mb={"/": 9000}), min_free_mb=10000)
    assert "disk_small" not in found(MACHINE._replace(free_mb={"/": 100}, packages=None), method="command")


def test_distributions_of_their_own_may_use_their_own_command():
    machine = MACHINE._replace(release=Release("own", "alpha", "1"), packages=None)
    assert found(machine, method="command", target="beta") == {}


def test_busy_apt_is_told_and_parts_that_no_snapshot_holds_are_a_warning():
    assert packages(held_by=812)["apt_busy"].severity == "info"
    assert found(MACHINE._replace(snapshot_notes=["/srv is a subvolume of its own."]))["snapshot_partial"].severity == "warning"
