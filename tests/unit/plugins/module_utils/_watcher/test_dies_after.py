# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next watcher does, by what the last one had on the disk when it died: the crash table, a row a test. All rows at every write: test_crashes.py."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import daemon, program
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.lock import Lock
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Damaged, Marker, NotDurable


class FullDisk(Marker):
    """Takes nothing from the n-th write on."""

    writes_left = 0

    def write(self, record):
        if not FullDisk.writes_left:
            raise NotDurable("no space left")
        FullDisk.writes_left -= 1
        return super().write(record)


def test_after_a_death_before_the_first_record_there_is_no_upgrade_and_the_watcher_says_so(tmp_path):
    """K1"""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    with Lock(str(state_dir / "lock")):
        pass
    (state_dir / "marker.json.4711.tmp").write_text("{")
    (tmp_path / "watcher.pyz").write_bytes(program.build())
    command = [sys.executable, tmp_path / "watcher.pyz", "serve", "--state-dir", state_dir, "--runtime-dir", tmp_path / "run"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == daemon.EXIT_NOT_ARMED and "there is no upgrade" in ended.stderr
    assert not (tmp_path / "run").exists() and [path.name for path in state_dir.iterdir()] == ["lock"]


def test_after_a_death_while_armed_the_next_watcher_waits_to_be_asked_as_the_last_one_did(rig):
    """K2"""
    machine = rig()
    machine.start()
    machine.let_pass(1000)
    assert machine.state == "ARMED" and machine.begun == []
    assert machine.ask("upgrade")["result"] == "accepted"


def test_after_a_death_while_watching_the_grace_goes_on_where_it_was_and_only_after_a_fresh_healthy_look(rig):
    """K3"""
    machine = rig(reboot=False, grace=100)
    machine.upgrade()
    machine.let_pass(50)
    machine.start()
    left = machine.record["grace_remaining"]
    assert 50 <= left <= 62
    machine.shows["db answers"] = "unreachable"
    machine.let_pass(2)
    assert machine.record["grace_remaining"] == left
    machine.shows["db answers"] = "ok"
    machine.let_pass(5)
    assert machine.record["grace_remaining"] < left


def test_after_a_death_between_the_record_and_the_answer_the_request_is_done_and_the_retry_hears_the_answer(rig):
    """K4"""
    machine = rig(reboot=False)
    machine.upgrade()
    promised = machine.ask("rollback", request_id="one")
    machine.start()
    assert machine.state == "ROLLING_BACK" and machine.watcher.work.name == "rollback-put back"
    assert machine.ask("rollback", request_id="one") == promised
    assert machine.ask("rollback", request_id="another")["result"] == "already"


def test_after_a_death_in_a_step_of_the_way_back_that_step_is_begun_again_and_then_the_next(rig):
    """K5"""
    machine = rig(reboot=False)
    machine.upgrade()
    machine.ask("rollback")
    machine.start()
    machine.end("rollback-put back")
    machine.start()
    assert machine.begun[-3:] == ["rollback-put back", "rollback-resume", "rollback-resume"]


def test_after_a_death_before_the_final_record_the_machine_is_looked_at_again_before_it_counts_as_rolled_back(rig):
    """K6"""
    machine = rig(reboot=False)
    machine.upgrade()
    machine.ask("rollback")
    for step in ("put back", "resume"):
        machine.end("rollback-" + step)
    machine.watcher.book._marker = FullDisk(machine.directory)
    with pytest.raises(NotDurable):
        machine.end("rollback-seen", value=True)
    machine.start()
    assert (machine.state, machine.watcher.work.name) == ("ROLLING_BACK", "rollback-seen")
    machine.end("rollback-seen", error="the machine runs trixie")
    assert machine.state == "ROLLBACK_FAILED", "what was seen before counts for nothing"


def test_after_a_death_while_committing_the_commit_is_finished_and_nothing_is_deleted_before_its_time(rig):
    """K7"""
    machine = rig(reboot=False, retain=1)
    machine.upgrade()
    assert machine.ask("commit", force=True)["state"] == "COMMITTING"
    machine.start()
    assert machine.watcher.work.name == "commit"
    machine.end("commit")
    machine.let_pass(3600, tick=30)
    assert machine.state == "COMMITTED" and "clean" not in machine.begun


def test_after_a_death_that_has_torn_the_record_and_the_one_before_there_is_no_action_at_all(rig, tmp_path):
    """K8: what INVALID means for the socket is tried with the real daemon."""
    machine = rig()
    machine.upgrade()
    for name in ("marker.json", "marker.json.prev"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Damaged):
        Marker(machine.directory).read()


@pytest.mark.parametrize("live, state", [("trixie", "WATCHING"), ("bookworm", "HELD"), (None, "HELD")])
def test_after_a_new_boot_what_is_live_is_looked_at_first_and_the_unexpected_is_held_with_nothing_deleted(rig, live, state):
    """K9"""
    machine = rig(reboot=False)
    machine.upgrade()
    machine.boot(live, "boot-9")
    assert machine.state == state and (state == "WATCHING" or machine.watcher.work is None)
    machine.let_pass(5)
    assert "clean" not in machine.begun and machine.record["boot_id"] == "boot-9"
