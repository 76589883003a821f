# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How turns are taken and given back."""

from __future__ import annotations

import json

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, PlanError, plan
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turns import Turns

FLEET = {
    "db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}},
    "web": {"units": {"web/0": "m4", "web/1": "m5"}},
}


@pytest.fixture(name="turns")
def turns_():
    return Turns(plan(FLEET, {"db": "db/0", "web": "web/0"}, {"m%d" % number: MachineState() for number in range(1, 6)}))


def test_turn_is_taken_once_and_asking_again_does_no_harm(turns):
    assert turns.take("m2").kind == "go" == turns.take("m2").kind
    assert turns.machines["m2"] == {"state": "running", "why": ""}


def test_waiting_machine_says_for_whom(turns):
    turns.take("m2")
    assert turns.take("m3").kind == "wait"
    assert turns.machines["m3"] == {"state": "waiting", "why": "m2 is away already, and db can spare one unit"}
    assert turns.take("m1").why == "m2 and m3 go first"


def test_of_those_who_wait_for_the_same_place_the_first_in_the_plan_gets_it_and_nobody_waits_for_who_has_not_asked():
    equals = Turns(plan({"db": {**FLEET["db"], "order": "any"}}, {"db": "db/0"}, {"m%d" % number: MachineState() for number in range(1, 4)}))
    assert equals.take("m3").kind == "go", "it has asked first"
    assert equals.take("m2").kind == equals.take("m1").kind == "wait"
    equals.give("m3", done=True)
    assert equals.take("m2").why == "m1 is before it in the plan"
    assert equals.take("m1").kind == "go"
    equals.give("m1", done=True)
    assert equals.take("m2").kind == "go"


def test_turn_given_back_as_done_lets_the_next_go(turns):
    turns.take("m2")
    turns.give("m2", done=True)
    assert turns.take("m3").kind == "go"


def test_turn_given_back_without_proof_is_a_failure_and_halts_those_who_wait(turns):
    turns.take("m2")
    turns.take("m1")
    turns.give("m2", done=False)
    assert turns.machines["m2"] == {"state": "failed", "why": "it gave no proof that it is done"}
    assert turns.statuses == {"m1": "halted", "m2": "failed", "m3": "halted", "m4": "pending", "m5": "pending"}
    assert turns.take("m1").kind == "halted" and turns.halted("db") == "m2 did not get through" and turns.halted("web") == ""


def test_machine_that_never_went_has_nothing_to_give_back(turns):
    turns.give("m3", done=False, why="the operator interrupted it")
    assert turns.machines["m3"] == {"state": "halted", "why": "the operator interrupted it"}
    assert turns.halted("db") == "", "it has changed nothing, so the application is not halted"
    assert turns.machines["m1"] == {"state": "halted", "why": "m3 had to go first and did not"}
    assert turns.take("m2").kind == "go"


def test_turn_that_is_over_stays_over(turns):
    turns.take("m2")
    turns.give("m2", done=True)
    turns.give("m2", done=False)
    assert turns.statuses["m2"] == "done"
    assert turns.take("m2").why == "the turn of m2 is over: it is done"


def test_first_machine_of_an_application_pins_it(turns):
    assert turns.first_of("m2") == ["db"] == turns.first_of("m3")
    turns.take("m2")
    assert turns.first_of("m2") == ["db"], "as long as it is the only one"
    assert turns.first_of("m3") == []


def test_application_is_through_when_its_last_machine_is_done(turns):
    for machine in ("m5", "m4"):
        assert not turns.through("web")
        turns.take(machine)
        turns.give(machine, done=True)
    assert turns.through("web") and not turns.over


def test_machines_can_be_stored_and_read_back(turns):
    turns.take("m2")
    again = Turns(turns.plan, json.loads(json.dumps(turns.machines)))
    assert again.machines == turns.machines


def test_state_that_does_not_exist_is_an_error(turns):
    with pytest.raises(ValueError, match="m2 is in the state 'asleep'"):
        Turns(turns.plan, {"m2": {"state": "asleep"}})


def test_unreachable_machine_begins_as_failed_and_its_companions_as_halted():
    machines = {"m%d" % number: MachineState(reachable=number != 3) for number in range(1, 6)}
    turns = Turns(plan(FLEET, {"db": "db/0", "web": "web/0"}, machines))
    assert turns.statuses == {"m1": "halted", "m2": "halted", "m3": "failed", "m4": "pending", "m5": "pending"}
    assert not turns.through("db")


def test_machine_that_is_not_part_of_the_run_has_no_turn(turns):
    with pytest.raises(PlanError, match="m7 has no turn in this plan"):
        turns.take("m7")
