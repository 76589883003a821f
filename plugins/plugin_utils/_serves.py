# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the applications on a machine need of it, as words that may lie in a log: units of systemd, programs and ports; never a whole command,
which may hold a password.

Private room of the collection, pure.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ._applications import ApplicationsError, read

UNIT = re.compile(r"^[A-Za-z0-9:_.\\@-]+\.(?:service|socket|timer|target|mount|path)$")
# Words that stand before the program that is meant.
BEFORE = ("sudo", "env", "exec", "nice", "ionice", "timeout", "runuser", "su", "if", "then", "while", "until", "do", "!")
NOTHING = {"units": [], "programs": [], "ports": []}


def needs(applications: t.Any, machine: str) -> dict[str, list[t.Any]]:
    """{"units", "programs", "ports"} for MACHINE. Applications that cannot be read need nothing here: the plan says what is wrong with them."""
    try:
        known = read(applications or {})
    except ApplicationsError:
        return {key: list(value) for key, value in NOTHING.items()}
    units: set[str] = set()
    programs: set[str] = set()
    ports: set[int] = set()
    for application in known.values():
        for unit in application.units_on([machine]):
            texts = [application.fill(text, unit) for text in (application.drain, application.resume) if text]
            for check in application.checks:
                given = {key: application.fill(value, unit) if isinstance(value, str) else value for key, value in check.items()}
                units.update([given["unit"]] if given.get("kind") == "systemd" else [])
                texts += [given["command"]] if given.get("kind") == "command" else []
                ports.update(_port(given))
            for text in texts:
                found = words(text)
                units.update(found[0])
                programs.update(found[1])
    return {"units": sorted(units), "programs": sorted(programs), "ports": sorted(ports)}


def words(command: str) -> tuple[list[str], list[str]]:
    """(units, programs) that a shell command names; what cannot be taken apart names none."""
    try:
        parts = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    except ValueError:
        return [], []
    units, programs, first = [], [], True
    for part in parts:
        if re.fullmatch(r"[();<>|&]+", part):
            first = not re.fullmatch(r"[<>]+&?", part)
        elif first and (part in BEFORE or re.fullmatch(r"\w+=.*", part)):
            continue
        elif first:
            first = False
            if re.fullmatch(r"[A-Za-z0-9_./+-]+", part):
                programs.append(part)
        elif UNIT.match(part):
            units.append(part)
    return units, programs


def _port(check: t.Mapping[str, t.Any]) -> list[int]:
    if check.get("kind") == "tcp" and check.get("host", "127.0.0.1") in ("127.0.0.1", "localhost", "::1"):
        return [int(check["port"])] if str(check.get("port")).isdigit() else []
    match = re.match(r"^http(s?)://(?:127\.0\.0\.1|localhost|\[::1\])(?::(\d+))?(?:/|$)", str(check.get("url") or "")) if check.get("kind") == "http" else None
    return [int(match.group(2) or (443 if match.group(1) else 80))] if match else []
