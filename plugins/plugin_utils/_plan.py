# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan: which machine may go when, and why.

Pure: applications, leaders and machines in; a partial order with its reasons out. The same code orders an upgrade and
a rollback. A machine goes when those it comes after are done and each of its applications has a free slot, so the plan
holds no waves and no barriers; :meth:`Plan.decide` is asked again whenever something has changed.

What it promises, whatever the order of events: an application never has fewer healthy units than its ``min_healthy``
by our doing, and its leader's machine keeps the place its rule gives it. :func:`plan` raises :class:`PlanError` when it
cannot promise that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from . import _plan_order, _plan_tree
from ._applications import Application, ApplicationsError, natural, read
from ._plan_order import PlanError, Transfer, listed, units

PURPOSES = ("upgrade", "rollback")
PENDING, WAITING, RUNNING, DONE, FAILED, HALTED = STATUSES = ("pending", "waiting", "running", "done", "failed", "halted")


@dataclasses.dataclass(frozen=True)
class MachineState:
    """What is known of one inventory host when the plan is made.

    ``done``: it is where the plan leads already, and is skipped. ``selected``: this run may touch it (``--limit``).
    ``healthy``: its units serve; one that does not goes first, for it has nothing to lose. ``under_way``: an earlier execution
    has begun it, so it may be away at any moment; it goes on first, and nobody of its applications before it is done.
    ``problem``: a sentence saying why it must not go at all; ``reachable=False`` is such a problem too.
    """

    done: bool = False
    reachable: bool = True
    series: str = ""
    problem: str = ""
    healthy: bool = True
    selected: bool = True
    under_way: bool = False

    @property
    def goes(self) -> bool:
        return self.selected and not self.done

    @property
    def serves(self) -> bool:
        """Whether its units can be counted upon."""
        return self.healthy and self.reachable and not self.under_way

    @property
    def blocked(self) -> str:
        """Why this machine cannot go, as the end of a sentence that begins with its name; empty when it can."""
        if not self.reachable:
            return "is unreachable"
        return ("cannot go: " + self.problem) if self.problem else ""


@dataclasses.dataclass(frozen=True)
class Step:
    """One machine's turn: what it carries, whom it comes after, and the sentences that say why.

    ``transfers`` are leaderships to move, under the pins, before the machine is touched.
    """

    machine: str
    applications: tuple[str, ...]
    after: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        answer = dataclasses.asdict(self)
        answer["transfers"] = [dataclasses.asdict(transfer) for transfer in self.transfers]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in answer.items()}


@dataclasses.dataclass(frozen=True)
class Decision:
    """``kind`` is go, wait or halted; ``why`` is a sentence (empty for go)."""

    kind: str
    why: str = ""

    def __str__(self) -> str:
        return "%s: %s" % (self.kind, self.why) if self.kind == "halted" else self.kind


@dataclasses.dataclass(frozen=True)
class Plan:
    """A value. ``steps`` are in an order in which the machines can be let in; ``blocked`` maps machines that will not go to why."""

    purpose: str
    target: str
    applications: Mapping[str, Application]
    leaders: Mapping[str, str]
    machines: Mapping[str, MachineState]
    steps: tuple[Step, ...]
    blocked: Mapping[str, str]
    lowest: Mapping[str, int]
    hash: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "_steps", {step.machine: step for step in self.steps})
        object.__setattr__(self, "_house", _House.of(self.applications, self.machines))

    @property
    def hosts(self) -> list[str]:
        """The machines that go, in topological order: nobody waits for one that comes later in the list."""
        return [step.machine for step in self.steps]

    @property
    def skipped(self) -> list[str]:
        return sorted((name for name, machine in self.machines.items() if machine.selected and machine.done), key=natural)

    def step(self, machine: str) -> Step:
        """Raises PlanError when the machine has no turn in this plan."""
        found: dict[str, Step] = getattr(self, "_steps")
        if machine not in found:
            raise PlanError("%s has no turn in this plan: %s." % (machine, self.blocked.get(machine, "it is done already or not part of the run")))
        return found[machine]

    def applications_on(self, machine: str) -> list[str]:
        house: _House = getattr(self, "_house")
        return list(house.carries.get(machine, ()))

    def decide(self, machine: str, statuses: Mapping[str, str]) -> Decision:
        """Whether a machine may go now. ``statuses``: machine to one of STATUSES; a machine not named is pending."""
        if machine in self.blocked:
            return Decision("halted", self.blocked[machine])
        failed = [name for name, status in statuses.items() if status == FAILED]
        running = [name for name, status in statuses.items() if status == RUNNING]
        house: _House = getattr(self, "_house")
        decision = _decide(self.step(machine), house, statuses, failed, running)
        if decision.kind == "go":
            # Of those who wait for the same place, whoever comes first in the plan has it. Who has not asked yet keeps nobody waiting.
            for other in self.hosts[:self.hosts.index(machine)]:
                if statuses.get(other) == WAITING and _decide(self.step(other), house, statuses, failed, running).kind == "go" \
                        and _decide(self.step(machine), house, statuses, failed, [*running, other]).kind == "wait":
                    return Decision("wait", "%s is before it in the plan" % other)
        return decision

    def ready(self, host: str, finished: Iterable[str], failed: Iterable[str], running: Iterable[str], halted: Iterable[str] = ()) -> str:
        """The same decision from four sets, as ``go``, ``wait`` or ``halted: why``."""
        statuses = {name: status for names, status in ((finished, DONE), (failed, FAILED), (running, RUNNING), (halted, HALTED)) for name in names}
        return str(self.decide(host, statuses))

    def with_leader(self, application: str, unit: str, done: Iterable[str] = ()) -> Plan:
        """The plan made anew because another unit leads than was planned; ``done`` are the machines that have got through since."""
        finished = set(done)
        machines = {name: dataclasses.replace(state, done=state.done or name in finished) for name, state in self.machines.items()}
        return plan(self.applications, {**self.leaders, application: unit}, machines, self.purpose, self.target)

    def tree(self) -> str:
        return _plan_tree.tree(self)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a fact or a file; :meth:`from_dict` makes the same plan of it."""
        return {
            "purpose": self.purpose, "target": self.target, "hash": self.hash, "hosts": self.hosts,
            "applications": {name: application.as_dict() for name, application in self.applications.items()},
            "leaders": dict(self.leaders),
            "machines": {name: dataclasses.asdict(machine) for name, machine in self.machines.items()},
            "steps": [step.as_dict() for step in self.steps],
            "blocked": dict(self.blocked), "lowest": dict(self.lowest), "skipped": self.skipped,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Raises PlanError when the data is not a plan of this version."""
        try:
            return cls(
                data["purpose"], data["target"], read(data["applications"]), dict(data["leaders"]),
                {name: MachineState(**machine) for name, machine in data["machines"].items()},
                tuple(_step(step) for step in data["steps"]), dict(data["blocked"]), dict(data["lowest"]), data["hash"],
            )
        except (KeyError, TypeError, AttributeError, ApplicationsError) as problem:
            raise PlanError("this is not a plan that can be read: %s. Make it anew." % problem) from problem


def plan(
    applications: Mapping[str, Any], leaders: Mapping[str, str | None], machines: Mapping[str, MachineState],
    purpose: str = "upgrade", target: str = "",
) -> Plan:
    """Makes the plan.

    ``applications``: the inventory's variable, or what ``_applications.read`` made of it. ``leaders``: application to the unit
    that leads it. ``machines``: every inventory host that carries a unit, and those without one that shall go as well.
    Raises PlanError with sentences that say what is wrong and what to do next.
    """
    try:
        values = read(_variable(applications))
    except ApplicationsError as problem:
        raise PlanError(problem.msg) from problem
    known = {name: unit for name, unit in leaders.items() if unit}
    _check(values, known, machines, purpose, target)
    going = {name for name, machine in machines.items() if machine.goes}
    problems = {name: "%s %s" % (name, machines[name].blocked) for name in sorted(going, key=natural) if machines[name].blocked}
    house = _House.of(values, machines)
    problems.update(_short_of_units(house, machines, going - set(problems)))
    order = _plan_order.order(values, known, machines, going, problems, purpose, target)
    steps = {name: Step(name, tuple(house.carries.get(name, ())), *order.of(name)) for name in going}
    hosts, blocked, lowest = _rehearse(steps, house, machines, problems)
    answer = Plan(purpose, target, values, {name: unit for name, unit in known.items() if name in values}, dict(machines),
                  tuple(steps[name] for name in hosts), blocked, lowest, "")
    return dataclasses.replace(answer, hash=_hash(answer))


def _variable(applications: Mapping[str, Any]) -> Any:
    if not isinstance(applications, Mapping):
        return applications
    return {name: value.as_dict() if isinstance(value, Application) else value for name, value in applications.items()}


@dataclasses.dataclass(frozen=True)
class _House:
    """Who lives where. ``carries``: machine to application to its units there; ``down``: units not known to serve, whose machines do not go."""

    applications: Mapping[str, Application]
    carries: Mapping[str, Mapping[str, list[str]]]
    down: Mapping[str, list[str]]

    @classmethod
    def of(cls, applications: Mapping[str, Application], machines: Mapping[str, MachineState]) -> _House:
        carries: dict[str, dict[str, list[str]]] = {}
        down: dict[str, list[str]] = {}
        for name, application in applications.items():
            for unit, machine in application.units.items():
                carries.setdefault(machine, {}).setdefault(name, []).append(unit)
                if not machines[machine].serves and not machines[machine].goes:
                    down.setdefault(name, []).append(unit)
        return cls(applications, carries, down)


def _check(
    applications: Mapping[str, Application], leaders: Mapping[str, str], machines: Mapping[str, MachineState], purpose: str, target: str,
) -> None:
    """Everything that makes a plan meaningless, told at once."""
    if purpose not in PURPOSES:
        raise PlanError("a plan is for one of %s, not %r." % (", ".join(PURPOSES), purpose))
    said = []
    for name, application in applications.items():
        for unit, machine in application.units.items():
            if machine not in machines:
                said.append("Unit %s of %s is on %s, which is no host of the inventory; correct the unit's machine or add the host." % (unit, name, machine))
        if not any(machine in machines and machines[machine].goes for machine in application.machines):
            continue
        leader = leaders.get(name)
        if leader is None and purpose == "upgrade":
            said.append("%s has no leader, so there is nothing to keep; see that its units run and hold their lease, then plan again." % name)
        elif leader is not None and leader not in application.units and purpose == "upgrade":
            said.append("%s is led by %s, which is none of its units in the inventory (%s); correct series_upgrade_applications." % (
                name, leader, listed(sorted(application.units, key=natural))))
    if said:
        raise PlanError(" ".join(said))


def _short_of_units(house: _House, machines: Mapping[str, MachineState], going: set[str]) -> dict[str, str]:
    """Machines that can never go because units that this run will not repair are down already."""
    found = {}
    for name, down in house.down.items():
        application = house.applications[name]
        for machine in application.machines:
            left = len(application.units) - len(down) - len(house.carries[machine][name])
            if machine in going and machines[machine].serves and left < application.min_healthy:
                found[machine] = "%s cannot go: %s of %s %s not known to serve, and without %s only %d of %d would be left, where %d are needed" % (
                    machine, listed(down), name, "is" if len(down) == 1 else "are", machine, left, len(application.units), application.min_healthy)
    return found


def _decide(step: Step, house: _House, statuses: Mapping[str, str], failed: Iterable[str], running: Iterable[str]) -> Decision:
    """``failed`` and ``running`` are those of ``statuses``; whoever asks for many machines knows them."""
    for machine in failed:
        if machine != step.machine:
            for name in step.applications:
                if name in house.carries.get(machine, ()):
                    return Decision("halted", "%s is halted, because %s did not get through" % (name, machine))
    for earlier in step.after:
        if statuses.get(earlier) in (FAILED, HALTED):
            return Decision("halted", "%s had to go first and did not" % earlier)
    waiting_for = [earlier for earlier in step.after if statuses.get(earlier) != DONE]
    if waiting_for:
        return Decision("wait", "%s %s first" % (listed(waiting_for), "goes" if len(waiting_for) == 1 else "go"))
    for name in step.applications:
        busy = [machine for machine in running if machine != step.machine and name in house.carries.get(machine, ())]
        away = sum(len(house.carries[machine][name]) for machine in [*busy, step.machine])
        # With nobody else away one machine may always go: plan() has refused the plans in which it may not.
        if busy and away > _slots(house, name):
            return Decision("wait", "%s is away already, and %s can spare %s" % (listed(busy), name, units(_slots(house, name))))
    return Decision("go")


def _slots(house: _House, name: str) -> int:
    """How many units of an application may be away at once."""
    application = house.applications[name]
    return min(application.max_unavailable, len(application.units) - len(house.down.get(name, ())) - application.min_healthy)


def _units_on(house: _House, application: str, machines: Iterable[str]) -> int:
    return sum(len(house.carries[machine].get(application, ())) for machine in machines if machine in house.carries)


def _rehearse(
    steps: Mapping[str, Step], house: _House, machines: Mapping[str, MachineState], problems: Mapping[str, str],
) -> tuple[list[str], dict[str, str], dict[str, int]]:
    """Plays the plan through, always starting all that may start: the order, who will never go, and each application's lowest.

    This is the proof as well: were anybody left waiting, the plan would not be given out.
    """
    statuses = {name: FAILED if name in problems else PENDING for name in steps}
    pending = sorted((name for name in steps if name not in problems), key=natural)
    blocked, hosts = dict(problems), []
    unwell = {name: _units_on(house, name, (machine for machine in application.machines if not machines[machine].serves))
              for name, application in house.applications.items()}
    lowest = {name: len(application.units) - unwell[name] for name, application in house.applications.items()}
    moved = True
    while moved:
        moved, started = False, []
        for name in pending:
            decision = _decide(steps[name], house, statuses, problems, started)
            if decision.kind == "go":
                statuses[name], moved = RUNNING, True
                started.append(name)
            elif decision.kind == "halted":
                statuses[name], blocked[name], moved = HALTED, decision.why, True
        for name in {name for machine in started for name in steps[machine].applications}:
            well = [machine for machine in started if machines[machine].serves]
            lowest[name] = min(lowest[name], len(house.applications[name].units) - unwell[name] - _units_on(house, name, well))
        for machine in started:
            statuses[machine] = DONE
            if not machines[machine].serves:
                for name in steps[machine].applications:
                    unwell[name] -= _units_on(house, name, [machine])
        hosts += started
        pending = [name for name in pending if statuses[name] == PENDING]
    if pending:
        raise PlanError("the plan would leave %s waiting for ever; this is a fault of the planner, please report it." % listed(pending))
    return hosts, blocked, lowest


def _step(data: Mapping[str, Any]) -> Step:
    return Step(data["machine"], tuple(data["applications"]), tuple(data["after"]), tuple(data["reasons"]),
                tuple(Transfer(**transfer) for transfer in data["transfers"]))


def _hash(value: Plan) -> str:
    """Changes whenever leaders, inventory, rules or the order do; the order in which mappings were written does not matter."""
    data = value.as_dict()
    data.pop("hash")
    for application in data["applications"].values():
        for key in ("drain", "resume", "checks"):
            application.pop(key)
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:12]
