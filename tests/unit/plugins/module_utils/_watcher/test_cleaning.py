# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""S6: commit deletes nothing; what leads back is deleted later, and never what is live as seen on the machine."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import record
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.clock import Clock
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.machine import Machine
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.spec import checked
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result, StepFailed
from tests.rig.watcher import SPEC

DAY = 86400


@pytest.fixture
def committed(rig):
    def make(**spec):
        machine = rig(**{"reboot": False, "retain": 2, **spec})
        machine.upgrade()
        machine.watcher.book.change(memory={"snapshot": {"kind": "command", "name": "one"}})
        machine.let_pass(15)
        machine.end("commit")
        assert machine.state == "COMMITTED"
        return machine

    return make


def keep_for(machine, seconds):
    """Days in hours' steps would be gaps that nobody has observed, so the rest is set and not lived."""
    machine.watcher.book.change(retain_remaining=max(0.5, machine.record["retain_remaining"] - seconds))
    machine.let_pass(2)


def test_commit_deletes_nothing(committed):
    """S6"""
    machine = committed()
    machine.let_pass(30)
    assert "clean" not in machine.begun
    assert machine.record["memory"]["snapshot"]["name"] == "one"


def test_what_leads_back_is_deleted_when_it_was_kept_as_long_as_was_said(committed):
    machine = committed()
    keep_for(machine, DAY)
    assert "clean" not in machine.begun
    keep_for(machine, DAY)
    assert machine.begun[-1] == "clean"
    machine.end("clean")
    assert (machine.state, machine.record["memory"]["snapshot"], machine.ask("status")["retain_remaining"]) == ("COMMITTED", None, None)
    machine.let_pass(10)
    assert machine.begun.count("clean") == 1


@pytest.mark.parametrize("years", [1, -1])
def test_step_of_the_wall_clock_deletes_nothing(committed, years):
    """T2"""
    machine = committed()
    machine.clock.date += years * 365 * DAY
    machine.let_pass(5)
    assert "clean" not in machine.begun


def test_time_that_the_machine_was_off_does_not_shorten_what_is_kept(committed):
    """T2"""
    machine = committed()
    left = machine.record["retain_remaining"]
    machine.boot("trixie", "boot-7")
    machine.clock.at += 30 * DAY
    machine.let_pass(2)
    assert left - machine.record["retain_remaining"] <= 3
    assert "clean" not in machine.begun


def test_person_may_have_it_deleted_at_once(committed):
    machine = committed()
    assert machine.ask("clean", reason="room is needed")["result"] == "accepted"
    assert machine.ask("rollback")["kind"] == "no_artifact", "not while it is being deleted"
    machine.end("clean")
    assert machine.ask("clean")["result"] == "already"


@pytest.mark.parametrize("do", ["hold", "nothing"])
def test_nothing_is_deleted_before_the_end(rig, do):
    """S6"""
    machine = rig(reboot=False)
    machine.upgrade()
    machine.watcher.book.change(memory={"snapshot": {"name": "one"}}, retain_remaining=0.0)
    if do == "hold":
        machine.ask("hold")
    machine.let_pass(3)
    assert machine.ask("clean")["kind"] == "wrong_state"
    assert "clean" not in machine.begun


def test_nothing_is_deleted_after_a_rollback_that_has_failed(rig):
    machine = rig(reboot=False)
    machine.upgrade()
    machine.watcher.book.change(memory={"snapshot": {"name": "one"}}, retain_remaining=0.0)
    machine.ask("rollback")
    machine.end("rollback-put back", error="the snapshot is gone")
    machine.let_pass(3)
    assert machine.state == "ROLLBACK_FAILED"
    assert "clean" not in machine.begun


def test_watcher_killed_while_it_deletes_goes_on_deleting(committed):
    machine = committed()
    machine.ask("clean")
    machine.start()
    assert machine.begun[-2:] == ["clean", "clean"]
    machine.end("clean")
    assert machine.record["cleaning"] is None


def test_what_could_not_be_deleted_is_told_and_tried_again_a_day_later(committed):
    machine = committed()
    machine.ask("clean")
    machine.end("clean", error="device busy")
    assert machine.journal.last(1)[0]["msg"] == "not everything was deleted: device busy"
    assert machine.record["retain_remaining"] >= DAY
    machine.let_pass(5)
    assert machine.begun.count("clean") == 1


def test_next_upgrade_remembers_what_the_one_before_has_left(committed):
    """S6: otherwise nobody would ever delete it."""
    machine = committed(snapshot={"kind": "command", "create": "c", "revert": "r"})
    machine.spec = checked(dict(machine.spec, upgrade_id="to-forky/m1/1", source_series="trixie", target_series="forky"))
    machine.arm()
    machine.start()
    assert [left["record"]["name"] for left in machine.record["kept"]] == ["one"]


class Hand:
    """A work context that notes what is run."""

    def __init__(self, memory):
        self.memory, self.ran, self.state_dir = memory, [], "/nowhere"

    def run(self, argv, timeout=60, env=None):
        self.ran.append((argv[-1], (env or {}).get("SERIES_UPGRADE_SNAPSHOT")))
        return Result(0, "", "")

    def recall(self, key, default=None):
        return self.memory.get(key, default)

    def remember(self, key, value):
        self.memory[key] = value


@pytest.mark.parametrize("live", ["bookworm", None])
def test_on_another_series_than_was_recorded_nothing_at_all_is_deleted(monkeypatch, live):
    """S6"""
    machine, hand = Machine(Clock(), "boot-1", ["true"]), Hand({"snapshot": {"kind": "command", "name": "one"}})
    monkeypatch.setattr(machine, "series", lambda spec: live)
    spec = checked(dict(SPEC, snapshot={"kind": "command", "create": "c", "revert": "r", "drop": "d"}))
    with pytest.raises(StepFailed, match="nothing is deleted"):
        machine.clean(spec, [], "trixie", hand)
    assert hand.ran == []


def test_all_that_was_kept_is_deleted_oldest_first_and_forgotten(monkeypatch):
    machine, hand = Machine(Clock(), "boot-1", ["true"]), Hand({"snapshot": {"kind": "command", "name": "new"}})
    monkeypatch.setattr(machine, "series", lambda spec: "trixie")
    how = {"kind": "command", "create": "c", "revert": "r", "drop": "d"}
    machine.clean(checked(dict(SPEC, snapshot=how)), [{"upgrade_id": "x", "snapshot": how, "record": {"name": "old"}}], "trixie", hand)
    assert hand.ran == [("d", "old"), ("d", "new")]
    assert hand.memory["snapshot"] is None


def test_kept_is_read_from_a_record_of_any_end():
    taken = {"name": "one"}
    assert record.kept(None) == []
    assert record.kept({"memory": {"snapshot": None}, "upgrade_id": "u", "spec": {"snapshot": {}}}) == []
    assert record.kept({"memory": {"snapshot": taken}, "upgrade_id": "u", "spec": {"snapshot": {"kind": "none"}}}) == [
        {"upgrade_id": "u", "snapshot": {"kind": "none"}, "record": taken}]


def test_logs_and_journal_of_the_failed_release_are_kept_after_the_rollback_and_after_cleaning(rig, tmp_path, monkeypatch):
    """H6"""
    machine = rig(reboot=False, snapshot={"kind": "command", "create": "c", "revert": "r", "drop": "d"})
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "upgrade.log").write_text("why it failed")
    machine.upgrade()
    machine.shows["db answers"] = "failed"
    machine.let_pass(15)
    machine.go_back()
    hand = Hand({"snapshot": {"kind": "command", "name": "one"}})
    monkeypatch.setattr(machine.machine, "series", lambda spec: "bookworm")
    machine.machine.clean(machine.spec, [], "bookworm", hand)
    assert (tmp_path / "log" / "upgrade.log").read_text() == "why it failed"
    assert "db answers is failed: as the test says" in [event["msg"] for event in machine.journal.last(100)]
