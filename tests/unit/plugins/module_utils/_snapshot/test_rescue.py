# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that takes a machine back without Python: when it acts, and that it does not act otherwise. What it does is in tests/e2e."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import rescue
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import marker, protocol

THIS_BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
BTRFS = {"kind": "btrfs", "name": "series-upgrade-x", "uuid": "8c1f", "subvolume": 300, "failed": 256, "path": "@root's", "default": True}


class Place:
    """A state directory with a record, and a command as its kind of snapshot, which leaves a trace."""

    def __init__(self, path):
        self.path = path
        self.trace = path / "reverted"
        self.spec = {"upgrade_id": "to-trixie.m1 \"1\"", "on_failure": "rollback", "no_return": [],
                     "snapshot": {"kind": "command", "create": "true", "revert": "echo \"$SERIES_UPGRADE_SNAPSHOT\" >{0}".format(self.trace)}}
        self.state, self.boot_id, self.python = "WATCHING", "another boot", "/nowhere/python3"

    def boots(self):
        """Whether the snapshot was reverted, when the watcher's unit is about to start it."""
        (self.path / marker.NAME).unlink(missing_ok=True)
        record = {"upgrade_id": self.spec["upgrade_id"], "state": self.state, "boot_id": self.boot_id, "reason": "\"state\": \"ARMED\",\n"}
        marker.Marker(str(self.path)).write(record)
        script = self.path / rescue.NAME
        script.write_text(self.script(), encoding="utf-8")
        subprocess.run(["/bin/sh", str(script)], check=True, timeout=60)
        return self.trace.exists()

    def script(self, **changes):
        return rescue.script(dict(self.spec, **changes), {"kind": "command", "name": "a name"}, str(self.path), self.python, "/nowhere/watcher.pyz")


@pytest.fixture(name="place")
def _place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("state", rescue.WATCHED + rescue.PROMISED)
def test_machine_that_boots_without_python_is_taken_back(place, state):
    place.state = state
    assert place.boots()
    assert place.trace.read_text(encoding="utf-8") == "a name\n"


def test_watcher_of_the_old_system_finds_a_request_to_roll_back(place):
    place.spec["no_return"] = [{"application": "db", "command": "false", "reason": "its format"}]
    assert place.boots()
    request = protocol.decode((place.path / "spool" / "rescue.json").read_bytes())
    assert (request["do"], request["reason"], request["force"]) == ("rollback", rescue.REASON, ["db"])


@pytest.mark.parametrize("state", ["ARMED", "HELD", "COMMITTING", "COMMITTED", "ABORTED", "ROLLED_BACK", "ROLLBACK_FAILED"])
def test_state_in_which_the_watcher_would_not_go_back_is_left(place, state):
    place.state = state
    assert not place.boots()


def test_boot_that_the_watcher_knows_is_left_because_python_may_be_on_its_way(place):
    place.boot_id = THIS_BOOT
    assert not place.boots()


def test_python_that_can_run_the_watcher_is_all_it_needs(place):
    place.python = shutil.which("true")
    assert not place.boots()


def test_policy_hold_holds_without_python_as_well(place):
    place.spec["on_failure"] = "hold"
    assert not place.boots()
    place.state = "ROLLING_BACK"
    assert place.boots()


@pytest.mark.parametrize("command, goes", [("false", True), ("true", False), ("exit 127", False)])
def test_point_of_no_return_stops_it(place, command, goes):
    place.spec["no_return"] = [{"application": "db", "command": command, "reason": "its format"}]
    assert place.boots() == goes


def test_point_of_no_return_does_not_stop_what_was_promised(place):
    place.spec["no_return"] = [{"application": "db", "command": "true", "reason": "its format"}]
    place.state = "ROLLBACK_REQUESTED"
    assert place.boots()


def test_script_of_another_upgrade_does_nothing(place):
    text = place.script(upgrade_id="the one before")
    place.script = lambda: text
    assert not place.boots()


@pytest.mark.parametrize("kind", ["none", "lvm", "zfs"])
def test_kind_that_plain_programs_do_not_revert_has_no_rescue(place, kind):
    assert place.script(snapshot={"kind": kind}) is None


@pytest.mark.parametrize("default", [True, False])
def test_script_for_btrfs_is_one_that_a_shell_reads(place, default):
    text = rescue.script(dict(place.spec, snapshot={"kind": "btrfs"}), dict(BTRFS, default=default), str(place.path), sys.executable, "/w.pyz")
    if text is None:
        pytest.skip("/boot is a file system of its own here")
    assert subprocess.run(["/bin/sh", "-n"], input=text, universal_newlines=True, check=False).returncode == 0
    assert ("set-default" in text) == default
    assert json.dumps(rescue.REASON) in text
