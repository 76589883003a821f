# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings that the operator knows of and goes on with: series_upgrade_accepted_findings, read and applied. Private room of the collection, pure."""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from .finding import INHIBITOR, Kind


class Unknown(ValueError):
    """series_upgrade_accepted_findings cannot be used; the text says what to write instead."""


class Accepted(NamedTuple):
    """machine: None for every machine. reason: "" when none was given."""

    id: str
    machine: Optional[str]
    reason: str


def read(given: Any, kinds: Mapping[str, Kind]) -> List[Accepted]:
    """GIVEN: a list of ids and of {id, machine, reason}; machine and reason may be left out. Raises Unknown, in one sentence for all that is wrong."""
    if given is None:
        return []
    if isinstance(given, (str, Mapping)) or not hasattr(given, "__iter__"):
        raise Unknown("series_upgrade_accepted_findings is no list; write a list of ids, or of {id, machine, reason}.")
    problems, found = [], []
    for entry in given:
        entry = {"id": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str) or set(entry) - {"id", "machine", "reason"}:
            problems.append("{0!r} is neither an id nor {{id, machine, reason}}".format(entry))
            continue
        id_ = str(entry["id"])
        if id_ not in kinds:
            close = difflib.get_close_matches(id_, kinds, 1)
            problems.append("{0} is no finding{1}".format(id_, ", perhaps {0} is meant".format(close[0]) if close else ""))
        elif kinds[id_].severity == INHIBITOR and not kinds[id_].acceptable:
            problems.append("{0} cannot be accepted, for the upgrade could not work; put it right".format(id_))
        else:
            machine = entry.get("machine")
            found.append(Accepted(id_, None if machine in (None, "") else str(machine), str(entry.get("reason") or "")))
    if problems:
        raise Unknown("series_upgrade_accepted_findings cannot be used: {0}.".format("; ".join(problems)))
    return found


def apply(findings: List[Dict[str, Any]], accepted: List[Accepted], machine: str) -> List[Dict[str, Any]]:
    """FINDINGS of MACHINE, each with its `machine` and with `accepted`: None, or {"reason"}."""
    mine = {entry.id: {"reason": entry.reason} for entry in accepted if entry.machine in (None, machine)}
    return [dict(finding, machine=machine, accepted=mine.get(finding["id"])) for finding in findings]
