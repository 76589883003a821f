# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arming a real watcher: what is refused changes nothing, what is done twice is done once."""

from __future__ import annotations

import os

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming, client, program, service
from tests.integration.real_watcher import real_watcher


@pytest.fixture
def machine():
    with real_watcher() as made:
        yield made


def left(machine):
    return sorted(name for name in os.listdir(machine.directory) if name not in ("os-release", "boot_id"))


def test_same_upgrade_armed_twice_is_armed_once(machine):
    first = machine.arm()
    found = arming.look(machine.how)
    assert arming.planned(found, machine.spec(), machine.how, program.build()) == found.as_dict()
    again = machine.arm()
    assert (again["pid"], again["generation"]) == (first["pid"], first["generation"])


def test_dead_watcher_is_started_when_its_upgrade_is_armed_again(machine):
    first = machine.arm()
    machine.kill()
    assert not arming.look(machine.how).as_dict()["running"]
    again = machine.arm()
    assert again["pid"] != first["pid"]
    assert again["state"] == "ARMED"


def test_other_upgrade_is_refused_by_the_name_of_the_one_that_lives(machine):
    """S10"""
    machine.arm()
    with pytest.raises(arming.ArmingError, match=r"this machine is in the upgrade to-trixie/m1/1 \(ARMED\)"):
        machine.arm(upgrade_id="to-trixie/m1/2")
    with pytest.raises(arming.ArmingError, match="to-trixie/m1/1"):
        arming.disarm(arming.look(machine.how), machine.how)
    assert machine.status()["upgrade_id"] == "to-trixie/m1/1"


def test_what_a_watcher_writes_until_it_leaves_does_not_stop_the_next_upgrade(machine):
    machine.arm()
    machine.ask("upgrade")
    machine.wait("COMMITTED")
    machine.series_file.write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    seen = arming.look(machine.how)
    machine.ask("clean", reason="room is needed")
    status = arming.arm(seen, machine.spec(upgrade_id="to-trixie/m1/2"), machine.how, program.build())
    assert (status["upgrade_id"], status["state"]) == ("to-trixie/m1/2", "ARMED")


def test_a_rollback_asked_for_while_the_next_upgrade_is_being_armed_goes_on(machine):
    command, gate = machine.spec()["command"], machine.directory / "gate"
    machine.arm(command=dict(command, rollback="while ! test -e %s; do sleep 0.1; done; %s" % (gate, command["rollback"])))
    machine.ask("upgrade")
    machine.wait("COMMITTED")
    seen = arming.look(machine.how)
    spec = machine.spec(upgrade_id="to-trixie/m1/2", source_series="trixie", target_series="forky")
    machine.ask("rollback", reason="a second thought")
    with pytest.raises(arming.ArmingError, match="to-trixie/m1/1"):
        arming.arm(seen, spec, machine.how, program.build())
    gate.touch()
    machine.wait("ROLLED_BACK")
    assert (machine.directory / "rollbacks").read_text() == "x\n"


def test_upgrade_that_is_over_makes_room_for_the_next(machine):
    """S11"""
    first = machine.arm()
    machine.ask("abort", reason="not today")
    machine.wait("ABORTED")
    second = machine.arm(upgrade_id="to-trixie/m1/2")
    assert (second["upgrade_id"], second["state"]) == ("to-trixie/m1/2", "ARMED")
    assert second["generation"] > first["generation"]
    assert second["pid"] != first["pid"]


def test_watcher_is_taken_away_and_its_records_stay(machine):
    machine.arm()
    machine.ask("abort")
    machine.wait("ABORTED")
    arming.disarm(arming.look(machine.how), machine.how)
    assert client.status(machine.how["runtime_dir"]) is None
    assert left(machine) == ["state"]
    assert not (machine.state_dir / "watcher.pyz").exists()
    assert (machine.state_dir / "journal.jsonl").exists()
    after = arming.look(machine.how).as_dict()
    assert (after["running"], after["program"], after["state"]) == (False, None, "ABORTED")
    arming.disarm(arming.look(machine.how), machine.how)


def test_watcher_that_does_not_take_over_leaves_no_record(machine, monkeypatch):
    """M5"""
    monkeypatch.setattr(arming, "HANDOVER", 0.3)
    monkeypatch.setattr(service, "start", lambda how: None)
    with pytest.raises(arming.ArmingError, match="did not take over"):
        machine.arm()
    assert arming.look(machine.how).record is None


@pytest.mark.parametrize("change, how, says", [
    ({"reboot": True}, {"boot_id_file": None}, "does not come back after a reboot"),
    ({"allowed_group": "no-such-group"}, {}, "there is no group no-such-group"),
    ({"command": {}}, {}, "has no command"),
    ({"snapshot": {"kind": "polaroid"}}, {}, "no snapshot of kind 'polaroid'"),
    ({"source_series": "jammy", "target_series": "noble"}, {}, "this machine runs bookworm and not jammy"),
    ({}, {"runtime_dir": "/tmp/" + "x" * 120}, "may have 107; choose a shorter runtime_dir"),
    ({}, {"state_dir": "relative"}, "state_dir must be an absolute path"),
])
def test_what_cannot_work_is_refused_in_one_sentence_and_changes_nothing(machine, change, how, says):
    """C1"""
    machine.how = {key: value for key, value in dict(machine.how, **how).items() if value}
    with pytest.raises(arming.ArmingError, match=says):
        machine.arm(**change)
    assert left(machine) == []
