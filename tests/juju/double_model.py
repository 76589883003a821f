# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of one Juju model: leases on a clock that the test moves, and agents that do their work some time after they were told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Optional

CLAIM, RENEW = 60.0, 30.0  # seconds, as unit agents do
NUMBERS = {"focal": "20.04", "jammy": "22.04", "noble": "24.04"}


@dataclass
class Unit:
    name: str
    machine: str
    subordinate_to: Optional[str] = None
    alive: bool = True  # its agent runs, claims and renews
    agent: str = "idle"
    workload: str = "active"
    fails: Optional[str] = None  # "pre" or "post": that series-upgrade hook fails
    phase: str = "not started"

    @property
    def application(self):
        return self.name.rpartition("/")[0]


@dataclass
class Machine:
    id: str
    series: str = "focal"  # what Juju has it down as
    host: str = "focal"  # what it really runs
    manager: bool = False
    up: bool = True
    lock: Optional[str] = None
    info: str = "Container started"  # of its instance status


@dataclass
class Lease:
    holder: Optional[str] = None
    expires: float = 0.0
    pins: set = field(default_factory=set)


class DoubleModel:
    """leases: "raft" (2.9 to 3.1) or "dqlite" (3.2 to 3.6); they differ in what a pin without a leader does, and a resignation while pinned."""

    def __init__(self, leases="raft"):
        self.kind, self.turn = leases, threading.RLock()
        self.machines, self.units, self.leases = {}, {}, {}
        self.supported = {}  # application: series that its charm knows, when not all
        self.held_back = set()  # steps that agents do not take yet: "pin", "prepared", "completed"
        self.unpin_fails = self.pin_fails = False
        self.lease_store_fails = False
        self.log = []
        self._offset = 0.0
        self._end = threading.Event()
        self._agents = threading.Thread(target=self._run, daemon=True)

    # What tests say

    def deploy(self, application, machines, subordinate_of=None):
        for number, machine in enumerate(machines):
            self.machines.setdefault(machine, Machine(machine))
            name = f"{application}/{number}"
            self.units[name] = Unit(name, machine, f"{subordinate_of}/{number}" if subordinate_of else None)
        self.leases[application] = Lease(f"{application}/0", self.now() + CLAIM)
        return self

    def pass_time(self, seconds):
        """Time goes on at once; agents that live have renewed meanwhile."""
        with self.turn:
            self._offset += seconds
            self._tick()

    def now(self):
        return time.monotonic() + self._offset

    def start(self):
        self._agents.start()

    def stop(self):
        self._end.set()
        self._agents.join()

    # Leases

    def _tick(self):
        now = self.now()
        for application, lease in self.leases.items():
            living = [unit.name for unit in self.units.values() if unit.application == application and unit.alive and self.machines[unit.machine].up]
            if lease.holder in living:
                lease.expires = max(lease.expires, now + CLAIM) if lease.expires - now < RENEW else lease.expires
            elif lease.holder is not None and lease.expires < now and not lease.pins:
                lease.holder = None
            # While a lease is pinned nobody else may claim it; one that was resigned has no holder to protect.
            if lease.holder is None and living:
                lease.holder, lease.expires = living[0], now + CLAIM

    def resign(self, application):
        with self.turn:
            lease = self.leases[application]
            if self.kind == "dqlite" and lease.pins:
                raise RuntimeError("FOREIGN KEY constraint failed")
            lease.holder = None

    def _applications(self, machine):
        return {unit.application for unit in self.units.values() if unit.machine == machine}

    def _pin(self, machine):
        for application in self._applications(machine):
            lease = self.leases[application]
            if self.kind == "dqlite" and lease.holder is None:
                continue  # no row to join on: success is answered, nothing is pinned
            lease.pins.add(machine)

    def _unpin(self, machine):
        for application in self._applications(machine):  # those that are there now, not those that were pinned
            self.leases[application].pins.discard(machine)

    # Agents

    def _run(self):
        while not self._end.wait(0.004):
            with self.turn:
                self._tick()
                for machine in self.machines.values():
                    if machine.up and machine.lock:
                        self._step(machine)

    def _step(self, machine):
        """One step of a machine's agent and of its units' agents."""
        units = [unit for unit in self.units.values() if unit.machine == machine.id]
        if machine.lock == "prepare started":
            self._step_prepare(machine, units)
        elif machine.lock == "complete started":
            self._step_complete(machine, units)

    def _step_prepare(self, machine, units):
        if not machine.info.startswith("series upgrade prepare"):
            if "pin" in self.held_back:
                return
            machine.info = "series upgrade prepare started: preparing units"
            if not self.pin_fails:  # a lease store that cannot pin is logged, and the agent goes on
                self._pin(machine.id)
            self.log.append(("pin", machine.id))
            return
        if not self._hooks(units, "pre", "prepare completed") or "prepared" in self.held_back:
            return
        machine.lock, machine.info = "prepare completed", "series upgrade prepare completed: waiting for completion command"

    def _step_complete(self, machine, units):
        machine.info = "series upgrade complete started: waiting for units"
        if not self._hooks(units, "post", "completed") or "completed" in self.held_back:
            return
        machine.series = machine.host  # whatever it runs now, upgraded or not
        machine.lock = None
        self.log.append(("lock deleted", machine.id))
        if not self.unpin_fails:
            self._unpin(machine.id)
            self.log.append(("unpin", machine.id))
        machine.info = "series upgrade completed: success"
        for unit in units:
            unit.phase = "not started"

    def _hooks(self, units, hook, done):
        for unit in units:
            if unit.phase == done or not unit.alive:
                continue
            if unit.fails == hook:
                unit.workload = "error"
                continue
            unit.workload, unit.phase = "active", done
            self.log.append((hook, unit.name))
        return all(unit.phase == done for unit in units)

    # What the facade asks

    def lock_error(self, machine):
        return {"message": f'upgrade series lock found for "{machine.id}"; series upgrade is in the "{machine.lock}" state', "code": "",
                "info": {"Status": machine.lock}}

    def refusal(self, machine, series, force, words):
        """Why a lock cannot be made, or None; the checks in their order."""
        if machine.manager:
            return {"message": f"machine-{machine.id} is a controller and cannot be targeted for series upgrade", "code": ""}
        if machine.lock:
            return self.lock_error(machine)
        if series == machine.series:
            return {"message": f"machine-{machine.id} is already running {words} {series}", "code": ""}
        for application in sorted(self._applications(machine.id)):
            known = self.supported.get(application)
            if known and series not in known and not force:
                return {"message": f'{words} "{series}" not supported by charm "{application}", supported {words} are: {", ".join(known)}',
                        "code": f"incompatible {words}"}
        return None

    def not_ready(self, machine):
        for unit in self.units.values():
            if unit.machine == machine.id:
                if unit.agent != "idle":
                    return {"message": f'unit {unit.name} is not ready to start a series upgrade; its agent status is: "{unit.agent}" ', "code": ""}
                if unit.workload == "error":
                    return {"message": f'unit {unit.name} is not ready to start a series upgrade; its status is: "error" ', "code": ""}
        return None
