# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the watcher of one machine is told: from the variables of its host to the spec that its marker keeps.

Private room of the collection, pure. `docs/control_protocol.md` describes the spec.
"""

from __future__ import annotations

import typing as t

from . import _applications

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
    ("series_upgrade_ubuntu", "ubuntu", {}),
    ("series_upgrade_snapshot", "snapshot", {"kind": "none"}),
    ("series_upgrade_grace", "grace", 60),
    ("series_upgrade_interval", "interval", 5),
    ("series_upgrade_allowed_misses", "allowed_misses", 2),
    ("series_upgrade_settle", "settle", 0),
    ("series_upgrade_not_after", "not_after", None),
    ("series_upgrade_retain", "retain", 7),
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
    preflight: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """
    The spec of HOST for RUN. VARIABLES holds the host's templated variables by their public names (`VARIABLES`).

    PREFLIGHT is what the module of that name found on the machine: {"series", "marker": {"state", "upgrade_id", "run", "source_series", ..} or None}.
    An upgrade of this run that is still alive keeps its name and the series it came from, which the machine may have left already, so that
    arming it again changes nothing; anything else begins a new attempt, named after SESSION.
    """
    found = preflight or {}
    alive = _alive(found.get("marker") or {}, run)
    result = {key: default if variables.get(name) is None else _typed(name, variables[name], default) for name, key, default in PLAIN}
    tolerances = {"interval": result["interval"], "allowed_misses": result.pop("allowed_misses")}
    applications = _applications.read(variables.get("series_upgrade_applications"))
    machine_wide = variables.get("series_upgrade_checks") or []
    result.update(
        upgrade_id=alive.get("upgrade_id") or "%s/%s/%s" % (run, host, session),
        run=run,
        machine=host,
        source_series=alive.get("source_series") or found.get("series"),
        drain=[{"timeout": DRAIN_TIMEOUT, **drain} for drain in _applications.drains(applications, host)],
        no_return=_applications.points_of_no_return(applications, host),
        checks=[{**tolerances, **check} for check in [*machine_wide, *_applications.checks(applications, host)]],
    )
    return {key: value for key, value in result.items() if value is not None}


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


def _alive(marker: t.Mapping[str, t.Any], run: str) -> t.Mapping[str, t.Any]:
    """MARKER when it is of an upgrade of RUN that is not over, else nothing."""
    return marker if marker.get("state") not in OVER and marker.get("run") == run else {}
