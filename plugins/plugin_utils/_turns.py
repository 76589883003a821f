# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns: how every machine of a run stands, and what taking and giving back a turn does to that.

Pure. A :class:`Turns` is made of a plan and the stored ``machines`` (``{name: {"state", "why"}}``), changed by one call, and stored
again by whoever holds the lock. A failed machine halts its applications and whoever had to come after it; others go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._plan import DONE, FAILED, HALTED, PENDING, RUNNING, STATUSES, WAITING, Decision, Plan

OVER = (DONE, FAILED, HALTED)


class Turns:
    """The turns of one run. ``machines`` is plain data, always names every machine of the plan, and may be stored as it is."""

    def __init__(self, plan: Plan, machines: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.plan = plan
        self.machines: dict[str, dict[str, Any]] = {name: {"state": PENDING, "why": ""} for name in plan.hosts}
        self.machines.update((name, {"state": FAILED if plan.machines[name].blocked else HALTED, "why": why}) for name, why in plan.blocked.items())
        for name, entry in (machines or {}).items():
            if entry.get("state") not in STATUSES:
                raise ValueError("%s is in the state %r, which does not exist" % (name, entry.get("state")))
            self.machines[name] = dict(entry)

    @property
    def statuses(self) -> dict[str, str]:
        return {name: entry["state"] for name, entry in self.machines.items()}

    def take(self, machine: str) -> Decision:
        """Asks for a turn: go (it is running now), wait (ask again after the next change) or halted (it never will).

        Asking again while it runs is answered go, so that a repeated task does no harm; a turn that is over stays over.
        """
        entry = self._entry(machine)
        if entry["state"] in OVER:
            return Decision("halted", entry["why"] or "the turn of %s is over: it is %s" % (machine, entry["state"]))
        if entry["state"] == RUNNING:
            return Decision("go")
        decision = self.plan.decide(machine, self.statuses)
        self._set(machine, {"go": RUNNING, "wait": WAITING, "halted": HALTED}[decision.kind], decision.why)
        self._settle()
        return decision

    def give(self, machine: str, done: bool, why: str = "") -> None:
        """Gives a turn back. Not done is failed; one that was never let in, and so has changed nothing, is merely halted."""
        state = self._entry(machine)["state"]
        if state not in OVER:
            given = DONE if done else FAILED if state == RUNNING else HALTED
            self._set(machine, given, "" if done else why or "it gave no proof that it is done")
            self._settle()

    def first_of(self, machine: str) -> list[str]:
        """The machine's applications of which no other machine has had its turn yet: to be pinned before this one goes."""
        return [name for name in self.plan.applications_on(machine)
                if not any(self.machines[other]["state"] in (RUNNING, DONE, FAILED) for other in self._going(name) if other != machine)]

    def through(self, application: str) -> bool:
        """Whether every machine of the application that was to go is done: its pin may be taken off."""
        return all(self.machines[machine]["state"] == DONE for machine in self._going(application))

    def halted(self, application: str) -> str:
        """Why the application is halted; empty when it is not."""
        for machine in self._going(application):
            if self.machines[machine]["state"] == FAILED:
                return "%s did not get through" % machine
        return ""

    @property
    def over(self) -> bool:
        return all(entry["state"] in OVER for entry in self.machines.values())

    def _going(self, application: str) -> list[str]:
        return [machine for machine in self.plan.applications[application].machines if machine in self.machines]

    def _entry(self, machine: str) -> dict[str, Any]:
        if machine not in self.machines:
            self.plan.step(machine)   # says in a sentence why there is no turn
        return self.machines[machine]

    def _set(self, machine: str, state: str, why: str) -> None:
        self.machines[machine] = {"state": state, "why": why}

    def _settle(self) -> None:
        """Records those that can never go any more, so that nobody waits for them and the operator sees it at once."""
        moved = True
        while moved:
            moved = False
            for name, entry in self.machines.items():
                if entry["state"] in (PENDING, WAITING):
                    decision = self.plan.decide(name, self.statuses)
                    if decision.kind == "halted":
                        self._set(name, HALTED, decision.why)
                        moved = True
