# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine itself: drains, the snapshot in the record, and a way back that reboots once."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import machine as room, programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.clock import Clock
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.machine import Machine, problem_of
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.spec import checked
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Context, StepFailed
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.watcher import Watcher


class StandInWork(Context):
    """Runs short programs for real; remembers in memory; a reboot ends nothing here."""

    run_id = "to-trixie/m1/1"

    def __init__(self, directory, memory=None):
        self.state_dir = self.log_dir = str(directory)
        self.memory = {} if memory is None else memory

    def run(self, argv, timeout=60, env=None):
        return programs.run(argv, timeout, env)

    def call(self, argv, log, on_line=None, env=None):
        return programs.run(argv, 60, env).rc

    def progress(self, percent, msg):
        pass

    def remember(self, key, value):
        self.memory[key] = value

    def recall(self, key, default=None):
        return self.memory.get(key, default)

    def wait(self, seconds):
        pass


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "os-release").write_text("VERSION_CODENAME=bookworm\n")

    def make(**changes):
        return checked({
            "upgrade_id": "to-trixie/m1/1", "run": "to-trixie", "machine": "m1", "source_series": "bookworm", "target_series": "trixie",
            "method": "command", "command": {"upgrade": "true", "rollback": "echo back >>%s/said" % tmp_path},
            "series_file": str(tmp_path / "os-release"), "grace": 1, "interval": 0.1, **changes,
        })

    return make


def machine(boot_id="boot-1"):
    return Machine(Clock(), boot_id, ["true"])


def said(tmp_path):
    path = tmp_path / "said"
    return path.read_text().split() if path.exists() else []


def test_phases_are_drain_snapshot_and_those_of_the_method(spec, tmp_path):
    assert [phase.name for phase in machine().phases(spec(), StandInWork(tmp_path))] == ["drain", "snapshot", "upgrade", "prove"]


def test_what_a_method_fetches_comes_before_the_drain_and_the_snapshot_after_it(spec, tmp_path):
    phases = machine().phases(spec(method="debian"), StandInWork(tmp_path))
    assert [phase.name for phase in phases[:4]] == ["fetch", "drain", "snapshot", "backup"]
    assert not any(phase.irreversible for phase in phases[:4])


def test_units_are_drained_in_order_and_resumed_in_reverse(spec, tmp_path):
    drain = [{"unit": unit, "command": "echo stop-%s >>%s/said" % (unit, tmp_path), "resume": "echo start-%s >>%s/said" % (unit, tmp_path)}
             for unit in ("db", "web")]
    whole, work = spec(drain=drain), StandInWork(tmp_path)
    machine().phases(whole, work)[0].run(work)
    machine().resume(whole, work)
    assert said(tmp_path) == ["stop-db", "stop-web", "start-web", "start-db"]


def test_drain_that_does_not_end_is_a_failure_and_not_a_warning(spec, tmp_path):
    whole, work = spec(drain=[{"unit": "db/0", "command": "sleep 60", "timeout": 1}]), StandInWork(tmp_path)
    with pytest.raises(StepFailed, match="db/0 could not be drained: status 124"):
        machine().phases(whole, work)[0].run(work)


def snapshot(tmp_path):
    return {"kind": "command", "create": "echo create >>%s/said" % tmp_path, "revert": "echo revert >>%s/said" % tmp_path,
            "drop": "echo drop >>%s/said" % tmp_path}


def test_snapshot_is_taken_once_and_dropped_by_an_abort(spec, tmp_path):
    whole, work = spec(snapshot=snapshot(tmp_path)), StandInWork(tmp_path)
    take = machine().phases(whole, work)[1]
    take.run(work)
    take.run(work)
    assert said(tmp_path) == ["create"]
    assert machine().can_go_back(dict(whole, command={}), work.memory)
    machine().undo(whole, ["drain", "snapshot"], work)
    assert said(tmp_path) == ["create", "drop"]
    assert not machine().can_go_back(dict(whole, command={}), work.memory)


@pytest.mark.parametrize("command, goes", [({"upgrade": "true"}, False), ({"upgrade": "true", "rollback": "true"}, True)])
def test_without_a_snapshot_only_a_rollback_command_leads_back(spec, tmp_path, command, goes):
    whole, work = spec(command=command), StandInWork(tmp_path)
    machine().phases(whole, work)[1].run(work)
    assert machine().can_go_back(whole, work.memory) is goes


def step_back(spec, work, on, name):
    """What the worker does for one step."""
    watcher = Watcher.__new__(Watcher)
    watcher.machine = on
    watcher.book = type("Book", (), {"record": {"spec": spec}})()
    return watcher._step_back(name, work)


def test_way_back_acts_then_reboots_once_then_sees(spec, tmp_path):
    whole, work, before = spec(reboot=True), StandInWork(tmp_path), machine()
    assert [step.name for step in before.way_back(whole, work)] == ["command", "reboot", "resume", "seen"]
    step_back(whole, work, before, "command")
    with pytest.raises(StepFailed, match="is still up"):
        step_back(whole, work, before, "reboot")
    after = machine("boot-2")
    assert step_back(whole, work, after, "reboot") is False
    assert step_back(whole, work, after, "seen") is True


def test_reboot_without_anything_done_before_it_happens_once_too(spec, tmp_path):
    whole, work = spec(reboot=True), StandInWork(tmp_path)
    with pytest.raises(StepFailed, match="is still up"):
        step_back(whole, work, machine(), "reboot")
    assert step_back(whole, work, machine("boot-2"), "reboot") is False


def test_boot_between_two_acts_does_not_stand_for_the_boot_after_them(spec, tmp_path):
    whole, work = spec(reboot=True), StandInWork(tmp_path)
    step_back(whole, work, machine("boot-1"), "command")
    step_back(whole, work, machine("boot-2"), "command")
    with pytest.raises(StepFailed, match="is still up"):
        step_back(whole, work, machine("boot-2"), "reboot")


def test_machine_that_is_not_back_is_not_called_back(spec, tmp_path, monkeypatch):
    """S2, C6"""
    monkeypatch.setattr(room, "RECOVERY", 0.2)
    (tmp_path / "os-release").write_text("VERSION_CODENAME=trixie\n")
    with pytest.raises(StepFailed, match="See bookworm with its units healthy: series is failed: the machine runs trixie"):
        step_back(spec(reboot=False, grace=0.4), StandInWork(tmp_path), machine(), "seen")


def test_series_that_cannot_be_read_is_unknown(spec, tmp_path):
    whole = spec()
    (tmp_path / "os-release").unlink()
    assert machine().series(whole) is None


@pytest.mark.parametrize("change, says", [({"method": "magic"}, "no method 'magic'"), ({"command": {}}, "has no command"),
                                          ({"snapshot": {"kind": "polaroid"}}, "no snapshot of kind 'polaroid'")])
def test_method_or_snapshot_that_cannot_be_had_is_known_at_once(spec, change, says):
    assert says in problem_of(spec(**change))
    assert problem_of(spec()) is None
