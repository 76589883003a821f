# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications of Juju 2.9 and 3.x: leadership is held by `upgrade-machine prepare` on all machines of the application.

Juju pins the leaders of a machine's applications while that machine is between prepare and complete, and shows these pins to nobody. So a
freeze is asked for and assumed, never read: Leadership.frozen is always None. docs/juju.md says what this costs, and how to try it.
"""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

from lease_endpoint.errors import Denied, Invalid, NoLeader, Unreachable, Unsupported
from lease_endpoint.providers import _juju_model as model
from lease_endpoint.providers._juju_wire import Controller, Said, raise_if_error
from lease_endpoint.providers._options import Options, clear_text
from lease_endpoint.providers.foreign import Capabilities, Foreign, Leadership

SPOKEN = range(6, 11)  # versions of facade MachineManager that have UpgradeSeriesPrepare and that we know
OF_4 = 11  # from this version on it has not
CHECK = 30.0  # seconds between two looks at the locks while frozen
THAW = 30.0  # seconds after which an unpin is answered; what is not completed by then is owed, shown, and asked again
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two looks while machines are being prepared or completed

NOTES = (
    "A pin is assumed: Juju shows its pins to nobody. What can be seen is that the machines are prepared and that the leader stays.",
    "Prepared machines run pre-series-upgrade hooks, and all units on them, also of other applications, react to nothing until complete.",
    "Unpin is `complete`: post-series-upgrade hooks run, also where the release was not changed.",
    "Leadership has no term in Juju: a change back and forth between two looks is not seen.",
)


class Juju(Foreign):
    """One application of one model. Options: docs/juju.md."""

    name = "juju"
    capabilities = Capabilities(scope="cluster", terms=False, reads_freeze=False, transfer=False, notes=NOTES)

    def __init__(self, application: str, options: Mapping[str, Any]) -> None:
        given = Options(options)
        endpoints = given.urls("endpoints", ("wss", "ws"), "wss://c1:17070")
        uuid = given.text("model", "the UUID of the model (`juju show-model`)", needed=True)
        user = given.text("user", "a local user of the controller", needed=True)
        password_file = given.text("password_file", "the path of a file", needed=True)
        tls = any(url.startswith("wss") for url in endpoints)
        ca_file = given.text("ca_file", "the path of the controller's CA certificate (`juju show-controller`)", needed=tls)
        server_name = given.text("server_name", "the name in the controller's certificate") or "juju-apiserver"
        self.application = given.text("application", "the application's name in Juju") or application
        self._series = given.text("series", "the codename of the release to upgrade to", needed=True)
        self._channel = given.text("channel", "the number of that release") or model.UBUNTU.get(self._series, "")
        self._force = given.take("force", bool, "true or false", False)
        timeout = given.seconds("timeout", 1, 120, 20.0)
        self._patience = given.seconds("patience", 1, 3600, 600.0)
        given.finish()
        if clear_text(endpoints):
            raise Invalid(f"endpoints must be wss: {clear_text(endpoints)[0]} would carry the password readable")
        if not self._channel:
            raise Invalid(f'channel must be given for series {self._series!r}, which is not known here, as "26.04"')
        self._controller = Controller(endpoints, uuid, user, password_file, ca_file or "", server_name, timeout)
        self._checked = 0.0
        self._told: set[str] = set()

    def close(self) -> None:
        self._controller.close()

    # Reading

    def _status(self) -> dict[str, Any]:
        self._controller.greet()
        known = [version for version in self._controller.facades.get("Client", ()) if version <= 8]
        if not known:
            raise Unsupported(f"the Juju controller {self._controller.version} offers no status that is known here (facade Client up to version 8)")
        return self._controller.call("Client", max(known), "FullStatus", {"patterns": []}, again=True)

    def _units(self, status: Mapping[str, Any]) -> list[model.Unit]:
        units = model.units(status, self.application)
        if not units:
            raise Unreachable(f"the Juju model has no units of {self.application}; check the options application and model")
        if not any(unit.leader for unit in units) and not model.shows_leaders(status):
            raise Unreachable(f"Juju shows no leader of any application in the model of {self.application}: it could not read its leases, or nobody leads; "
                              "look at `juju status`, then ask again")
        return units

    def read(self) -> Leadership:
        units = self._units(self._status())
        holder = next((unit.name for unit in units if unit.leader), None)
        return Leadership(holder, 0, None, tuple(unit.member() for unit in units))

    # Locks

    def _manager(self) -> int:
        """The version of MachineManager to speak. Raises Unsupported where Juju has no series upgrades any more, or not yet as here."""
        self._controller.greet()
        offered, version = self._controller.facades.get("MachineManager", []), self._controller.version
        spoken = [each for each in offered if each in SPOKEN]
        if spoken:
            return max(spoken)
        if any(each >= OF_4 for each in offered):
            raise Unsupported(f"the controller runs Juju {version}: upgrade-machine, the only thing by which Juju ever held leadership, was taken out of "
                              f"Juju 4.0; take {self.application} out of the run's pins, or upgrade its machines by hand")
        raise Unsupported(f"the controller runs Juju {version}, which does not offer upgrade-series as 2.9 and 3.x do; upgrade the controller first")

    def _item(self, machine: str, version: int, complete: bool = False) -> dict[str, Any]:
        return model.item(machine, version, "" if complete else self._series, "" if complete else self._channel, False if complete else self._force)

    def _locks(self, machines: Sequence[str]) -> dict[str, model.Lock]:
        if not machines:
            return {}
        version = self._manager()
        asked = {"args": [self._item(machine, version) for machine in machines]}
        told = self._controller.call("MachineManager", version, "UpgradeSeriesValidate", asked, again=True)
        results = told.get("Results") or told.get("results") or []
        if len(results) != len(machines):
            raise Unreachable(f"the Juju controller answered for {len(results)} of {len(machines)} machines; it will be asked again")
        return dict(zip(machines, map(model.Lock.read, results)))

    def _order(self, machines: Sequence[str], holder: Any, status: Mapping[str, Any]) -> list[str]:
        """The leader's machine first."""
        leading = {unit.machine for unit in model.units(status, self.application) if unit.name == holder}
        return sorted(machines, key=lambda machine: machine not in leading)

    def displaced(self) -> dict[str, Any]:
        """{"machines": ids whose prepare is ours to complete, "others": {id: state} prepared by somebody else before, "holder": unit}"""
        status = self._status()
        units = self._units(status)
        holder = next((unit.name for unit in units if unit.leader), None)
        machines = self._order(sorted({unit.machine for unit in units}), holder, status)
        others = {machine: lock.state for machine, lock in self._locks(machines).items() if lock.state}
        return {"machines": [machine for machine in machines if machine not in others], "others": others, "holder": holder}

    # Freezing

    def freeze(self, displaced: Mapping[str, Any]) -> Leadership:
        self._manager()
        status = self._status()
        if not any(unit.leader for unit in self._units(status)):
            raise NoLeader(f"{self.application} has no leader: Juju would answer to a pin and pin nothing; start its units first, then try again")
        ours = displaced.get("machines", ())
        machines = [*ours, *displaced.get("others", ())]
        end, pause = time.monotonic() + self._patience, FIRST_PAUSE
        while True:
            locks = self._locks(machines)
            waiting = self._waiting(locks)
            bare = [machine for machine in ours if locks[machine].state is None and not locks[machine].gone and not self._done(status, machine)]
            if not waiting and not bare:
                break
            self._in_time(end, waiting or bare, "prepared", self._patience)
            if bare:
                self._prepare(bare, locks)
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        if not any(lock.state for lock in locks.values()):
            raise Denied(f"all machines of {self.application} run {self._series} already: there is nothing to prepare, "
                         "and by nothing else does Juju hold leadership")
        self._told.clear()
        return self.read()

    def _done(self, status: Mapping[str, Any], machine: str) -> bool:
        return model.runs(status, machine, self._series, self._channel)

    def _waiting(self, locks: Mapping[str, model.Lock]) -> list[str]:
        for machine, lock in locks.items():
            if lock.state == "error":
                raise Denied(f"machine {machine} met an error in its series upgrade; look at `juju status` and resolve its units, then pin again")
            if lock.state in model.COMPLETING:
                raise Denied(f"machine {machine} is being completed by somebody else; wait until it is done, then pin again")
        return [machine for machine, lock in locks.items() if lock.state not in (None, model.PREPARED)]

    def _prepare(self, machines: Sequence[str], locks: Mapping[str, model.Lock]) -> None:
        """On all of them, the leader's first, if none of them would refuse."""
        for machine in machines:
            if locks[machine].trouble:
                raise Denied(f"machine {machine} of {self.application} cannot be prepared: {locks[machine].trouble}")
        version = self._manager()
        for machine in machines:
            try:
                self._change("UpgradeSeriesPrepare", version, self._item(machine, version))
            except Said as refused:
                if model.Lock.refused(refused.reason, refused.code, refused.info).state is None:
                    raise Denied(f"Juju does not prepare machine {machine} of {self.application}: {refused.reason}") from refused

    def _change(self, method: str, version: int, item: Mapping[str, Any]) -> None:
        """When there is no answer the locks are read again before anything else is done."""
        try:
            told = self._controller.call("MachineManager", version, method, item)
        except Said:
            raise
        except Unreachable:
            return
        error = told.get("error") or {}
        raise_if_error(error.get("message"), error.get("code"), error.get("info"))

    def _in_time(self, end: float, machines: Sequence[str], what: str, patience: float) -> None:
        if time.monotonic() > end:
            raise Unreachable(f"{self.application}: machines {', '.join(machines)} were not {what} in {patience:.0f} s; they will be asked again")

    # Keeping

    def tend(self, displaced: Mapping[str, Any]) -> list[str]:
        """Juju keeps its pins by itself. What can be seen is whether the machines are still prepared."""
        if time.monotonic() - self._checked < CHECK:
            return []
        machines = [*displaced.get("machines", ()), *displaced.get("others", ())]
        bare = [machine for machine, lock in self._locks(machines).items() if lock.state is None]
        self._checked = time.monotonic()
        new = [machine for machine in bare if machine not in self._told]
        self._told.update(new)
        said = [f"machine {machine} of {self.application} is no longer prepared: it holds its leader no more" for machine in new]
        if new and len(bare) == len(machines):
            said.append(f"no machine of {self.application} is prepared any more: nothing holds its leader")
        return said

    # Giving back

    def thaw(self, displaced: Mapping[str, Any]) -> None:
        """Complete what we prepared, the leader's machine last, and see that the locks are gone. The pins themselves cannot be seen."""
        machines = list(reversed(displaced.get("machines", ())))
        patience, pause = min(THAW, self._patience), FIRST_PAUSE
        end = time.monotonic() + patience
        while True:
            left = {machine: lock for machine, lock in self._locks(machines).items() if lock.state}
            if not left:
                break
            self._in_time(end, list(left), "completed", patience)
            for machine, lock in left.items():
                if lock.state == "error":
                    raise Denied(f"machine {machine} met an error in its series upgrade; look at `juju status` and resolve its units: it is completed then")
                if lock.state == model.PREPARED:
                    self._complete(machine)
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        self._told.clear()

    def _complete(self, machine: str) -> None:
        version = self._manager()
        try:
            self._change("UpgradeSeriesComplete", version, self._item(machine, version, complete=True))
        except Said as refused:
            if "can not complete" not in refused.reason:  # somebody was quicker: the lock is read again
                raise Denied(f"Juju does not complete machine {machine} of {self.application}: {refused.reason}") from refused

    def transfer(self, to: str, term: int) -> Leadership:
        raise Unsupported(f"{self.application}: Juju hands leadership over to nobody by name; it goes on when nothing is pinned and its leader's agent is "
                          "stopped for a minute")
