# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a plan looks on paper: a tree, in which a machine hangs below the last one it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._applications import Application, natural

if TYPE_CHECKING:
    from ._plan import Plan, Step

PLACES = {"leader_last": "goes last", "leader_first": "goes first", "any": "goes in any order"}


def tree(plan: Plan) -> str:
    """The plan in whole lines, without colours, at most about 120 columns wide unless names are long."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    what = "Upgrade" if plan.purpose == "upgrade" else "Roll back"
    yield "%s%s · %s · %s · plan %s" % (
        what, " to %s" % plan.target if plan.target else "", _count(len(plan.steps), "machine"), _count(len(plan.applications), "application"), plan.hash)
    sections = [("applications", [(_application(plan, application), []) for application in plan.applications.values()])]
    sections.append(("order", _order(plan)))
    there = "on " + plan.target if plan.target else "there"
    sections.append(("skipped", [("%s  is %s already" % (name, there), []) for name in plan.skipped]))
    will_not = sorted(plan.blocked.items(), key=lambda item: natural(item[0]))
    sections.append(("will not go", [(why if why.startswith(name + " ") else "%s  %s" % (name, why), []) for name, why in will_not]))
    yield from _branches([(title, children) for title, children in sections if children], "")


def _branches(nodes: list, before: str) -> Iterator[str]:   # type: ignore[type-arg]
    for node, (text, children) in enumerate(nodes):
        last = node == len(nodes) - 1
        lines = text if isinstance(text, list) else [text]
        yield before + ("└── " if last else "├── ") + lines[0]
        inner = before + ("    " if last else "│   ")
        for line in lines[1:]:
            yield inner + ("│   " if children else "    ") + line
        yield from _branches(children, inner)


def _application(plan: Plan, application: Application) -> str:
    leader = plan.leaders.get(application.name)
    if leader is None:
        led = "no leader"
    elif leader in application.units:
        led = "leader %s on %s %s" % (leader, application.units[leader], PLACES[application.order])
    else:
        led = "leader %s" % leader
    if application.leader == "handover":
        led += ", handed over before"
    return "%s  %s · %s · %d away at most · lowest %d of %d, needs %d" % (
        application.name, _count(len(application.units), "unit"), led, application.max_unavailable,
        plan.lowest[application.name], len(application.units), application.min_healthy)


def _order(plan: Plan) -> list:   # type: ignore[type-arg]
    """Top: machines that wait for nobody. A machine that waits for several hangs below the last of them; its reasons name the others."""
    position = {name: number for number, name in enumerate(plan.hosts)}
    nodes = {}
    for step in plan.steps:
        moves = ["%s: %s → %s first" % (move.application, move.unit, move.to) for move in step.transfers]
        nodes[step.machine] = ([_headline(plan, step), *step.reasons, *moves], [])
    top = []
    for step in plan.steps:
        waits_for = [name for name in step.after if name in position]
        parent = nodes[max(waits_for, key=position.__getitem__)][1] if waits_for else top
        parent.append(nodes[step.machine])
    return top


def _headline(plan: Plan, step: Step) -> str:
    carried = []
    for name in step.applications:
        for unit in plan.applications[name].units_on([step.machine]):
            carried.append(unit + (" (leader)" if plan.leaders.get(name) == unit else ""))
    return "%s  %s" % (step.machine, ", ".join(carried) or "no application")


def _count(number: int, noun: str) -> str:
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")
