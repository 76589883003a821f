# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random fleets, random events: what a plan promises holds whatever happens."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, Plan, PlanError, plan
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turns import OVER, Turns

MACHINES = ["m%d" % number for number in range(1, 9)]
STEADY = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@st.composite
def fleets(draw):
    """Applications, leaders and machines, most of them plannable."""
    applications, leaders = {}, {}
    for number in range(draw(st.integers(1, 4))):
        name = "app%d" % number
        homes = draw(st.lists(st.sampled_from(MACHINES), min_size=1, max_size=5, unique=True))
        away = draw(st.integers(1, 3))
        applications[name] = {
            "units": {"%s/%d" % (name, unit): home for unit, home in enumerate(homes)},
            "order": draw(st.sampled_from(["leader_last", "leader_first", "any", "any"])),
            "leader": draw(st.sampled_from(["hold", "hold", "handover"])) if len(homes) > 1 else "hold",
            "max_unavailable": away,
            "min_healthy": draw(st.integers(0, len(homes) - 1)),
        }
        leaders[name] = draw(st.sampled_from(sorted(applications[name]["units"])))
    rarely = st.sampled_from([False] * 9 + [True])
    machines = {
        name: MachineState(done=draw(rarely), reachable=not draw(rarely), healthy=not draw(rarely), selected=not draw(rarely), under_way=draw(rarely))
        for name in MACHINES
    }
    return applications, leaders, machines


def made(fleet, purpose):
    try:
        return plan(*fleet, purpose=purpose)
    except PlanError as refusal:
        assert refusal.msg.endswith(".") and "fault of the planner" not in refusal.msg
        return None


def play(result, data):
    """Events in random order: ask for a turn, end a turn well or badly. Returns the turns and who started in which order.

    Who was told to wait asks again when something has changed; when nobody is left to ask or to end, somebody waits for ever.
    """
    turns, started, leaders, told = Turns(result), [], dict(result.leaders), set()
    while not turns.over:
        asking = [name for name in result.hosts if turns.machines[name]["state"] in ("pending", "waiting") and name not in told]
        running = [name for name, status in turns.statuses.items() if status == "running"]
        assert asking or running, "somebody waits for ever: %s" % turns.machines
        name = data.draw(st.sampled_from(sorted(asking) + sorted(running)))
        told.add(name)
        if name in running:
            turns.give(name, done=data.draw(st.sampled_from([True, True, True, True, False])))
            told.clear()
            continue
        first = turns.first_of(name)
        before = dict(turns.statuses)
        if turns.take(name).kind == "go":
            started.append(name)
            told.clear()
            check_units(result, turns)
            check_leader_order(result, name, before)
            check_transfers(result, name, leaders, before)
            assert all(other not in started[:-1] for application in first for other in result.applications[application].machines)
    return turns, started


def check_units(result, turns):
    for name, application in result.applications.items():
        away = {unit: machine for unit, machine in application.units.items() if turns.statuses.get(machine) == "running"}
        down = [unit for unit, machine in application.units.items()
                if unit not in away and (turns.statuses.get(machine) == "failed"
                                         or not result.machines[machine].serves and turns.statuses.get(machine) != "done")]
        assert len(away) <= application.max_unavailable, name
        ours = [unit for unit, machine in away.items() if result.machines[machine].serves]
        if ours and not any(turns.statuses.get(machine) == "failed" for machine in application.machines):
            assert len(application.units) - len(away) - len(down) >= application.min_healthy, name


def check_leader_order(result, started, before):
    for name in result.applications_on(started):
        application = result.applications[name]
        home = application.units[result.leaders[name]]
        others = [machine for machine in application.machines
                  if machine not in (home, started) and result.machines[machine].goes and result.machines[machine].serves]
        if not (result.machines[home].goes and result.machines[home].serves and result.machines[started].serves):
            continue
        if application.order == "leader_last" and started == home:
            assert all(before.get(machine) == "done" for machine in others), "%s leads %s and went too early" % (started, name)
        if application.order == "leader_first" and started != home:
            assert before.get(home) == "done", "%s went before the leader of %s" % (started, name)


def check_transfers(result, started, leaders, before):
    """Leadership moves from who has it to somebody who is up, and no machine goes under a leader who was to hand over."""
    for move in result.step(started).transfers:
        heir = result.applications[move.application].units[move.to]
        assert leaders[move.application] == move.unit and heir != started and before.get(heir) != "running" and result.machines[heir].serves
        leaders[move.application] = move.to
    for name in result.applications_on(started):
        application = result.applications[name]
        if application.leader == "handover" and result.machines[started].serves:
            assert application.units[leaders[name]] != started, "%s went while it led %s" % (started, name)


@STEADY
@given(fleet=fleets(), purpose=st.sampled_from(["upgrade", "rollback"]), data=st.data())
def test_every_run_ends_and_never_breaks_a_rule(fleet, purpose, data):
    result = made(fleet, purpose)
    assume(result is not None and result.steps)
    turns, started = play(result, data)
    assert len(started) == len(set(started)), "a machine went twice"
    for name, entry in turns.machines.items():
        assert entry["state"] in OVER and (entry["state"] == "done") == (entry["why"] == "")


@STEADY
@given(fleet=fleets())
def test_hosts_are_in_an_order_in_which_nobody_waits_for_a_later_one(fleet):
    result = made(fleet, "upgrade")
    assume(result is not None)
    for position, name in enumerate(result.hosts):
        assert set(result.step(name).after) <= set(result.hosts[:position])


@STEADY
@given(fleet=fleets())
def test_failure_halts_nobody_who_shares_nothing_with_it(fleet):
    result = made(fleet, "upgrade")
    assume(result is not None and len(result.hosts) > 1)
    broken = result.hosts[0]
    tainted = {broken}
    while True:
        more = {step.machine for step in result.steps
                if set(step.applications) & set(result.applications_on(broken)) or set(step.after) & tainted} - tainted
        if not more:
            break
        tainted |= more
    turns = Turns(result)
    turns.take(broken)
    turns.give(broken, done=False)
    assert {name for name in result.hosts if turns.machines[name]["state"] == "halted"} == tainted - {broken}


@STEADY
@given(fleet=fleets())
def test_suggested_transfers_do_reconcile(fleet):
    applications, leaders, machines = fleet
    calm = {name: dataclasses.replace(state, done=False, reachable=True, healthy=True, selected=True, under_way=False) for name, state in machines.items()}
    applications = {name: {**rules, "leader": "hold"} for name, rules in applications.items()}
    try:
        plan(applications, leaders, calm)
    except PlanError as refusal:
        assume(refusal.transfers)
        assert plan(applications, {**leaders, **{move.application: move.to for move in refusal.transfers}}, calm)


@STEADY
@given(fleet=fleets())
def test_hash_and_plan_survive_shuffling_and_storing(fleet):
    applications, leaders, machines = fleet
    result = made(fleet, "upgrade")
    assume(result is not None)
    assert plan(dict(reversed(applications.items())), leaders, dict(reversed(machines.items()))).hash == result.hash
    assert Plan.from_dict(result.as_dict()) == result
