# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the watcher of one machine is told: from the variables of its host to the spec that its marker keeps.

Private room of the collection, pure. `docs/control_protocol.md` describes the spec.
"""

from __future__ import annotations

import typing as t

# Long enough to close connections and to flush, short enough that a unit that hangs is noticed the same hour.
DRAIN_TIMEOUT = 300

# States in which a marker's upgrade is over; a new upgrade_id may follow.
OVER = frozenset(("COMMITTED", "ABORTED", "ROLLED_BACK", "ROLLBACK_FAILED"))

# Variable -> key of the spec, and what is meant when nobody says anything.
PLAIN: tuple[tuple[str, str, t.Any], ...] = (
    ("series_upgrade_target", "target_series", None),
    ("series_upgrade_method", "method", "debian"),
    ("series_upgrade_command", "command", {}),
    ("series_upgrade_debian", "debian", {}),
    ("series_upgrade_snapshot", "snapshot", {"kind": "none"}),
    ("series_upgrade_grace", "grace", 60),
    ("series_upgrade_interval", "interval", 5),
    ("series_upgrade_allowed_misses", "allowed_misses", 2),
    ("series_upgrade_settle", "settle", 0),
    ("series_upgrade_not_after", "not_after", None),
    ("series_upgrade_reboot", "reboot", True),
    ("series_upgrade_on_failure", "on_failure", "rollback"),
    ("series_upgrade_on_expiry", "on_expiry", "commit_if_healthy"),
    ("upgrade_watcher_allowed_group", "allowed_group", None),
    ("upgrade_watcher_series_file", "series_file", "/etc/os-release"),
)

VARIABLES: tuple[str, ...] = tuple(name for name, key, default in PLAIN) + ("series_upgrade_applications", "series_upgrade_checks")


def spec(
    host: str,
    run: str,
    session: str,
    variables: t.Mapping[str, t.Any],
    marker: t.Mapping[str, t.Any] | None = None,
    source_series: str | None = None,
) -> dict[str, t.Any]:
    """
    The spec of HOST for RUN. VARIABLES holds the host's templated variables by their public names (`VARIABLES`).

    MARKER is what preflight read on the machine ({"state", "upgrade_id", "run", ..} or None). An upgrade of this run that is
    still alive keeps its name, so that arming it again changes nothing; anything else begins a new attempt, named after SESSION.
    """
    result = {key: default if variables.get(name) is None else _typed(name, variables[name], default) for name, key, default in PLAIN}
    misses = result.pop("allowed_misses")
    units = sorted(_units_on(host, variables.get("series_upgrade_applications") or {}))
    result.update(
        upgrade_id=_upgrade_id(host, run, session, marker or {}),
        run=run,
        machine=host,
        source_series=source_series,
        drain=[_drain(host, name, unit, rules) for name, unit, rules in units if rules.get("drain")],
        checks=[
            {"interval": result["interval"], "allowed_misses": misses, **check}
            for check in _checks(host, units, variables.get("series_upgrade_checks") or [])
        ],
    )
    return {key: value for key, value in result.items() if value is not None}


def filled(value: t.Any, words: t.Mapping[str, str]) -> t.Any:
    """
    VALUE with every {word} of WORDS replaced, at any depth.

    Not str.format: these are shell commands, and their own braces (awk '{print $1}', ${HOME}) must stay.
    """
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace("{" + word + "}", text)
        return value
    if isinstance(value, t.Mapping):
        return {key: filled(item, words) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [filled(item, words) for item in value]
    return value


def words_of(host: str, application: str, unit: str) -> dict[str, str]:
    """What a command or check may name of its unit: {unit}, {unit_name} (no slash), {application}, {machine}."""
    return {"unit_name": unit.replace("/", "-"), "unit": unit, "application": application, "machine": host}


def _typed(name: str, value: t.Any, default: t.Any) -> t.Any:
    """VALUE as what DEFAULT is: `-e series_upgrade_reboot=false` arrives as text. Raises ValueError naming the variable."""
    if isinstance(default, bool) and isinstance(value, str):
        try:
            return {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}[value.lower()]
        except KeyError:
            raise ValueError("%s is %r; say true or false." % (name, value)) from None
    if isinstance(default, int) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError("%s is %r; give a number." % (name, value)) from None
    return value


def _units_on(host: str, applications: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, str, t.Mapping[str, t.Any]]]:
    for name, rules in applications.items():
        for unit, machine in rules["units"].items():
            if machine == host:
                yield name, unit, rules


def _drain(host: str, application: str, unit: str, rules: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    words = words_of(host, application, unit)
    return {
        "unit": unit,
        "command": filled(rules["drain"], words),
        "resume": filled(rules.get("resume") or "", words),
        "timeout": rules.get("drain_timeout", DRAIN_TIMEOUT),
    }


def _checks(
    host: str,
    units: t.Sequence[tuple[str, str, t.Mapping[str, t.Any]]],
    machine_wide: t.Sequence[t.Mapping[str, t.Any]],
) -> t.Iterator[dict[str, t.Any]]:
    for check in machine_wide:
        yield filled(check, {"machine": host})
    for application, unit, rules in units:
        for check in rules.get("checks") or []:
            made = filled(check, words_of(host, application, unit))
            # The name is how a person and the journal tell checks apart, so it names its unit.
            yield {**made, "name": made["name"] if unit in made["name"] else "%s: %s" % (unit, made["name"])}


def _upgrade_id(host: str, run: str, session: str, marker: t.Mapping[str, t.Any]) -> str:
    alive = marker.get("state") not in OVER and marker.get("run") == run
    return str(marker["upgrade_id"]) if alive and marker.get("upgrade_id") else "%s/%s/%s" % (run, host, session)
