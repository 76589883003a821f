# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a plan: who comes after whom by the applications' rules, and what to say when the rules disagree.

Pure. An edge says *later comes after earlier, because of this application*. Two applications may want opposite orders
when each machine holds the other's leader; then :func:`order` raises :class:`PlanError`, which explains the circle and
names leadership transfers that would open it.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from ._applications import Application, natural

NAMED = 5   # a sentence naming more machines than this is not read


class PlanError(Exception):
    """No plan can be made; the message says why and what to do. ``transfers`` may hold leadership moves that would help."""

    def __init__(self, msg: str, transfers: Iterable[Transfer] = ()) -> None:
        super().__init__(msg)
        self.msg = msg
        self.transfers = list(transfers)


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A leadership to move: from the unit that leads to another one."""

    application: str
    unit: str
    to: str
    why: str = ""


class Machine(Protocol):
    """What the order has to know of a machine."""

    goes: bool     # this run takes it along
    done: bool     # it is where the run leads already
    serves: bool   # its units can be counted upon
    under_way: bool


@dataclasses.dataclass(frozen=True)
class Edge:
    later: str
    earlier: str
    application: str


@dataclasses.dataclass
class Order:
    """Edges, the sentences that explain them, and the transfers that belong to a machine's turn."""

    edges: set[Edge]
    reasons: dict[str, list[str]]
    transfers: dict[str, list[Transfer]]

    def of(self, machine: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Transfer, ...]]:
        """Whom a machine comes after, why, and what is moved before it is touched."""
        after = sorted({edge.earlier for edge in self.edges if edge.later == machine}, key=natural)
        return tuple(after), tuple(self.reasons.get(machine, ())), tuple(self.transfers.get(machine, ()))


def order(
    applications: Mapping[str, Application], leaders: Mapping[str, str], machines: Mapping[str, Machine],
    going: set[str], problems: Mapping[str, str], purpose: str, target: str,
) -> Order:
    """Applies every application's rules to the machines that go. Raises PlanError when they cannot all be kept."""
    answer = Order(set(), {}, {})
    moving = [application for application in applications.values()
              if going.intersection(application.machines) and not set(problems).intersection(application.machines)]
    # An application on a machine that cannot go is halted as a whole, so its wishes bind nobody.
    said = []
    for application in moving:
        said += list(_left_out(application, leaders.get(application.name), machines, purpose, target))
        _unhealthy_first(application, machines, answer)
        _leader_rule(application, leaders.get(application.name), machines, answer)
    if said:
        raise PlanError(" ".join(said))
    circle = find_circle(answer.edges)
    if circle:
        raise _conflict(circle, moving, leaders, machines)
    for application in moving:
        if application.leader == "handover":
            _hand_over(application, leaders.get(application.name), machines, answer)
    return answer


def _group(application: Application, machines: Mapping[str, Machine]) -> list[str]:
    """The machines among which the leader's place counts: those that go and have something to lose."""
    return [machine for machine in application.machines if machines[machine].goes and machines[machine].serves]


def _unhealthy_first(application: Application, machines: Mapping[str, Machine], answer: Order) -> None:
    broken = [machine for machine in application.machines if machines[machine].goes and not machines[machine].serves]
    begun = [machine for machine in broken if machines[machine].under_way]
    ill = [machine for machine in broken if machine not in begun]
    for later in _group(application, machines) if broken else ():
        answer.edges.update(Edge(later, earlier, application.name) for earlier in broken)
        reasons = answer.reasons.setdefault(later, [])
        if begun:
            reasons.append("%s: %s %s begun already and goes on first" % (application.name, listed(begun), "was" if len(begun) == 1 else "were"))
        if ill:
            reasons.append("%s: %s does not serve and goes first, having nothing to lose" % (application.name, listed(ill)))


def _edges(application: Application, leader: str | None, machines: Mapping[str, Machine]) -> set[Edge]:
    """The leader rule alone."""
    home, group = application.units.get(leader or ""), _group(application, machines)
    if home not in group or application.order == "any":
        return set()
    others = [machine for machine in group if machine != home]
    if application.order == "leader_last":
        return {Edge(home, other, application.name) for other in others}
    return {Edge(other, home, application.name) for other in others}


def _leader_rule(application: Application, leader: str | None, machines: Mapping[str, Machine], answer: Order) -> None:
    edges = _edges(application, leader, machines)
    answer.edges.update(edges)
    for later in sorted({edge.later for edge in edges}, key=natural):
        earlier = listed(sorted((edge.earlier for edge in edges if edge.later == later), key=natural))
        if application.order == "leader_last":
            reason = "%s: its leader %s is here and goes last, after %s" % (application.name, leader, earlier)
        else:
            reason = "%s: its leader %s on %s goes first" % (application.name, leader, earlier)
        answer.reasons.setdefault(later, []).append(reason)


def _left_out(application: Application, leader: str | None, machines: Mapping[str, Machine], purpose: str, target: str) -> Iterator[str]:
    """A run limited to some machines must not jump the queue of those it leaves out. A rollback may: it undoes what it is told to."""
    home = application.units.get(leader or "")
    if purpose == "rollback" or home is None or application.order == "any":
        return
    there = "on %s" % target if target else "there"
    left_out = [machine for machine in application.machines if not machines[machine].goes and not machines[machine].done]
    others = [machine for machine in left_out if machine != home]
    if application.order == "leader_last" and machines[home].goes and others:
        yield "%s carries %s, the leader of %s, and goes last, but this run leaves out %s, not known to be %s; take %s into the run as well." % (
            home, leader, application.name, listed(others), there, "it" if len(others) == 1 else "them")
    if application.order == "leader_first" and home in left_out:
        yield "%s carries %s, the leader of %s, and goes first, but this run leaves it out and it is not known to be %s; take it into the run as well." % (
            home, leader, application.name, there)


def _hand_over(application: Application, leader: str | None, machines: Mapping[str, Machine], answer: Order) -> None:
    """Adds the transfers that let a machine go without its leader; the other unit's machine is through already, or goes later."""
    home, group = application.units.get(leader or ""), _group(application, machines)
    if home is None or leader is None or home not in group:
        return
    heirs = [unit for unit, machine in application.units.items() if machine != home and machines[machine].serves]
    heirs.sort(key=lambda unit: (not machines[application.units[unit]].done, natural(unit)))
    if not heirs:
        raise PlanError("%s has leader: handover, but beside %s there is no unit that serves to hand over to; use leader: hold." % (application.name, leader))
    for heir in heirs:
        there = application.units[heir]
        needed = Edge(home, there, application.name)
        through = not machines[there].goes or needed in answer.edges
        if application.order != "leader_first" and not through and find_circle({*answer.edges, needed}):
            continue
        if application.order != "leader_first" and not through:
            answer.edges.add(needed)
            answer.reasons.setdefault(home, []).append("%s: %s goes first, so that %s can take over the leadership" % (application.name, there, heir))
        answer.transfers.setdefault(home, []).append(Transfer(application.name, leader, heir, "%s is handed over before %s goes" % (application.name, home)))
        if application.order == "leader_first" and machines[there].goes:
            answer.transfers.setdefault(there, []).append(
                Transfer(application.name, heir, leader, "%s goes back to %s, which is through, before %s goes" % (application.name, leader, there)))
        return
    raise PlanError("%s has leader: handover, but no unit of it can be upgraded before %s, where its leader %s lives; use leader: hold or move the "
                    "leadership with lease_transfer." % (application.name, home, leader))


def find_circle(edges: Iterable[Edge]) -> list[Edge]:
    """Edges that run in a circle, or an empty list when the machines can be put in an order."""
    before: dict[str, list[Edge]] = {}
    after: dict[str, list[str]] = {}
    for edge in sorted(edges, key=lambda edge: (natural(edge.later), natural(edge.earlier), edge.application)):
        before.setdefault(edge.later, []).append(edge)
        before.setdefault(edge.earlier, [])
        after.setdefault(edge.earlier, []).append(edge.later)
    open_edges = {machine: len(found) for machine, found in before.items()}
    free = [machine for machine, count in open_edges.items() if not count]
    left = set(open_edges)
    while free:
        machine = heapq.heappop(free)
        left.discard(machine)
        for later in after.get(machine, ()):
            open_edges[later] -= 1
            if not open_edges[later]:
                heapq.heappush(free, later)
    if not left:
        return []
    path: list[Edge] = []
    seen: dict[str, int] = {}
    machine = min(left, key=natural)
    while machine not in seen:
        seen[machine] = len(path)
        edge = next(edge for edge in before[machine] if edge.earlier in left)
        path.append(edge)
        machine = edge.earlier
    return path[seen[machine]:]


def _conflict(circle: list[Edge], applications: list[Application], leaders: Mapping[str, str], machines: Mapping[str, Machine]) -> PlanError:
    by_name = {application.name: application for application in applications}
    said = ["%s want opposite orders of %s:" % (
        listed(sorted({edge.application for edge in circle}, key=natural)), listed(sorted({edge.later for edge in circle}, key=natural)))]
    for edge in circle:
        application, leader = by_name[edge.application], leaders[edge.application]
        if application.order == "leader_last":
            said.append("%s carries %s, the leader of %s, and goes after %s;" % (edge.later, leader, edge.application, edge.earlier))
        else:
            said.append("%s goes after %s, which carries %s, the leader of %s;" % (edge.later, edge.earlier, leader, edge.application))
    transfers = suggest(applications, leaders, machines)
    for transfer in transfers:
        said.append("move the leadership of %s from %s to %s (lease_transfer with application: %s, to: %s)%s" % (
            transfer.application, transfer.unit, transfer.to, transfer.application, transfer.to, "," if transfer is not transfers[-1] else ""))
    said.append("and plan again." if transfers else "give one of them order: any and plan again.")
    return PlanError(" ".join(said), transfers)


def suggest(applications: list[Application], leaders: Mapping[str, str], machines: Mapping[str, Machine]) -> list[Transfer]:
    """Transfers that would open every circle: one if one is enough, else a short list found greedily; empty when none was found.

    The seam for later: who wants the fewest in every case, or wants them done, replaces this function and nothing else.
    """
    now, moves = dict(leaders), []
    for step in range(len(applications)):
        best: tuple[int, Any, Transfer] | None = None
        for application in applications:
            if application.order == "any" or any(move.application == application.name for move in moves):
                continue
            for unit, machine in application.units.items():
                if unit == now.get(application.name) or not machines[machine].serves:
                    continue
                left = _tangled(_all_edges(applications, {**now, application.name: unit}, machines))
                move = Transfer(application.name, now[application.name], unit, "opens a circle")
                if best is None or (left, natural(application.name + unit)) < best[:2]:
                    best = (left, natural(application.name + unit), move)
        if best is None or best[0] >= _tangled(_all_edges(applications, now, machines)):
            return []
        moves.append(best[2])
        now[best[2].application] = best[2].to
        if not best[0]:
            return moves
    return []


def _all_edges(applications: list[Application], leaders: Mapping[str, str], machines: Mapping[str, Machine]) -> set[Edge]:
    edges: set[Edge] = set()
    for application in applications:
        edges |= _edges(application, leaders.get(application.name), machines)
    return edges


def _tangled(edges: set[Edge]) -> int:
    """How many edges lie in circles or between them: nought when the machines can be put in an order."""
    edges = set(edges)
    while edges:
        laters, earliers = {edge.later for edge in edges}, {edge.earlier for edge in edges}
        kept = {edge for edge in edges if edge.earlier in laters and edge.later in earliers}
        if kept == edges:
            break
        edges = kept
    return len(edges)


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; a long list is cut, and says by how much."""
    found = list(names)
    if len(found) > NAMED + 1:
        return "%s and %d more" % (", ".join(found[:NAMED]), len(found) - NAMED)
    return " and ".join(part for part in (", ".join(found[:-1]), found[-1] if found else "") if part)


def units(count: int) -> str:
    return "one unit" if count == 1 else "%d units" % count
