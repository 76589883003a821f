# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one machine is asked to do. The spec comes from the controller, is checked once at arm time and then lives in the marker."""

from __future__ import annotations

import re
from typing import Any, Dict, List

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:+/@-]{0,200}$")
CHECK_NEEDS = {"command": ("command",), "systemd": ("unit",), "tcp": ("port",), "http": ("url",)}
CHECK_KEYS = {
    "name", "kind", "command", "unit", "host", "port", "url", "status", "timeout", "interval", "allowed_misses", "required",
}
DEFAULTS: Dict[str, Any] = {
    "command": {},
    "snapshot": {"kind": "none"},
    "drain": [],
    "checks": [],
    "no_return": [],
    "grace": 60,
    "interval": 5,
    "allowed_misses": 2,
    "settle": 0,
    "not_after": None,
    "reboot": True,
    "on_failure": "rollback",
    "on_expiry": "commit_if_healthy",
    "allowed_group": None,
    "series_file": "/etc/os-release",
    "retain": 7,
}
# Names of checks that are the watcher's own.
RESERVED = ("series", "failed units", "new ssh logins")
# Keys that belong to one method and are checked by it.
METHOD_KEYS = ("debian", "ubuntu")
NEEDED = ("upgrade_id", "run", "machine", "source_series", "target_series", "method")
DRAIN_TIMEOUT = 300
MOST_SECONDS = 1e9


class SpecError(Exception):
    """The spec cannot be carried out; one sentence that says what to change."""


def checked(spec: Dict[str, Any]) -> Dict[str, Any]:
    """The spec with its defaults filled in. Raises SpecError."""
    unknown = sorted(set(spec) - set(DEFAULTS) - set(NEEDED) - set(METHOD_KEYS))
    if unknown:
        raise SpecError("the spec has unknown keys: {0}".format(", ".join(unknown)))
    whole = dict(DEFAULTS, **{key: value for key, value in spec.items() if value is not None})
    for key in NEEDED:
        if not isinstance(whole.get(key), str) or not NAME.match(whole[key]):
            raise SpecError("{0} must be a word of letters, digits and . _ : + / @ -, not {1!r}".format(key, whole.get(key)))
    if whole["source_series"] == whole["target_series"]:
        raise SpecError("source_series and target_series are both {0}".format(whole["source_series"]))
    for key, least in (("grace", 0), ("interval", 0.05), ("allowed_misses", 0), ("settle", 0), ("not_after", 0), ("retain", 0)):
        _number(whole, key, least, optional=key == "not_after")
    _choice(whole, "on_failure", ("rollback", "hold"))
    _choice(whole, "on_expiry", ("commit_if_healthy", "hold", "rollback"))
    for key in ("command", "snapshot") + METHOD_KEYS:
        if not isinstance(whole.get(key, {}), dict):
            raise SpecError("{0} must be a dictionary, not {1!r}".format(key, whole[key]))
    for key in ("upgrade", "rollback"):
        _text(whole["command"], key, "the command")
    for key in ("kind", "create", "revert", "drop"):
        _text(whole["snapshot"], key, "the snapshot's")
    _text(whole, "allowed_group", "the")
    _text(whole, "series_file", "the")
    if not isinstance(whole["reboot"], bool):
        raise SpecError("reboot is true or false")
    whole["drain"] = [_drain(item) for item in _dicts(whole, "drain")]
    whole["checks"] = [_check(item, whole) for item in _dicts(whole, "checks")]
    whole["no_return"] = [_no_return(item) for item in _dicts(whole, "no_return")]
    names = [check["name"] for check in whole["checks"]]
    if len(set(names)) < len(names) or set(names) & set(RESERVED):
        raise SpecError("check names must differ from each other and from {0}, which the watcher checks by itself".format(
            ", ".join(repr(name) for name in RESERVED)))
    # With a shorter grace a unit that never answers could be committed before its misses are counted.
    least = max([(check["allowed_misses"] + 1) * check["interval"] for check in whole["checks"]] or [0])
    if whole["grace"] < least:
        raise SpecError("grace is {0} s, but the checks need (allowed misses + 1) x interval = {1} s to notice a failure; raise grace or lower these"
                        .format(whole["grace"], least))
    return whole


def _number(whole: Dict[str, Any], key: str, least: float, optional: bool = False) -> None:
    value = whole[key]
    if value is None and optional:
        return
    # The other way round, what is no number at all would pass.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= MOST_SECONDS:
        raise SpecError("{0} must be a number of at least {1}, not {2!r}".format(key, least, value))


def _text(whole: Dict[str, Any], key: str, about: str) -> None:
    if whole.get(key) is not None and not isinstance(whole[key], str):
        raise SpecError("{0} {1} must be a text, not {2!r}".format(about, key, whole[key]))


def _choice(whole: Dict[str, Any], key: str, choices: Any) -> None:
    if whole[key] not in choices:
        raise SpecError("{0} is one of {1}, not {2!r}".format(key, ", ".join(choices), whole[key]))


def _dicts(whole: Dict[str, Any], key: str) -> List[Dict[str, Any]]:
    value = whole[key]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise SpecError("{0} must be a list of dictionaries".format(key))
    return value


def _drain(item: Dict[str, Any]) -> Dict[str, Any]:
    unit = item.get("unit")
    unknown = sorted(set(item) - {"unit", "command", "resume", "timeout"})
    if unknown:
        raise SpecError("drain of {0!r} has unknown keys: {1}".format(unit, ", ".join(unknown)))
    if not isinstance(unit, str) or not unit:
        raise SpecError("every item of drain names its unit")
    whole = {"unit": unit, "command": item.get("command"), "resume": item.get("resume"), "timeout": item.get("timeout") or DRAIN_TIMEOUT}
    for key in ("command", "resume"):
        if whole[key] is not None and not isinstance(whole[key], str):
            raise SpecError("{0} of the drain of {1} must be a shell command".format(key, unit))
    _number(whole, "timeout", 1)
    return whole


def _no_return(item: Dict[str, Any]) -> Dict[str, Any]:
    application = item.get("application")
    unknown = sorted(set(item) - {"application", "command", "reason"})
    if unknown:
        raise SpecError("the point of no return of {0!r} has unknown keys: {1}".format(application, ", ".join(unknown)))
    for key in ("application", "command", "reason"):
        if not isinstance(item.get(key), str) or not item[key]:
            raise SpecError("the point of no return of {0!r} needs {1}, a text".format(application, key))
    return dict(item)


def _check(item: Dict[str, Any], spec: Dict[str, Any]) -> Dict[str, Any]:
    name, kind = item.get("name"), item.get("kind")
    if not isinstance(name, str) or not name:
        raise SpecError("every check has a name")
    if not isinstance(kind, str) or kind not in CHECK_NEEDS:
        raise SpecError("check {0!r}: kind is one of {1}, not {2!r}".format(name, ", ".join(sorted(CHECK_NEEDS)), kind))
    unknown = sorted(set(item) - CHECK_KEYS)
    if unknown:
        raise SpecError("check {0!r} has unknown keys: {1}".format(name, ", ".join(unknown)))
    for key in CHECK_NEEDS[kind]:
        if not item.get(key):
            raise SpecError("check {0!r} of kind {1} needs {2}".format(name, kind, key))
    whole = dict({"timeout": 5, "interval": spec["interval"], "allowed_misses": spec["allowed_misses"], "required": True, "host": "127.0.0.1"},
                 **{key: value for key, value in item.items() if value is not None})
    for key, least in (("timeout", 0.05), ("interval", 0.05), ("allowed_misses", 0)):
        _number(whole, key, least)
    for key in ("command", "unit", "host", "url"):
        _text(whole, key, "check {0!r}:".format(name))
    if kind == "tcp" and (isinstance(whole["port"], bool) or not str(whole["port"]).isdigit() or not 0 < int(whole["port"]) < 65536):
        raise SpecError("check {0!r}: port must be a number from 1 to 65535".format(name))
    if not isinstance(whole["required"], bool):
        raise SpecError("check {0!r}: required is true or false".format(name))
    return whole
