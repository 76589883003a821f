# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The applications of an inventory: read once, checked whole, then plain values.

Pure. ``read(series_upgrade_applications)`` turns the variable into :class:`Application` values or raises
:class:`ApplicationsError`, whose message holds one sentence for each thing that is wrong.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

ORDERS = ("leader_last", "leader_first", "any")
LEADERS = ("hold", "handover")
NO_RETURN_RULES = ("last_machine",)
CHECK_KINDS = {"command": "command", "systemd": "unit", "tcp": "port", "http": "url"}   # kind: the option it cannot do without
CHECK_OPTIONS = {
    "name", "kind", "command", "unit", "host", "port", "url", "status", "timeout", "interval", "allowed_misses", "required",
}


class ApplicationsError(ValueError):
    """``series_upgrade_applications`` cannot be used; the message says what to write instead."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


@dataclasses.dataclass(frozen=True)
class Application:
    """One clustered service: its units by name, each on a machine, and the rules its operator gave."""

    name: str
    units: Mapping[str, str]
    order: str = "leader_last"
    leader: str = "hold"
    max_unavailable: int = 1
    min_healthy: int = 0
    drain: str = ""
    resume: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    no_return: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def machines(self) -> list[str]:
        return sorted(set(self.units.values()), key=natural)

    def units_on(self, machines: Iterable[str]) -> list[str]:
        wanted = set(machines)
        return sorted((unit for unit, machine in self.units.items() if machine in wanted), key=natural)

    def as_dict(self) -> dict[str, Any]:
        """The same shape as the variable it was read from, with every default written out; a point of no return only where there is one."""
        answer = dataclasses.asdict(self)
        answer.pop("name")
        answer["units"] = dict(sorted(self.units.items()))
        answer["checks"] = [dict(check) for check in self.checks]
        answer["no_return"] = dict(self.no_return)
        if not self.no_return:
            del answer["no_return"]
        return answer

    def fill(self, text: str, unit: str) -> str:
        """Puts a unit's names into a command or a check. Other braces are the shell's and stay."""
        names = {"unit": unit, "application": self.name, "machine": self.units[unit], "unit_name": unit.replace("/", "-")}
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        return text


def read(variable: Any) -> dict[str, Application]:
    """Applications by name. An empty variable is an empty fleet: machines without applications may be upgraded too."""
    if not variable:
        return {}
    if not isinstance(variable, Mapping):
        raise ApplicationsError("series_upgrade_applications must map application names to their units, not be a %s" % _kind(variable))
    problems: list[str] = []
    applications = {}
    for name, given in sorted(variable.items(), key=lambda item: str(item[0])):
        applications[str(name)] = _application(str(name), given, problems)
    if problems:
        raise ApplicationsError(" ".join(problems))
    return applications


def drains(applications: Mapping[str, Application], machine: str) -> list[dict[str, str]]:
    """What to run before a machine is upgraded, and what undoes it: one entry for each unit that asks for it."""
    return [
        {"unit": unit, "command": application.fill(application.drain, unit), "resume": application.fill(application.resume, unit)}
        for application in applications.values() for unit in application.units_on([machine]) if application.drain or application.resume
    ]


def points_of_no_return(applications: Mapping[str, Application], machine: str) -> list[dict[str, str]]:
    """What the watcher asks before it takes a machine back: for each unit whose application has a command for that. A rule is the plan's to keep."""
    return [
        {"application": application.name, **{key: application.fill(application.no_return[key], unit) for key in ("command", "reason")}}
        for application in applications.values() for unit in application.units_on([machine]) if "command" in application.no_return
    ]


def checks(applications: Mapping[str, Application], machine: str) -> list[dict[str, Any]]:
    """The health checks of a machine's units, filled in. Names are made unique by the unit when they would clash."""
    found: list[dict[str, Any]] = []
    for application in applications.values():
        units = application.units_on([machine])
        for unit in units:
            for check in application.checks:
                filled = {key: application.fill(value, unit) if isinstance(value, str) else value for key, value in check.items()}
                if len(units) > 1 and filled["name"] == check["name"]:
                    filled["name"] = "%s (%s)" % (filled["name"], unit)
                found.append(filled)
    return found


def natural(name: str) -> list[Any]:
    """Sorts m2 before m10, as people do."""
    return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", name)]


def _application(name: str, given: Any, problems: list[str]) -> Application:
    say = problems.append
    if not isinstance(given, Mapping):
        say("Application %s must be a mapping with units, not a %s." % (name, _kind(given)))
        return Application(name, {})
    known = [field.name for field in dataclasses.fields(Application) if field.name != "name"]
    for key in sorted(str(key) for key in given if str(key) not in known):
        say("Application %s has an option %s, which does not exist; there are %s." % (name, key, ", ".join(known)))
    units = _units(name, given.get("units"), say)
    max_unavailable = _number(name, "max_unavailable", given.get("max_unavailable", 1), 1, say)
    default = max(0, len(units) - max_unavailable)
    min_healthy = _number(name, "min_healthy", given.get("min_healthy", default), 0, say)
    application = Application(
        name, units,
        order=_word(name, "order", given.get("order", "leader_last"), ORDERS, say),
        leader=_word(name, "leader", given.get("leader", "hold"), LEADERS, say),
        max_unavailable=max_unavailable, min_healthy=min_healthy,
        drain=_text(name, "drain", given.get("drain"), say), resume=_text(name, "resume", given.get("resume"), say),
        checks=_checks(name, given.get("checks"), say), no_return=_no_return(name, given.get("no_return"), say),
    )
    _possible(application, say)
    return application


def _possible(application: Application, say: Any) -> None:
    """Rules that no order of machines could keep are the operator's mistake, and best told before anything is asked."""
    total = len(application.units)
    for machine in application.machines:
        here = application.units_on([machine])
        if len(here) > application.max_unavailable:
            say("%s carries %d units of %s (%s), which is more than its max_unavailable of %d; raise it or move a unit." % (
                machine, len(here), application.name, ", ".join(here), application.max_unavailable))
        elif total - len(here) < application.min_healthy:
            say("%s has %d units and min_healthy %d, so %s could never go; lower min_healthy to %d or add a unit." % (
                application.name, total, application.min_healthy, machine, total - len(here)))


def _units(name: str, given: Any, say: Any) -> dict[str, str]:
    if not isinstance(given, Mapping) or not given:
        say("Application %s needs units, a mapping of unit names to inventory hosts, like {%s/0: host1}." % (name, name))
        return {}
    units = {}
    for unit, machine in given.items():
        if not isinstance(unit, str) or not unit or not isinstance(machine, str) or not machine:
            say("Application %s has the unit %r on %r; both must be names, so put them in quotes." % (name, unit, machine))
            continue
        units[str(unit)] = str(machine)
    return units


def _number(name: str, option: str, given: Any, least: int, say: Any) -> int:
    number = int(given) if isinstance(given, str) and given.isdecimal() else given   # surveys and -e give strings
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        say("%s of application %s is %r; it must be a whole number of at least %d." % (option, name, given, least))
        return least
    return int(number)


def _word(name: str, option: str, given: Any, allowed: tuple[str, ...], say: Any) -> str:
    if given not in allowed:
        say("%s of application %s is %r; it must be one of %s." % (option, name, given, ", ".join(allowed)))
        return allowed[0]
    return str(given)


def _text(name: str, option: str, given: Any, say: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        say("%s of application %s must be a shell command in one string, not a %s." % (option, name, _kind(given)))
        return ""
    return str(given)


def _no_return(name: str, given: Any, say: Any) -> Mapping[str, str]:
    if not given:
        return {}
    known = isinstance(given, Mapping) and "reason" in given and len(given) > 1 and set(given) <= {"command", "rule", "reason"}
    if not known or not all(isinstance(text, str) and text for text in given.values()):
        say("no_return of application %s needs texts: reason, and command, which ends with 0 once the point is passed, or rule, or both." % name)
        return {}
    if "rule" in given:
        _word(name, "no_return.rule", given["rule"], NO_RETURN_RULES, say)
    return {str(key): str(text) for key, text in given.items()}


def _checks(name: str, given: Any, say: Any) -> tuple[Mapping[str, Any], ...]:
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        say("checks of application %s must be a list, not a %s." % (name, _kind(given)))
        return ()
    for problem in check_problems(given):
        say("Application %s: %s" % (name, problem))
    return tuple({str(key): value for key, value in check.items()} for check in given if isinstance(check, Mapping) and "name" in check)


def check_problems(given: Iterable[Any]) -> list[str]:
    """What is wrong with a list of health checks; also for ``series_upgrade_checks``, which belong to no application."""
    problems = []
    for number, check in enumerate(given, start=1):
        if not isinstance(check, Mapping) or not isinstance(check.get("name"), str):
            problems.append("check number %d needs a name." % number)
            continue
        kind = check.get("kind")
        if kind not in CHECK_KINDS:
            problems.append("check %s is of kind %r; it must be one of %s." % (check["name"], kind, ", ".join(CHECK_KINDS)))
        elif CHECK_KINDS[kind] not in check:
            problems.append("check %s of kind %s needs %s." % (check["name"], kind, CHECK_KINDS[kind]))
        for key in sorted(str(key) for key in check if str(key) not in CHECK_OPTIONS):
            problems.append("check %s has an option %s, which does not exist; there are %s." % (check["name"], key, ", ".join(sorted(CHECK_OPTIONS))))
    return problems


def _kind(value: Any) -> str:
    for kind, word in ((str, "string"), (bool, "truth value"), ((int, float), "number"), ((list, tuple), "list"), (Mapping, "mapping")):
        if isinstance(value, kind):   # type: ignore[arg-type]
            return word
    return type(value).__name__
