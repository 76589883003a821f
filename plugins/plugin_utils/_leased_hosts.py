# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts hold which leases: groups and variables for an inventory, from what the endpoint says of units. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Callable, Mapping

ALWAYS = ("leaders", "pinned", "halted", "overdue", "unreadable")   # empty means: certainly none


class Unclear(Exception):
    """It cannot be told which host is meant; one sentence with the next step."""


@dataclasses.dataclass
class Found:
    """Members by group (without its prefix), and variables by host."""

    groups: dict[str, list[str]]
    variables: dict[str, dict[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Which host a unit is. ``given`` by unit; ``applications``: hosts by unit by application; ``compose(expression, variables)`` evaluates ``expression``."""

    given: Mapping[str, str]
    applications: Mapping[str, Mapping[str, str]]
    expression: str | None
    skip: bool
    compose: Callable[[str, dict[str, t.Any]], t.Any]

    def of(self, application: str, unit: str, lease: Mapping[str, t.Any]) -> str | None:
        """None leaves the unit out."""
        host = self.given.get(unit) or self.applications.get(application, {}).get(unit)
        if host:
            return str(host)
        if self.expression:
            try:
                return str(self.compose(self.expression, {"unit": unit, "application": application, "lease": dict(lease)}) or "") or None
            except Exception as trouble:   # whatever a template may raise
                raise Unclear("the expression in host cannot be used for unit %s of %s: %s" % (unit, application, trouble)) from trouble
        if self.skip:
            return None
        raise Unclear("which host is unit %s of %s? Say it in hosts, in series_upgrade_applications or by host (host: unit, when they are called alike); "
                      "unmapped: skip leaves such units out" % (unit, application))

    def named(self, application: str) -> dict[str, str]:
        """Hosts by unit that are known without asking the endpoint."""
        return dict(self.applications.get(application, {}))


def read(applications: t.Any, templar: t.Any) -> dict[str, dict[str, str]]:
    """Hosts by unit by application, of the variable series_upgrade_applications; empty when there is none."""
    if applications is None:
        return {}
    applications = templar.template(applications)
    if not isinstance(applications, Mapping):
        raise Unclear("series_upgrade_applications is no dictionary of applications")
    found = {}
    for name, application in applications.items():
        units = application.get("units") if isinstance(application, Mapping) else None
        if not isinstance(units, Mapping):
            raise Unclear("series_upgrade_applications: %s has no dictionary of units, as {db/0: m1}" % name)
        found[str(name)] = {str(unit): str(host) for unit, host in units.items()}
    return found


def by_host(said: Mapping[str, t.Any], hosts: Hosts, partial: bool) -> Found:
    """``said``: ``leases`` and ``unreadable`` of the endpoint. Raises Unclear."""
    found = Found({name: [] for name in ALWAYS}, {})
    for lease in said["leases"]:
        _one(lease, hosts, found)
    for application, why in said["unreadable"].items():
        if not partial:
            raise Unclear("%s; try again, or say unreadable: group" % why)
        for unit, host in hosts.named(application).items():
            _join(found, "app_" + group_name(application), host)
            _join(found, "unreadable", host)
            _variables(found, host, application, dict.fromkeys(FIELDS, None) | {"unit": unit, "unreadable": why, "pinners": []})
    return found


FIELDS = ("unit", "leads", "holder", "term", "provider", "pinned", "pinners", "halted", "overdue", "unreadable")


def _one(lease: Mapping[str, t.Any], hosts: Hosts, found: Found) -> None:
    name = lease["application"]
    app = "app_" + group_name(name)
    for group in (app, "leader_" + group_name(name), "provider_" + group_name(lease["provider"])):
        found.groups.setdefault(group, [])
    for unit in sorted({*lease["units"], *([lease["holder"]] if lease["holder"] else [])}):
        host = hosts.of(name, unit, lease)
        if host is None:
            continue
        leads = unit == lease["holder"]
        states = {"leaders": leads, "pinned": lease["pinned"], "halted": lease["halted"] is not None, "overdue": lease["overdue"],
                  "leader_" + group_name(name): leads, app: True, "provider_" + group_name(lease["provider"]): True}
        for group, member in states.items():
            if member:
                _join(found, group, host)
        _variables(found, host, name, {
            "unit": unit, "leads": leads, "holder": lease["holder"], "term": lease["term"], "provider": lease["provider"], "pinned": lease["pinned"],
            "pinners": [pin["pinner"] for pin in lease["pins"]], "halted": lease["halted"] is not None, "overdue": lease["overdue"], "unreadable": None})


def _join(found: Found, group: str, host: str) -> None:
    members = found.groups.setdefault(group, [])
    if host not in members:
        members.append(host)


def _variables(found: Found, host: str, application: str, lease: dict[str, t.Any]) -> None:
    kept = found.variables.setdefault(host, {"leases": {}, "lease_applications": [], "lease_leads": [], "lease_pinned": [], "lease_halted": []})
    if not (kept["leases"].get(application) or {}).get("leads"):   # of two units on one host the one that leads is shown
        kept["leases"][application] = lease
    for name, member in (("applications", True), ("leads", lease["leads"]), ("pinned", lease["pinned"]), ("halted", lease["halted"])):
        if member and application not in kept["lease_" + name]:
            kept["lease_" + name].append(application)


def group_name(name: str) -> str:
    """A name as Ansible likes groups to be called."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)
