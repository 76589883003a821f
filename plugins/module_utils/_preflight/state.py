# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the state of a machine says against an upgrade: its series and record, room, packages. Private room of the collection, pure.

It judges what _release/machine.py has seen, and is asked of every machine, also of one in the middle of its upgrade.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping

from .._release import series, sources
from .._release.machine import Machine, Packages
from .._watcher import states
from .._watcher.protocol import MAX_PATH
from .finding import INFO, INHIBITOR, UPGRADING, WARNING, Finding, Kind, finder

KINDS = {
    "series_unknown": Kind(INHIBITOR, "os-release(5)", (), acceptable=False),
    "marker_damaged": Kind(INHIBITOR, "docs/control_protocol.md", (), acceptable=False),
    "rollback_failed": Kind(INHIBITOR, "docs/control_protocol.md", (), acceptable=False),
    "other_upgrade": Kind(INHIBITOR, "docs/control_protocol.md", (), acceptable=False),
    "resumes": Kind(INFO),
    "on_target": Kind(INFO),
    "socket_path_long": Kind(INHIBITOR, "unix(7)", (), acceptable=False),
    "python_old": Kind(INHIBITOR, "docs/architecture.md", (21,), acceptable=False),
    "options_wrong": Kind(INHIBITOR, "docs/machine_upgrade.md", (), acceptable=False),
    "series_unsupported": Kind(INHIBITOR, UPGRADING, (2,), acceptable=False),
    "target_unknown": Kind(INHIBITOR, UPGRADING, (2,), acceptable=False),
    "not_successor": Kind(INHIBITOR, UPGRADING, (2,), acceptable=False),
    "disk_small": Kind(INHIBITOR, UPGRADING, (19,)),
    "snapshot_impossible": Kind(INHIBITOR, "docs/machine_upgrade.md", (3,), acceptable=False),
    "snapshot_partial": Kind(WARNING, "docs/machine_upgrade.md", (3,)),
    "no_snapshot": Kind(WARNING, UPGRADING, (3,)),
    "not_root": Kind(INHIBITOR, "apt-get(8)", (), acceptable=False),
    "i386": Kind(INHIBITOR, "https://www.debian.org/releases/trixie/release-notes/issues.en.html", (30,), acceptable=False),
    "dpkg_broken": Kind(INHIBITOR, UPGRADING, (1, 13)),
    "held": Kind(INHIBITOR, UPGRADING, (1, 17)),
    "reboot_required": Kind(INHIBITOR, UPGRADING, (1,)),
    "preferences": Kind(WARNING, UPGRADING, (1,)),
    "old_ssh": Kind(WARNING, UPGRADING, (4, 5)),
    "apt_busy": Kind(INFO, "apt-get(8)", (12,)),
    "no_source": Kind(INHIBITOR, UPGRADING, (14,), acceptable=False),
    "source_disabled": Kind(WARNING, UPGRADING, (15,)),
}
find = finder(KINDS)

# Packages, their unpacked files and a snapshot's old blocks: 1.3 to 1.7 GB were seen on small machines.
DEBIAN_NEEDS_MB = 2048
# Journal, logs and the watcher itself.
COMMAND_NEEDS_MB = 64
# A second kernel with its initramfs, while the first one is still there.
BOOT_NEEDS_MB = 300

OLDEST_PYTHON = (3, 8)
SOCKET = "control.sock"


def findings(machine: Machine, wanted: Mapping[str, Any]) -> List[Finding]:
    """
    Everything that can be said of this machine before it goes to wanted["target"]; wanted: the options of the module preflight.

    A machine that is in the middle of this very upgrade is not asked the questions that only the beginning answers: its dpkg may
    be broken just now, and going on is what mends it.
    """
    found = list(_always(machine, wanted))
    if machine.release is None or not is_ahead(found):
        return found
    found += _direction(machine.release.codename, wanted)
    found += _room(machine, wanted)
    if machine.packages is not None:
        found += _packages(machine.packages, wanted)
    return found


def is_ahead(found: List[Finding]) -> bool:
    """Whether an upgrade lies ahead of the machine of which this was FOUND: it is neither in the middle of this one nor through."""
    return not any(finding.id in ("resumes", "on_target", "series_unknown") for finding in found)


def _always(machine: Machine, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    if machine.release is None:
        yield find("series_unknown", machine.release_problem or "", "Without it nobody can say whether the upgrade has happened.",
                   "Mend the file, or name the right one in upgrade_watcher_series_file.")
    if machine.marker_problem:
        yield find("marker_damaged", "The record of the last upgrade cannot be read: {0}.".format(machine.marker_problem.rstrip(".")),
                   "This machine may be in the middle of an upgrade.",
                   "Look at its journal and its series, then move the state directory {0} away.".format(wanted["state_dir"]))
    elif machine.marker is not None:
        yield from _record(machine.marker, wanted)
    path = "{0}/{1}".format(wanted["runtime_dir"].rstrip("/"), SOCKET)
    if len(path.encode()) > MAX_PATH:
        yield find("socket_path_long", "The path of the control socket, {0}, has {1} bytes.".format(path, len(path.encode())),
                   "A Unix socket's path has at most {0}.".format(MAX_PATH), "Set upgrade_watcher_runtime_dir to a shorter path.")
    if machine.python < OLDEST_PYTHON:
        yield find("python_old", "Python is {0}.{1} here.".format(*machine.python), "The watcher needs {0}.{1}.".format(*OLDEST_PYTHON),
                   "Install a newer python3.")
    if machine.release is not None and machine.release.codename == wanted["target"]:
        yield find("on_target", "This machine is on {0} already.".format(wanted["target"]))


def _record(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Finding]:
    name = "the upgrade {0} to {1}".format(record.get("upgrade_id"), record.get("target_series"))
    if record.get("state") == states.ROLLBACK_FAILED:
        yield find("rollback_failed", "The rollback of {0} has failed: {1}.".format(name, str(record.get("reason") or "no reason").rstrip(".")),
                   "What the machine runs now has to be seen by a person.", "Mend it, then roll it back again.")
    elif record.get("state") not in states.TERMINAL:
        mine = record.get("target_series") == wanted["target"] and wanted.get("run") in (None, "", record.get("run"))
        if mine:
            yield find("resumes", "This machine is {0} in {1}.".format(record.get("state"), name), "", "The run goes on from there.")
        else:
            yield find("other_upgrade", "This machine is {0} in {1}, which belongs to the run {2}.".format(
                record.get("state"), name, record.get("run")), "Two upgrades of one machine would undo each other.",
                "Let that run end, or commit or roll back this machine.")


def _direction(codename: str, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    target = wanted["target"]
    if series.is_successor(codename, target):
        return
    known = series.distribution(codename)
    if known is None and series.distribution(target) is None and wanted["method"] == "command":
        return  # Their own distribution, their own command: there is no order that we know better.
    follows = series.successor(codename)
    if known is None:
        yield find("series_unsupported", "{0} is no series that we know.".format(codename), "", "Use the method command, with a target of its own kind.")
    elif series.distribution(target) is None:
        yield find("target_unknown", "{0} is no series that we know.".format(target), "",
                   "From {0} the way leads to {1}.".format(codename, follows) if follows else "")
    else:
        yield find("not_successor", "{0} does not follow {1}.".format(target, codename), "Series cannot be skipped, nor gone back by packages.",
                   "Go to {0} first.".format(follows) if follows else "There is no later series yet.")


def _room(machine: Machine, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    default = COMMAND_NEEDS_MB if wanted["method"] == "command" else DEBIAN_NEEDS_MB
    least = default if wanted.get("min_free_mb") is None else wanted["min_free_mb"]
    for place, free in sorted(machine.free_mb.items()):
        needed = min(least, BOOT_NEEDS_MB) if place == "/boot" else least
        if free < needed:
            yield find("disk_small", "{0} MB are free for {1}, and {2} MB are needed.".format(free, place, needed),
                       "An upgrade that fills the disk stops in the middle.", "Make room (apt-get clean), or lower preflight_min_free_mb.",
                       place=place, free=free, needed=needed)
    if machine.snapshot_problem:
        yield find("snapshot_impossible", machine.snapshot_problem, "Without it there is no way back.")
    for note in machine.snapshot_notes:
        yield find("snapshot_partial", note, "A rollback leaves it as it then is.", "Make sure that it may stay.")
    if machine.packages is not None and ((wanted.get("snapshot") or {}).get("kind") or "none") == "none":
        yield find("no_snapshot", "No snapshot will be taken.", "Packages do not go back, so a failed upgrade cannot be rolled back.",
                   "Set series_upgrade_snapshot if the machine can be snapshotted.")


def _packages(packages: Packages, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    target = wanted["target"]
    if not packages.is_root:
        yield find("not_root", "We are not root here.", "Only root may change packages.", "Set become: true.")
    if packages.architecture == "i386" and target in ("trixie", "forky", "duke"):
        yield find("i386", "This machine is i386.", "{0} has no kernel for it.".format(target), "Move it to amd64 instead.")
    if packages.audit:
        yield find("dpkg_broken", "dpkg is not content: {0}".format(" ".join(packages.audit.split())[:200].rstrip(".") + "."),
                   "An upgrade begins with whole packages.", "Run `dpkg --configure -a` and `apt-get --fix-broken install`.")
    if packages.held:
        yield find("held", "Held packages: {0}.".format(", ".join(packages.held)), "A held package can stop all that need its successor.",
                   "Release them with `apt-mark unhold`, or take them away.", packages=list(packages.held))
    if packages.reboot_required:
        yield find("reboot_required", "A reboot is due (/run/reboot-required).", "The upgrade should begin on what is installed.",
                   "Reboot this machine first.")
    if packages.preferences:
        yield find("preferences", "Preferences of apt are changed in {0}.".format(", ".join(packages.preferences)),
                   "They were made for the old series, and are not heeded during the upgrade unless series_upgrade_debian.pins names them.",
                   "Read them, and name those that still fit.", files=list(packages.preferences))
    if packages.old_ssh:
        yield find("old_ssh", "The openssh-server here is {0}.".format(packages.old_ssh),
                   "New logins fail for a while during the upgrade; the run waits for them.", "Upgrade it within its series first.")
    if packages.held_by:
        yield find("apt_busy", "Process {0} holds apt just now.".format(packages.held_by), "", "The upgrade will wait for it.")
    if not packages.moves or not sources.leads_to(packages.moves, target):
        yield find("no_source", "No apt source of this machine leads to {0}.".format(target), "",
                   "Say in series_upgrade_debian.sources which of them follow it.")
    for change in packages.moves:
        if change.action == "disabled":
            yield find("source_disabled", "The source {0} {1} will be disabled.".format(change.uri, " ".join(change.suites)),
                       "{0}{1}.".format(change.why[:1].upper(), change.why[1:]), "Say in series_upgrade_debian.sources what becomes of it.",
                       uri=change.uri, suites=list(change.suites), file=change.file)
