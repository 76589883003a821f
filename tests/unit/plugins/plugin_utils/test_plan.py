# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for fleets small enough to read."""

from __future__ import annotations

import json

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, Plan, PlanError, plan


def units(name, *machines):
    return {"%s/%d" % (name, number): machine for number, machine in enumerate(machines)}


def machines(*names, **states):
    return {**{name: MachineState() for name in names}, **states}


def trio(**rules):
    return {"db": {"units": units("db", "m1", "m2", "m3"), **rules}}


def run(made, failing=()):
    """Plays a plan through one machine after another; returns the order and who was halted."""
    finished, failed, halted, order, why = set(), set(), set(), [], {}
    for name in made.hosts:
        answer = made.ready(name, finished, failed, (), halted)
        if answer == "go":
            order.append(name)
            (failed if name in failing else finished).add(name)
        else:
            assert answer.startswith("halted: "), "nobody is running, so %s may not be told to wait: %s" % (name, answer)
            halted.add(name)
            why[name] = answer
    return order, why


def test_leader_goes_last_by_default():
    made = plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3"))
    assert made.hosts == ["m2", "m3", "m1"]
    assert made.step("m1").after == ("m2", "m3")
    assert made.step("m1").reasons == ("db: its leader db/0 is here and goes last, after m2 and m3",)


def test_leader_goes_first_when_asked():
    made = plan(trio(order="leader_first"), {"db": "db/2"}, machines("m1", "m2", "m3"))
    assert made.hosts == ["m3", "m1", "m2"]
    assert made.step("m1").reasons == ("db: its leader db/2 on m3 goes first",)


def test_any_order_ties_nobody():
    assert [step.after for step in plan(trio(order="any"), {"db": "db/0"}, machines("m1", "m2", "m3")).steps] == [(), (), ()]


def test_rollback_is_ordered_by_the_same_rules():
    made = plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3"), purpose="rollback", target="bookworm")
    assert made.hosts == ["m2", "m3", "m1"]
    assert made.tree().startswith("Roll back to bookworm · 3 machines")


def test_rollback_goes_without_a_leader():
    assert len(plan(trio(), {"db": None}, machines("m1", "m2", "m3"), purpose="rollback").steps) == 3


def test_second_machine_waits_for_the_slot():
    made = plan(trio(order="any"), {"db": "db/0"}, machines("m1", "m2", "m3"))
    assert made.ready("m1", (), (), ()) == "go"
    assert made.ready("m2", (), (), ("m1",)) == "wait"
    assert made.decide("m2", {"m1": "running"}).why == "m1 is away already, and db can spare one unit"
    assert made.ready("m2", ("m1",), (), ()) == "go"


def test_two_slots_let_two_machines_go():
    made = plan(trio(order="any", max_unavailable=2), {"db": "db/0"}, machines("m1", "m2", "m3"))
    assert made.ready("m2", (), (), ("m1",)) == "go"
    assert made.ready("m3", (), (), ("m1", "m2")) == "wait"


def test_min_healthy_is_stronger_than_max_unavailable():
    made = plan(trio(order="any", max_unavailable=2, min_healthy=2), {"db": "db/0"}, machines("m1", "m2", "m3"))
    assert made.ready("m2", (), (), ("m1",)) == "wait"
    assert made.lowest == {"db": 2}


def test_machine_of_two_applications_keeps_both_rules():
    fleet = {**trio(), "web": {"units": units("web", "m3", "m4"), "order": "leader_first"}}
    made = plan(fleet, {"db": "db/0", "web": "web/1"}, machines("m1", "m2", "m3", "m4"))
    assert made.step("m3").applications == ("db", "web")
    assert made.step("m3").after == ("m4",)
    assert made.step("m1").after == ("m2", "m3")
    assert made.ready("m2", (), (), ("m4",)) == "go", "applications that share no machine do not wait for each other"


def test_failed_machine_halts_its_applications_and_no_others():
    fleet = {**trio(), "web": {"units": units("web", "m4", "m5")}}
    made = plan(fleet, {"db": "db/0", "web": "web/0"}, machines("m1", "m2", "m3", "m4", "m5"))
    order, why = run(made, failing={"m2"})
    assert set(order) == {"m2", "m4", "m5"}
    assert why["m3"] == "halted: db is halted, because m2 did not get through"


def test_halted_machine_halts_those_that_had_to_come_after_it():
    fleet = {**trio(), "web": {"units": units("web", "m3", "m4", "m5")}}
    made = plan(fleet, {"db": "db/0", "web": "web/1"}, machines("m1", "m2", "m3", "m4", "m5"))
    order, why = run(made, failing={"m2"})
    assert "m5" in order, "m5 shares nothing with the failed machine and comes after nobody"
    assert why["m4"] == "halted: m3 had to go first and did not"


def test_unreachable_machine_halts_its_applications_from_the_start():
    fleet = {**trio(), "web": {"units": units("web", "m4", "m5")}}
    made = plan(fleet, {"db": "db/0", "web": "web/0"}, machines("m1", "m2", "m4", "m5", m3=MachineState(reachable=False)))
    assert made.hosts == ["m5", "m4"]
    assert made.blocked == {"m3": "m3 is unreachable", **dict.fromkeys(("m1", "m2"), "db is halted, because m3 did not get through")}
    assert made.ready("m1", (), (), ()).startswith("halted: ")


def test_problem_of_a_machine_is_repeated_in_the_reason():
    made = plan(trio(), {"db": "db/0"}, machines("m1", "m2", m3=MachineState(problem="/ has 1 GB free and 5 are needed")))
    assert made.blocked["m3"] == "m3 cannot go: / has 1 GB free and 5 are needed"


def test_halted_application_does_not_quarrel_over_the_order():
    fleet = {"a": {"units": units("a", "m1", "m2", "m3")}, "b": {"units": units("b", "m2", "m1")}}
    made = plan(fleet, {"a": "a/0", "b": "b/0"}, machines("m1", "m2", m3=MachineState(reachable=False)))
    assert made.hosts == []


def test_machine_that_is_done_is_skipped_and_ties_nobody():
    made = plan(trio(order="leader_first"), {"db": "db/0"}, machines("m2", "m3", m1=MachineState(done=True)), target="trixie")
    assert made.hosts == ["m2", "m3"] and made.skipped == ["m1"]
    assert made.step("m2").after == ()
    assert "m1  is on trixie already" in made.tree()


def test_machine_without_an_application_goes_freely():
    made = plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3", "m9"))
    assert made.step("m9").after == () and made.ready("m9", (), (), ("m1",)) == "go"


def test_machine_that_does_not_serve_goes_first_and_others_wait():
    made = plan(trio(), {"db": "db/1"}, machines("m2", "m3", m1=MachineState(healthy=False)))
    assert made.hosts == ["m1", "m3", "m2"]
    assert made.step("m3").reasons == ("db: m1 does not serve and goes first, having nothing to lose",)


def test_machine_that_was_begun_goes_on_before_anybody_else():
    made = plan(trio(), {"db": "db/2"}, machines("m1", "m2", m3=MachineState(under_way=True)))
    assert made.hosts == ["m3", "m1", "m2"]
    assert made.step("m1").reasons == ("db: m3 was begun already and goes on first",)
    assert made.ready("m1", (), (), ()) == "wait"


def test_nobody_goes_while_a_unit_outside_the_run_is_down():
    made = plan(trio(order="any"), {"db": "db/0"}, machines("m1", "m2", m3=MachineState(healthy=False, selected=False)))
    assert made.hosts == []
    assert made.blocked["m1"] == "m1 cannot go: db/2 of db is not known to serve, and without m1 only 1 of 3 would be left, where 2 are needed"


def test_units_down_outside_the_run_take_up_slots():
    fleet = {"db": {"units": units("db", "m1", "m2", "m3", "m4", "m5"), "order": "any", "max_unavailable": 2}}
    made = plan(fleet, {"db": "db/0"}, machines("m1", "m2", "m3", "m4", m5=MachineState(healthy=False, selected=False)))
    assert made.ready("m1", (), (), ()) == "go"
    assert made.ready("m2", (), (), ("m1",)) == "wait"


def test_limited_run_may_not_jump_the_queue():
    with pytest.raises(PlanError, match="goes last, but this run leaves out m2 and m3, not known to be on trixie; take them into the run as well"):
        plan(trio(), {"db": "db/0"}, machines("m1", m2=MachineState(selected=False), m3=MachineState(selected=False)), target="trixie")
    with pytest.raises(PlanError, match="m1 carries db/0, the leader of db, and goes first, but this run leaves it out"):
        plan(trio(order="leader_first"), {"db": "db/0"}, machines("m2", "m3", m1=MachineState(selected=False)))


def test_rollback_of_one_machine_is_not_kept_up_by_the_others():
    others = MachineState(selected=False)
    assert plan(trio(), {"db": "db/0"}, machines("m1", m2=others, m3=others), purpose="rollback").hosts == ["m1"]


def conflict():
    return {"a": {"units": units("a", "m1", "m2")}, "b": {"units": units("b", "m2", "m1")}}, {"a": "a/0", "b": "b/0"}


def test_opposite_wishes_are_explained_with_the_transfer_that_reconciles_them():
    fleet, leaders = conflict()
    with pytest.raises(PlanError) as caught:
        plan(fleet, leaders, machines("m1", "m2"))
    assert caught.value.msg == (
        "a and b want opposite orders of m1 and m2: m1 carries a/0, the leader of a, and goes after m2; m2 carries b/0, the leader of b, and goes "
        "after m1; move the leadership of a from a/0 to a/1 (lease_transfer with application: a, to: a/1) and plan again.")
    (move,) = caught.value.transfers
    assert plan(fleet, {**leaders, move.application: move.to}, machines("m1", "m2")).hosts == ["m1", "m2"]


def test_circle_of_three_applications_is_explained():
    fleet = {"a": {"units": units("a", "m1", "m2")}, "b": {"units": units("b", "m2", "m3")}, "c": {"units": units("c", "m3", "m1")}}
    leaders = {"a": "a/0", "b": "b/0", "c": "c/0"}
    with pytest.raises(PlanError, match="a, b and c want opposite orders of m1, m2 and m3") as caught:
        plan(fleet, leaders, machines("m1", "m2", "m3"))
    moved = {move.application: move.to for move in caught.value.transfers}
    assert len(moved) == 1 and plan(fleet, {**leaders, **moved}, machines("m1", "m2", "m3"))


def test_handover_goes_to_a_unit_that_is_through():
    made = plan(trio(leader="handover"), {"db": "db/0"}, machines("m2", "m3", m1=MachineState()))
    (move,) = made.step("m1").transfers
    assert (move.application, move.unit, move.to) == ("db", "db/0", "db/1")
    assert [step.transfers for step in made.steps if step.machine != "m1"] == [(), ()]


def test_handover_in_any_order_lets_the_heir_go_first():
    made = plan(trio(order="any", leader="handover"), {"db": "db/0"}, machines("m1", "m2", "m3"))
    assert made.step("m1").after == ("m2",) and made.step("m1").transfers[0].to == "db/1"


def test_handover_of_a_leader_that_goes_first_is_taken_back_before_the_heir_goes():
    made = plan(trio(order="leader_first", leader="handover"), {"db": "db/0"}, machines("m1", "m2", "m3"))
    assert [(move.unit, move.to) for move in made.step("m1").transfers] == [("db/0", "db/1")]
    assert [(move.unit, move.to) for move in made.step("m2").transfers] == [("db/1", "db/0")]


def test_handover_needs_somebody_to_hand_over_to():
    with pytest.raises(PlanError, match="no unit that serves to hand over to; use leader: hold"):
        plan({"db": {"units": {"db/0": "m1"}, "leader": "handover"}}, {"db": "db/0"}, machines("m1"))


@pytest.mark.parametrize("leaders, sentence", [
    ({}, "db has no leader, so there is nothing to keep"),
    ({"db": "db/9"}, "db is led by db/9, which is none of its units in the inventory"),
])
def test_leader_must_be_known(leaders, sentence):
    with pytest.raises(PlanError, match=sentence):
        plan(trio(), leaders, machines("m1", "m2", "m3"))


def test_unit_on_an_unknown_machine_is_named():
    with pytest.raises(PlanError, match="Unit db/2 of db is on m3, which is no host of the inventory"):
        plan(trio(), {"db": "db/0"}, machines("m1", "m2"))


def test_every_wrong_thing_is_told_at_once():
    with pytest.raises(PlanError, match="db/1 of db is on m2.*db/2 of db is on m3"):
        plan(trio(), {"db": "db/0"}, machines("m1"))


def test_other_leader_makes_another_plan():
    made = plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3"))
    anew = made.with_leader("db", "db/1", done=["m3"])
    assert anew.hosts == ["m1", "m2"] and anew.hash != made.hash


def test_hash_does_not_depend_on_how_the_inventory_is_written():
    fleet = {**trio(), "web": {"units": units("web", "m3", "m4")}}
    upside_down = {name: {"units": dict(reversed(fleet[name]["units"].items()))} for name in reversed(fleet)}
    leaders = {"db": "db/0", "web": "web/0"}
    one = plan(fleet, leaders, machines("m1", "m2", "m3", "m4"))
    other = plan(upside_down, dict(reversed(leaders.items())), machines("m4", "m3", "m2", "m1"))
    assert one.hash == other.hash and one.tree() == other.tree()


@pytest.mark.parametrize("change", [
    lambda: plan(trio(), {"db": "db/1"}, machines("m1", "m2", "m3")),
    lambda: plan(trio(max_unavailable=2, min_healthy=2), {"db": "db/0"}, machines("m1", "m2", "m3")),
    lambda: plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3", "m4")),
    lambda: plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3"), purpose="rollback"),
], ids=["leader", "rule", "inventory", "purpose"])
def test_hash_changes_with(change):
    assert change().hash != plan(trio(), {"db": "db/0"}, machines("m1", "m2", "m3")).hash


def test_plan_survives_being_written_down():
    made = plan({**trio(leader="handover")}, {"db": "db/0"}, machines("m1", "m2", "m3", m9=MachineState(reachable=False)))
    again = Plan.from_dict(json.loads(json.dumps(made.as_dict())))
    assert again == made and again.tree() == made.tree() and again.ready("m2", (), (), ()) == "go"


def test_plan_that_cannot_be_read_is_an_error():
    with pytest.raises(PlanError, match="Make it anew"):
        Plan.from_dict({"purpose": "upgrade"})


def test_machine_without_a_turn_is_told_why():
    made = plan(trio(), {"db": "db/0"}, machines("m2", "m3", m1=MachineState(done=True)))
    with pytest.raises(PlanError, match="m1 has no turn in this plan"):
        made.ready("m1", (), (), ())


def test_tree_shows_applications_order_and_reasons():
    fleet = {**trio(), "web": {"units": units("web", "m3", "m4"), "order": "leader_first", "leader": "handover"}}
    made = plan(fleet, {"db": "db/0", "web": "web/1"}, machines("m1", "m2", "m3", "m4", m5=MachineState(done=True)), target="trixie")
    assert made.tree() == """\
Upgrade to trixie · 4 machines · 2 applications · plan %s
├── applications
│   ├── db  3 units · leader db/0 on m1 goes last · 1 away at most · lowest 2 of 3, needs 2
│   └── web  2 units · leader web/1 on m4 goes first, handed over before · 1 away at most · lowest 1 of 2, needs 1
├── order
│   ├── m2  db/1
│   └── m4  web/1 (leader)
│       │   web: web/1 → web/0 first
│       └── m3  db/2, web/0
│           │   web: its leader web/1 on m4 goes first
│           │   web: web/0 → web/1 first
│           └── m1  db/0 (leader)
│                   db: its leader db/0 is here and goes last, after m2 and m3
└── skipped
    └── m5  is on trixie already""" % made.hash
