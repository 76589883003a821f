# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a machine is like before its upgrade. Only looks, and takes a snapshot for a moment when that is to be proved: nothing else here
writes, locks or asks the network. Private room of the collection.

What cannot be found out is kept as a sentence beside what could be (release_problem, marker_problem): it is not the same as "no".
"""

from __future__ import annotations

import os
import platform
import re
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import apt, kept, os_release, sources
from .._snapshot import proof, registry
from .._watcher import marker, programs, states
from .._watcher.steps import Result, StepFailed
from .said import said

Run = Callable[..., Result]

# Methods that upgrade by apt and dpkg.
BY_PACKAGES = ("debian", "ubuntu")
# From this version on logins go on working while openssh-server is being replaced (release notes of Debian 13).
SSH_THAT_SURVIVES = "1:9.2p1-2+deb12u7"


class Packages(NamedTuple):
    """What the methods debian and ubuntu want to know. audit: what dpkg complains of, "" when content. moves: what becomes of the sources."""

    is_root: bool
    architecture: str
    audit: str
    held: List[str]
    preferences: List[str]
    reboot_required: bool
    old_ssh: str
    held_by: Optional[int]
    moves: List[sources.Change]


class Machine(NamedTuple):
    """release: None with release_problem when unknown. marker: the watcher's record, None when there is none or marker_problem."""

    release: Optional[os_release.Release]
    release_problem: Optional[str]
    marker: Optional[Dict[str, Any]]
    marker_problem: Optional[str]
    boot_id: str
    python: Tuple[int, int]
    free_mb: Dict[str, int]
    snapshot_problem: Optional[str]
    snapshot_notes: List[str]
    packages: Optional[Packages]


def look(wanted: Mapping[str, Any], run: Run = programs.run, etc: str = "/etc", proc: str = "/proc") -> Machine:
    """The machine as it is now. wanted: the options of the module preflight. Raises StepFailed for an unknown kind of snapshot."""
    release, release_problem = _or_problem(lambda: os_release.read(wanted["series_file"]), StepFailed)
    record, marker_problem = _or_problem(lambda: record_in(wanted["state_dir"]), marker.Damaged)
    snapshot = registry.kind(wanted.get("snapshot"), run)
    problem = snapshot.check()
    if problem is None and wanted.get("prove_snapshot") and _is_before(release, record, marker_problem, wanted["target"]):
        problem = proof.prove(snapshot)
    packages = None
    if wanted["method"] in BY_PACKAGES:
        packages = _packages(release, wanted, run, etc)
    return Machine(
        release=release,
        release_problem=release_problem,
        marker=record,
        marker_problem=marker_problem,
        boot_id=boot_id(proc),
        python=(sys.version_info[0], sys.version_info[1]),
        free_mb=_free(wanted),
        snapshot_problem=problem,
        snapshot_notes=[] if problem else snapshot.notes(),
        packages=packages,
    )


def _is_before(release: Optional[os_release.Release], record: Optional[Dict[str, Any]], marker_problem: Optional[str], target: str) -> bool:
    """Whether an upgrade lies ahead of this machine. In the middle of one, or after it, a snapshot more would only be in the way."""
    under_way = marker_problem is not None or (record is not None and record.get("state") not in states.TERMINAL)
    return release is not None and release.codename != target and not under_way


def record_in(state_dir: str) -> Optional[Dict[str, Any]]:
    """
    What the watcher's marker says, in short: state, generation, upgrade_id, run, machine, source_series, target_series and reason.
    None when there is no marker; raises marker.Damaged when there is one that cannot be read.
    """
    record = marker.Marker(state_dir).read()
    if record is None:
        return None
    told = dict(record.get("spec") or {}, **record)
    return {key: told.get(key) for key in ("state", "generation", "upgrade_id", "run", "machine", "source_series", "target_series", "reason")}


def boot_id(proc: str = "/proc") -> str:
    """What names this boot of the machine; a new one proves that it was down in between."""
    with open(os.path.join(proc, "sys/kernel/random/boot_id"), encoding="ascii") as file:
        return file.read().strip()


def _or_problem(ask: Callable[[], Any], error: Any) -> Tuple[Any, Optional[str]]:
    try:
        return ask(), None
    except error as problem:
        return None, str(problem)


def _free(wanted: Mapping[str, Any]) -> Dict[str, int]:
    """MB that are free, by the place that needs them; one place for each file system."""
    places = [wanted["state_dir"]] + (["/", "/usr", "/var/cache/apt/archives", "/boot"] if wanted["method"] in BY_PACKAGES else [])
    seen, free = set(), {}
    for place in places:
        there = _existing(place)
        device = os.stat(there).st_dev
        if device not in seen:
            seen.add(device)
            found = os.statvfs(there)
            free[place] = found.f_bavail * found.f_frsize // (1024 * 1024)
    return free


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _packages(release: Optional[os_release.Release], wanted: Mapping[str, Any], run: Run, etc: str) -> Packages:
    audit = run(["dpkg", "--audit"])
    wants = run(["dpkg-query", "--show", "--showformat", "${db:Status-Want} ${Package}\n"])
    folder = os.path.join(etc, "apt", "preferences.d")
    named = [os.path.join(folder, name) for name in (sorted(os.listdir(folder)) if os.path.isdir(folder) else [])]
    return Packages(
        is_root=os.geteuid() == 0,
        architecture=run(["dpkg", "--print-architecture"]).out.strip() or platform.machine(),
        audit=audit.out.strip() if audit.rc == 0 else said(audit),
        held=sorted(re.findall(r"^hold (\S+)$", wants.out, re.MULTILINE)),
        preferences=[path for path in [os.path.join(etc, "apt", "preferences")] + named if os.path.isfile(path)],
        reboot_required=os.path.exists("/run/reboot-required"),
        old_ssh=_old_ssh(run) if release is not None and release.codename == "bookworm" else "",
        held_by=next((pid for pid in map(apt.holder, apt.APT_LOCKS) if pid is not None), None) if os.geteuid() == 0 else None,
        moves=_moves(release, wanted, etc),
    )


def _old_ssh(run: Run) -> str:
    """The version of openssh-server when it is one that locks people out during the upgrade, else ""."""
    shown = run(["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}", "openssh-server"])
    status, _blank, version = shown.out.partition(" ")
    if shown.rc != 0 or status != "installed":
        return ""
    return version if run(["dpkg", "--compare-versions", version, "lt", SSH_THAT_SURVIVES]).rc == 0 else ""


def _moves(release: Optional[os_release.Release], wanted: Mapping[str, Any], etc: str) -> List[sources.Change]:
    if release is None:
        return []
    texts = {}
    for path in kept.sources(os.path.join(etc, "apt")):
        texts[path] = kept.text(kept.look(os.path.realpath(path)))
    rules = (wanted.get(wanted["method"]) or {}).get("sources")
    return sources.plan(texts, release.codename, wanted["target"], rules)[1]
