# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine, looked at by everybody: its state, all rooms, and what the target would change. Private room of the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from .._release import kept, machine
from .._release.debian import PROTECTED
from .._release.methods import METHODS
from .._watcher.steps import StepFailed
from . import foreseen, isolated, rooms, state, target
from .finding import Finding, Wanted
from .system import System


class Survey(NamedTuple):
    """prediction: None where none was asked for or possible."""

    machine: machine.Machine
    findings: List[Finding]
    prediction: Optional[target.Prediction]


def survey(options: Mapping[str, Any], system: Optional[System] = None) -> Survey:
    """OPTIONS: those of the module preflight. Raises StepFailed for an unknown kind of snapshot."""
    system = system or System()
    seen = machine.look(options, system.run)
    found = state.findings(seen, options) + _options(options, seen)
    if not state.is_ahead(found) or seen.packages is None or seen.release is None:
        return Survey(seen, found, None)
    wanted = _wanted(options, seen.release.codename)
    found += rooms.findings(system, wanted)
    prediction = None
    # On the way to a series that is not the next one, or without a source that leads there, there is nothing to predict.
    if options.get("predict") and not {finding.id for finding in found} & {"not_successor", "target_unknown", "series_unsupported", "no_source"}:
        # Ubuntu's upgrader heeds the machine's own pins; the method debian only those that are named.
        method = dict({"pins": ["*"]} if options["method"] == "ubuntu" else {}, **(options.get(options["method"]) or {}))
        prediction = target.look(system, wanted, _texts(system), method, options["state_dir"],
                                 isolated.given(options.get("predict_timeout")), bool(options.get("fetch")))
        found += foreseen.findings(prediction, wanted, wanted.protect + PROTECTED)
        if prediction.whole and wanted.min_free_mb is None:
            # What was a guess is known now.
            found = [finding for finding in found if finding.id != "disk_small"]
    return Survey(seen, found, prediction)


def _options(options: Mapping[str, Any], seen: machine.Machine) -> List[Finding]:
    """What the method itself says of its options, before anything is armed."""
    name = options["method"]
    made = METHODS.get(name)
    if made is None or name == "command":
        return []
    try:
        made({name: options.get(name) or {}, "source_series": seen.release.codename if seen.release else None, "target_series": options["target"]})
    except StepFailed as problem:
        return [state.find("options_wrong", str(problem), "The upgrade would refuse them.", "")]
    return []


def _wanted(options: Mapping[str, Any], start: str) -> Wanted:
    return Wanted(
        start=start, target=options["target"], snapshot=(options.get("snapshot") or {}).get("kind") or "none", min_free_mb=options.get("min_free_mb"),
        protect=tuple((options.get(options["method"]) or {}).get("protect") or ()), serves=options.get("serves") or {},
    )


def _texts(system: System) -> Dict[str, str]:
    found = {}
    for path in kept.sources(system.path("/etc/apt")):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found[path] = file.read()
    return found
