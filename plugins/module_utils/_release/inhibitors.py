# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What stands against an upgrade, from what was seen of a machine: a pure function, so that every sentence has a test.

Private room of the collection. An inhibitor forbids the upgrade, a warning asks to be read, an info explains what will happen.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, NamedTuple

from . import series, sources
from .machine import Machine, Packages
from .._watcher import states
from .._watcher.protocol import MAX_PATH

INHIBITOR, WARNING, INFO = "inhibitor", "warning", "info"

# Packages, their unpacked files and a snapshot's old blocks: 1.3 to 1.7 GB were seen on small machines.
DEBIAN_NEEDS_MB = 2048
# Journal, logs and the watcher itself.
COMMAND_NEEDS_MB = 64
# A second kernel with its initramfs, while the first one is still there.
BOOT_NEEDS_MB = 300

OLDEST_PYTHON = (3, 8)
SOCKET = "control.sock"

NOTES = "Debian release notes, chapter Upgrades"


class Finding(NamedTuple):
    """id: a fixed word for playbooks. what, why, remedy: one sentence each. source: who says so."""

    id: str
    severity: str
    what: str
    why: str
    remedy: str
    source: str

    def sentence(self) -> str:
        """What is wrong and the next step, as one line."""
        return "{0} {1}".format(self.what, self.remedy).strip()


def findings(machine: Machine, wanted: Mapping[str, Any]) -> List[Finding]:
    """
    Everything that can be said of this machine before it goes to wanted["target"]; wanted: the options of the module preflight.

    A machine that is in the middle of this very upgrade is not asked the questions that only the beginning answers: its dpkg may
    be broken just now, and going on is what mends it.
    """
    found = list(_always(machine, wanted))
    if any(finding.id == "resumes" for finding in found) or machine.release is None or machine.release.codename == wanted["target"]:
        return found
    found += _direction(machine.release.codename, wanted)
    found += _room(machine, wanted)
    if machine.packages is not None:
        found += _packages(machine.packages, wanted)
    return found


def _always(machine: Machine, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    if machine.release is None:
        yield Finding("series_unknown", INHIBITOR, machine.release_problem or "", "Without it nobody can say whether the upgrade has happened.",
                      "Mend the file, or name the right one in upgrade_watcher_series_file.", "")
    if machine.marker_problem:
        yield Finding("marker_damaged", INHIBITOR, "The record of the last upgrade cannot be read: {0}.".format(machine.marker_problem.rstrip(".")),
                      "This machine may be in the middle of an upgrade.",
                      "Look at its journal and its series, then move the state directory {0} away.".format(wanted["state_dir"]), "")
    elif machine.marker is not None:
        yield from _record(machine.marker, wanted)
    path = "{0}/{1}".format(wanted["runtime_dir"].rstrip("/"), SOCKET)
    if len(path.encode()) > MAX_PATH:
        yield Finding("socket_path_long", INHIBITOR, "The path of the control socket, {0}, has {1} bytes.".format(path, len(path.encode())),
                      "A Unix socket's path has at most {0}.".format(MAX_PATH), "Set upgrade_watcher_runtime_dir to a shorter path.", "unix(7)")
    if machine.python < OLDEST_PYTHON:
        yield Finding("python_old", INHIBITOR, "Python is {0}.{1} here.".format(*machine.python), "The watcher needs {0}.{1}.".format(*OLDEST_PYTHON),
                      "Install a newer python3.", "")
    if machine.release is not None and machine.release.codename == wanted["target"]:
        yield Finding("on_target", INFO, "This machine is on {0} already.".format(wanted["target"]), "", "", "")


def _record(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Finding]:
    name = "the upgrade {0} to {1}".format(record.get("upgrade_id"), record.get("target_series"))
    if record.get("state") == states.ROLLBACK_FAILED:
        yield Finding("rollback_failed", INHIBITOR, "The rollback of {0} has failed: {1}.".format(name, str(record.get("reason") or "no reason").rstrip(".")),
                      "What the machine runs now has to be seen by a person.", "Mend it, then roll it back again.", "")
    elif record.get("state") not in states.TERMINAL:
        mine = record.get("target_series") == wanted["target"] and wanted.get("run") in (None, "", record.get("run"))
        if mine:
            yield Finding("resumes", INFO, "This machine is {0} in {1}.".format(record.get("state"), name), "", "The run goes on from there.", "")
        else:
            yield Finding("other_upgrade", INHIBITOR, "This machine is {0} in {1}, which belongs to the run {2}.".format(
                record.get("state"), name, record.get("run")), "Two upgrades of one machine would undo each other.",
                "Let that run end, or commit or roll back this machine.", "")


def _direction(codename: str, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    target = wanted["target"]
    if series.is_successor(codename, target):
        return
    known = series.distribution(codename)
    if known is None and series.distribution(target) is None and wanted["method"] == "command":
        return  # Their own distribution, their own command: there is no order that we know better.
    follows = series.successor(codename)
    if known is None:
        yield Finding("series_unsupported", INHIBITOR, "{0} is no series that we know.".format(codename), "",
                      "Use the method command, with a target of its own kind.", "")
    elif series.distribution(target) is None:
        yield Finding("target_unknown", INHIBITOR, "{0} is no series that we know.".format(target), "",
                      "From {0} the way leads to {1}.".format(codename, follows) if follows else "", "")
    else:
        yield Finding("not_successor", INHIBITOR, "{0} does not follow {1}.".format(target, codename), "Series cannot be skipped, nor gone back by packages.",
                      "Go to {0} first.".format(follows) if follows else "There is no later series yet.", NOTES)


def _room(machine: Machine, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    default = DEBIAN_NEEDS_MB if wanted["method"] == "debian" else COMMAND_NEEDS_MB
    least = default if wanted.get("min_free_mb") is None else wanted["min_free_mb"]
    for place, free in sorted(machine.free_mb.items()):
        needed = min(least, BOOT_NEEDS_MB) if place == "/boot" else least
        if free < needed:
            yield Finding("disk_small", INHIBITOR, "{0} MB are free for {1}, and {2} MB are needed.".format(free, place, needed),
                          "An upgrade that fills the disk stops in the middle.", "Make room (apt-get clean), or lower preflight_min_free_mb.", NOTES)
    if machine.snapshot_problem:
        yield Finding("snapshot_impossible", INHIBITOR, machine.snapshot_problem, "Without it there is no way back.", "", "")
    for note in machine.snapshot_notes:
        yield Finding("snapshot_partial", WARNING, note, "A rollback leaves it as it then is.", "Make sure that it may stay.", "")
    if machine.packages is not None and ((wanted.get("snapshot") or {}).get("kind") or "none") == "none":
        yield Finding("no_snapshot", WARNING, "No snapshot will be taken.", "Packages do not go back, so a failed upgrade cannot be rolled back.",
                      "Set series_upgrade_snapshot if the machine can be snapshotted.", NOTES)


def _packages(packages: Packages, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    def stands(condition: Any, id_: str, what: str, why: str, remedy: str, severity: str = INHIBITOR, source: str = NOTES) -> Iterator[Finding]:
        if condition:
            yield Finding(id_, severity, what, why, remedy, source)

    target = wanted["target"]
    yield from stands(not packages.is_root, "not_root", "We are not root here.", "Only root may change packages.", "Set become: true.", source="")
    yield from stands(packages.architecture == "i386" and target in ("trixie", "forky", "duke"), "i386", "This machine is i386.",
                      "{0} has no kernel for it.".format(target), "Move it to amd64 instead.")
    yield from stands(packages.audit, "dpkg_broken", "dpkg is not content: {0}".format(" ".join(packages.audit.split())[:200].rstrip(".") + "."),
                      "An upgrade begins with whole packages.", "Run `dpkg --configure -a` and `apt-get --fix-broken install`.")
    yield from stands(packages.held, "held", "Held packages: {0}.".format(", ".join(packages.held)), "A held package can stop all that need its successor.",
                      "Release them with `apt-mark unhold`, or take them away.")
    yield from stands(packages.reboot_required, "reboot_required", "A reboot is due (/run/reboot-required).",
                      "The upgrade should begin on what is installed.", "Reboot this machine first.")
    yield from stands(packages.preferences, "preferences", "Preferences of apt are changed in {0}.".format(", ".join(packages.preferences)),
                      "Pinned packages may hold back the upgrade.", "Read them, and take away what was for the old series.", WARNING)
    yield from stands(packages.old_ssh, "old_ssh", "The openssh-server here is {0}.".format(packages.old_ssh),
                      "New logins fail for a while during the upgrade; the run waits for them.", "Upgrade it within its series first.", WARNING)
    yield from stands(packages.held_by, "apt_busy", "Process {0} holds apt just now.".format(packages.held_by), "", "The upgrade will wait for it.", INFO, "")
    yield from stands(packages.moves and not sources.leads_to(packages.moves, target) or not packages.moves, "no_source",
                      "No apt source of this machine leads to {0}.".format(target), "", "Say in series_upgrade_debian.sources which of them follow it.")
    for change in packages.moves:
        yield from stands(change.action == "disabled", "source_disabled", "The source {0} {1} will be disabled.".format(change.uri, " ".join(change.suites)),
                          "{0}{1}.".format(change.why[:1].upper(), change.why[1:]), "Say in series_upgrade_debian.sources what becomes of it.", WARNING)
