# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Juju's FullStatus and its answers about upgrade locks say. Everything here takes what was read and opens nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional

from lease_endpoint.providers.foreign import Member

UBUNTU = {"xenial": "16.04", "bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04"}

# An upgrade lock's states, in the order in which they come
PREPARED = "prepare completed"
COMPLETING = ("complete started", "complete running", "completed")


@dataclass(frozen=True)
class Unit:
    """One unit of the application; `machine` is an id as 3 or 0/lxd/1."""

    name: str
    machine: str
    leader: bool
    agent: str
    workload: str
    msg: str

    @property
    def healthy(self) -> bool:
        return self.agent in ("idle", "executing") and self.workload not in ("error", "terminated")

    def member(self) -> Member:
        return Member(self.name, self.healthy, "" if self.healthy else f"agent {self.agent}, workload {self.workload}{f': {self.msg}' if self.msg else ''}")


def _all(status: Mapping[str, Any]) -> Iterator[Unit]:
    """Every unit of the model; subordinates are on the machine of the unit that they belong to."""
    for application in (status.get("applications") or {}).values():
        for name, told in (application.get("units") or {}).items():
            yield _unit(name, told, told.get("machine", ""))
            for subordinate, inner in (told.get("subordinates") or {}).items():
                yield _unit(subordinate, inner, told.get("machine", ""))


def _unit(name: str, told: Mapping[str, Any], machine: str) -> Unit:
    agent, workload = told.get("agent-status") or {}, told.get("workload-status") or {}
    return Unit(name, machine, bool(told.get("leader")), agent.get("status", ""), workload.get("status", ""), workload.get("info", "") or agent.get("info", ""))


def units(status: Mapping[str, Any], application: str) -> list[Unit]:
    return [unit for unit in _all(status) if unit.name.rpartition("/")[0] == application]


def shows_leaders(status: Mapping[str, Any]) -> bool:
    """Whether anybody leads anything. When Juju could not read its leases it shows no leader at all, and says nothing of it."""
    return any(unit.leader for unit in _all(status))


def _machines(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for identity, told in found.items():
        yield identity, told
        yield from _machines(told.get("containers") or {})


def runs(status: Mapping[str, Any], machine: str, series: str, channel: str) -> bool:
    """Whether Juju has this machine down as running that release. It takes notice of an upgrade only when that is completed."""
    told = dict(_machines(status.get("machines") or {})).get(machine, {})
    base = (told.get("base") or {}).get("channel", "")
    return base.partition("/")[0] == channel if base else told.get("series") == series


def tag(machine: str) -> str:
    return "machine-" + machine.replace("/", "-")


@dataclass(frozen=True)
class Lock:
    """What is known of a machine's upgrade lock. state: Juju's words, None when there is none. trouble: why a new one would be refused."""

    state: Optional[str]
    trouble: Optional[str] = None
    gone: bool = False  # the machine itself

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> Lock:
        """From one result of UpgradeSeriesValidate: it looks for a lock before anything else, and changes nothing."""
        error = result.get("error")
        if not error:
            return cls(None)
        return cls.refused(error.get("message", ""), error.get("code") or "", error.get("info") or {})

    @classmethod
    def refused(cls, message: str, code: str, info: Mapping[str, Any]) -> Lock:
        told = re.search(r'upgrade series lock found for .*in the "([^"]+)" state', message)
        state = info.get("Status") or info.get("status") or (told and told[1])
        return cls(state, None if state else message, code == "not found")


def item(machine: str, version: int, series: str, channel: str, force: bool) -> dict[str, Any]:
    """The argument of Prepare, Complete and Validate. Facades up to 6 speak of series, from 9 on of channels; the two between know both."""
    told: dict[str, Any] = {"tag": {"tag": tag(machine)}, "force": force}
    if version < 9:
        told["series"] = series
    if version > 6:
        told["channel"] = f"{channel}/stable" if channel else ""
    return told
