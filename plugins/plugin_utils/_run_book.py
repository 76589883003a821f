# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the book of turns says: the machines' turns, and beside them how the leadership of every application stands.

Private room of the collection, pure: it reads and changes the content of the book, plain data, and talks to nobody. What the endpoint
said is told to it.
"""

from __future__ import annotations

import typing as t

from ._plan import PENDING, RUNNING, WAITING, Decision, Plan, PlanError
from ._turns import OVER, Turns

# Of an application: nothing was done about its leadership yet; it is frozen by us; we have let it go; no machine of it may go on.
IDLE, PINNED, UNPINNED, STOPPED = "idle", "pinned", "unpinned", "halted"


def opening(
    plan: Plan, target: str, run: str, session: str, pinner: str, pin: bool, pin_duration: float, takeover: bool, controller: int,
    blind: bool = False,
) -> dict[str, t.Any]:
    """
    The content of a new book. TARGET: the series that the run is about, also when it comes back from it. CONTROLLER: the process of the
    playbook; whoever has another parent works for nobody. BLIND: nobody can be asked who leads, and nobody shall.
    """
    return {
        "run": run, "session": session, "controller": controller, "pinner": pinner, "pin": pin, "pin_duration": pin_duration, "takeover": takeover,
        "blind": blind,
        "purpose": plan.purpose, "target": target, "plan": plan.as_dict(), "machines": Turns(plan).machines,
        "renewed_at": None, "heard_at": None,
        "applications": {
            name: {"state": IDLE, "holder": plan.leaders.get(name), "term": None, "leadership_changes": 0, "why": ""}
            for name, application in plan.applications.items() if set(application.machines) & {*plan.hosts, *plan.blocked, *plan.skipped}
        },
    }


class RunBook:
    """The book's content, for asking and for changing in place."""

    def __init__(self, content: dict[str, t.Any]) -> None:
        self.content = content
        self.plan = _plan_of(content["plan"])
        self.turns = Turns(self.plan, content["machines"])
        self.applications: dict[str, dict[str, t.Any]] = content["applications"]
        content["machines"] = self.turns.machines

    def state(self, host: str) -> str:
        """One of the plan's statuses. Raises PlanError for a host that has no turn."""
        if host not in self.turns.machines:
            self.plan.step(host)
        return str(self.turns.machines[host]["state"])

    def decide(self, host: str) -> Decision:
        """Whether HOST may go now; changes nothing."""
        entry = self.turns.machines.get(host)
        if entry and entry["state"] in OVER:
            return Decision("halted", entry["why"] or "the turn of %s is over: it is %s" % (host, entry["state"]))
        for name in self.plan.applications_on(host):
            if self.applications[name]["state"] == STOPPED:
                return Decision("halted", self.applications[name]["why"])
        return self.plan.decide(host, self.turns.statuses)

    def begin(self, host: str) -> Decision:
        """HOST asks for its turn: it runs now, waits, or is halted for good."""
        decision = self.decide(host)
        if decision.kind == "halted":
            self.give(host, False, decision.why)
            return decision
        return self.turns.take(host)

    def wait(self, host: str, why: str) -> None:
        """HOST may go by the plan and must wait nevertheless."""
        self.turns.machines[host].update(state=WAITING, why=why)

    def give(self, host: str, done: bool, why: str = "") -> None:
        """HOST gives its turn back. Without a turn it has changed nothing, and is halted rather than failed."""
        self.state(host)
        self.turns.give(host, done, why)

    def stop(self, application: str, why: str) -> None:
        """No further machine of APPLICATION goes. What is under way on a machine goes on by itself."""
        self.applications[application].update(state=STOPPED, why=why)

    def held(self) -> list[str]:
        """Applications whose pins are ours to renew."""
        return sorted(name for name, known in self.applications.items() if known["state"] == PINNED)

    def pinned(self, application: str) -> None:
        """APPLICATION is frozen by us."""
        if self.applications[application]["state"] != STOPPED:
            self.applications[application]["state"] = PINNED

    def unpinned(self, application: str) -> None:
        """We have let APPLICATION go."""
        if self.applications[application]["state"] != STOPPED:
            self.applications[application]["state"] = UNPINNED

    def seen(self, application: str, holder: str | None, term: int, since_term: int | None) -> int:
        """
        What the lease says now, and since which term it is watched. Answers how often the leader has changed.

        Terms only grow, by one at every change, so their difference is the number of changes.
        """
        changes = max(0, term - since_term) if since_term is not None else 0
        self.applications[application].update(holder=holder, term=term, leadership_changes=changes)
        return changes

    def led_elsewhere(self, host: str) -> list[str]:
        """Applications of HOST that another unit leads than the plan was made for. A planned handover is no surprise."""
        planned = {(move.application, move.to) for step in self.plan.steps for move in step.transfers}
        return [
            name for name in self.plan.applications_on(host)
            if self.applications[name]["holder"] != self.plan.leaders.get(name) and (name, self.applications[name]["holder"]) not in planned
        ]

    def plan_anew(self, application: str) -> bool:
        """Makes the plan for the leader that was found. False when there is none; the application is stopped then."""
        holder = self.applications[application]["holder"]
        through = [host for host, entry in self.turns.machines.items() if entry["state"] == "done"]
        try:
            self.plan = self.plan.with_leader(application, str(holder), through)
        except PlanError as problem:
            self.stop(application, "%s is led by %s now, and there is no order for that: %s" % (application, holder, problem.msg))
            return False
        self.content["plan"] = self.plan.as_dict()
        self.turns = Turns(self.plan, self.content["machines"])
        self.content["machines"] = self.turns.machines
        return True

    def transfers(self, host: str) -> list[t.Any]:
        """Leaderships still to be moved before HOST is touched."""
        return [move for move in self.plan.step(host).transfers if self.applications[move.application]["holder"] == move.unit]

    def through(self, applications: t.Iterable[str]) -> list[str]:
        """Those of APPLICATIONS of which every machine of this run has got through."""
        return [name for name in applications if self.turns.through(name)]

    def of(self, host: str) -> list[str]:
        """The applications on HOST."""
        return self.plan.applications_on(host)

    def jammed(self, forks: int) -> str:
        """Why those who wait would wait for ever; empty while somebody may still come to their aid."""
        machines = self.turns.machines
        waiting = [host for host, entry in machines.items() if entry["state"] == WAITING]
        moving = [host for host, entry in machines.items() if entry["state"] == RUNNING or (host in waiting and self.decide(host).kind != "wait")]
        outside = [host for host, entry in machines.items() if entry["state"] == PENDING]
        if moving or not outside or len(waiting) < forks:
            return ""
        return "all %d forks are taken by machines that wait for one that was not let in; raise forks to %d and run again" % (forks, len(machines))

    def known(self, applications: t.Iterable[str]) -> dict[str, dict[str, t.Any]]:
        """How APPLICATIONS stand, for a result."""
        return {name: dict(self.applications[name]) for name in applications}


def _plan_of(data: t.Mapping[str, t.Any]) -> Plan:
    """The plan, made only once of the same data: a waiting machine looks at the book whenever another one has changed it."""
    if _seen.get("hash") != data["hash"]:
        _seen.update(hash=data["hash"], plan=Plan.from_dict(data))
    return _seen["plan"]


_seen: dict[str, t.Any] = {}


def missing_proof(host: str, proof: t.Mapping[str, t.Any] | None, purpose: str, target: str) -> str:
    """What the proof lacks, as a sentence; empty when it proves that HOST got through. PROOF: the status its watcher gave last."""
    if not proof:
        return "%s gave no proof that it got through" % host
    state, series = proof.get("state"), proof.get("series")
    if proof.get("machine") not in (None, host):
        return "%s showed the record of %s" % (host, proof.get("machine"))
    if purpose == "rollback":
        if state not in ("ROLLED_BACK", "ABORTED"):
            return "%s is %s and not rolled back" % (host, state or "in an unknown state")
        if not series or series != proof.get("source_series"):
            return "%s says %s, but %s was seen live instead of %s" % (host, state, series or "no series", proof.get("source_series"))
        return ""
    if state != "COMMITTED":
        why = proof.get("reason")
        return "%s is %s and not committed%s" % (host, state or "in an unknown state", ": %s" % why if why else "")
    if series != target:
        return "%s has committed, but %s was seen live instead of %s" % (host, series or "no series", target)
    return ""
