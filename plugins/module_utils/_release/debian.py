# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The way of Debian from one series to the next: the phases of the release notes, each of which may be begun again at any time.

Private room of the collection.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from typing import Any, List, Mapping, Optional, Tuple

from . import archived, before_reboot, conffiles, keepsakes, kept, leftovers, os_release, preseed, report, sources, ssh, units
from .._postgres import collations
from .._watcher import health
from .._watcher.steps import Context, Phase, Step, StepFailed
from .ahead import Ahead
from .apt import Apt, removals
from .machine import boot_id
from .said import said
from .spare_ssh import Spare, checked as spare_of
from .quiet import Quiet

LOG = "upgrade.log"

# A machine that loses one of these on the way is one that nobody can log in to again.
PROTECTED = ("openssh-server", "sudo", "systemd", "systemd-sysv", "python3")

# What the watcher looks at after the upgrade beside the series and the operator's checks.
UNITS, LOGINS = "failed units", "new ssh logins"


class Debian:
    """
    options, all of them documented in docs/machine_upgrade.md: sources, restarts, lock_timeout, protect, conffiles, preseed, pins, archived,
    spare_ssh, may_fail. What is wrong with them is a StepFailed here, before anything is armed.

    Without a reboot at its end nobody but the maintainer scripts would ever restart a service, so then restarts default to "allow".
    """

    name = "debian"
    known = frozenset(("sources", "restarts", "lock_timeout", "protect", "conffiles", "preseed", "pins", "archived", "spare_ssh", "may_fail"))
    # Pins were written for the old series and would hold packages back there; those that the user names are heeded in a folder of their own.
    own_pins = True

    def __init__(
        self,
        spec: Mapping[str, Any],
        tools: Optional[Context] = None,
        apt: Optional[Apt] = None,
        quiet: Optional[Quiet] = None,
        etc: str = "/etc",
        spare: Optional[Spare] = None,
        ahead: Optional[Ahead] = None,
    ) -> None:
        options = spec.get(self.name) or {}
        self._options = options
        self._check_options(options)
        self._start = spec.get("source_series")
        self._target = spec["target_series"]
        self._reboots = bool(spec.get("reboot", True))
        self._series_file = spec.get("series_file") or "/etc/os-release"
        self._rules = options.get("sources") or {}
        self._protected = tuple(options.get("protect") or ()) + PROTECTED
        self._tools = tools
        self._etc = etc
        self._pins = os.path.join(getattr(tools, "state_dir", "/var/lib/series-upgrade"), "pins")
        self._apt = apt or Apt(float(options.get("lock_timeout") or 600), preferences=self._pins if self.own_pins else None)
        self._ahead = ahead or Ahead(self._apt)
        self._quiet = quiet or Quiet(options.get("restarts") or ("hold" if self._reboots else "allow"))
        self._spare = spare or Spare(spare_of(options.get("spare_ssh")))

    def _check_options(self, options: Mapping[str, Any]) -> None:
        unknown = sorted(set(options) - self.known)
        if unknown:
            raise StepFailed("series_upgrade_{0} has no option {1}; there are {2}.".format(self.name, ", ".join(unknown), ", ".join(sorted(self.known))))
        conffiles.check(options.get("conffiles") or {})
        preseed.checked(options.get("preseed"))
        spare_of(options.get("spare_ssh"))
        for name in ("protect", "pins", "archived", "may_fail"):
            if not isinstance(options.get(name) or [], list):
                raise StepFailed("series_upgrade_{0}.{1} is a list; correct it.".format(self.name, name))

    def _opening(self) -> List[Phase]:
        """How every upgrade of packages begins: nothing works against it, and somebody can get in whatever happens."""
        return [
            Phase("backup", "Keep /etc and the lists of packages as they are", self._look_before),
            Phase("quiet", "Hold apt's timers and restarts of services", self._quiet.hold, undo=self._quiet.release),
            Phase("mend", "Finish what dpkg was interrupted in", self._mend),
            Phase("spare-ssh", "Start a spare sshd", self._spare.start, undo=self._spare.stop),
            Phase("spare-login", "Have somebody log in there", self._spare.await_login),
        ]

    @property
    def ahead(self) -> List[Phase]:
        return [Phase("fetch", "Fetch what {0} brings, while the units still run".format(self._target), self._fetch)]

    @property
    def phases(self) -> List[Phase]:
        return [
            *self._opening(),
            Phase("sources", "Point apt to {0}".format(self._target), self._move_sources, undo=self._restore_sources),
            Phase("update", "Fetch the package lists of {0}".format(self._target), self._update),
            Phase("download", "Fetch the packages of {0}".format(self._target), self._download),
            Phase("preseed", "Answer debconf's questions beforehand", self._preseed, undo=preseed.take_back),
            Phase("upgrade", "Upgrade what needs no new packages", self._upgrade, irreversible=True),
            Phase("full-upgrade", "Upgrade everything else", self._full_upgrade, irreversible=True),
            Phase("conffiles", "Settle changed configuration files", self._settle, irreversible=True),
            Phase("release", "Put timers and restarts back as they were", self._release, irreversible=True),
            Phase("prove", "Prove that the machine is {0} and whole".format(self._target), self._prove, irreversible=True),
        ]

    def rollback_steps(self) -> List[Step]:
        """Packages do not go back; the snapshot does. Here is only kept what the failed system has to say."""
        return [keepsakes.diagnostics(self._tools, os.path.dirname(self._etc))] if self._tools is not None else []

    def thaw(self, context: Context) -> None:
        """Put timers and restarts back as they were, wherever the upgrade ended. Repeating it changes nothing."""
        self._quiet.release(context)
        self._spare.stop(context)
        self._ahead.drop()
        shutil.rmtree(self._pins, ignore_errors=True)

    def checks(self) -> List[str]:
        """The names of what look() can look at when the machine runs the target."""
        return [UNITS, LOGINS]

    def look(self, name: str, context: Context) -> Tuple[str, str]:
        """One look at one of checks(), as (outcome, sentence)."""
        if name == LOGINS:
            return ssh.look(context)
        fresh = units.fresh(context, self._options.get("may_fail") or ())
        if fresh is None:
            return health.UNREACHABLE, "systemd does not tell which units have failed"
        return (health.FAILED, "failed since the upgrade: " + ", ".join(fresh)) if fresh else (health.OK, "none has failed that had not before")

    def witness(self, context: Context) -> None:
        """Report how the machine is in the end: its release, its boot, its units, its logins, its packages. Repeatable."""
        report.tell(context, proof={
            "release": os_release.read(self._series_file).codename,
            # By its id and never by its uptime, which a suspended machine has too.
            "rebooted": context.recall("boot_before") not in (None, boot_id()),
            "failed_units": units.fresh(context, self._options.get("may_fail") or ()),
            "dpkg_audit": _audit(context),
        })
        ssh.prove(context)
        _tell_collations(context)

    def _fetch(self, context: Context) -> None:
        if _interrupted(context):
            context.progress(None, "dpkg was interrupted before, so packages are fetched when that is mended")
            return
        self._choose_pins(context)
        _before, texts, _changes = self._planned(context)
        self._ahead.fetch(context, texts, LOG)

    def _look_before(self, context: Context) -> None:
        if context.recall("boot_before") is None:
            context.remember("boot_before", boot_id())
        units.note(context)
        ssh.note(context)
        conffiles.note(context, self._etc)
        keepsakes.backup(context, os.path.dirname(self._etc))

    def _mend(self, context: Context) -> None:
        # Decided once: while our own dpkg is at work, its database looks interrupted.
        if context.recall("mends") is None:
            self._apt.wait_for_locks(context)
            context.remember("mends", _interrupted(context))
        if context.recall("mends"):
            self._quiet.hold(context)
            self._apt.mend(context, LOG)
            left = _audit(context)
            if left:
                raise StepFailed("dpkg was interrupted before this upgrade and cannot be mended: {0}. Mend it by hand, then begin again.".format(left))

    def _planned(self, context: Context) -> Tuple[Mapping[str, kept.Kept], Mapping[str, str], List[sources.Change]]:
        """The sources as they were before the upgrade, their texts as they are to be, and what changes. Raises StepFailed when none leads to the target."""
        before = context.recall("sources")
        if before is None:
            before = {path: kept.look(path) for path in kept.sources(os.path.join(self._etc, "apt"))}
        texts = {path: kept.text(before[path]) for path in before if before[path]["kind"] == "file"}
        start = self._start or os_release.read(self._series_file).codename
        past = tuple(self._options.get("archived") or ()) + archived.SERIES
        made, changes = sources.plan(texts, start, self._target, self._rules, past)
        if not sources.leads_to(changes, self._target):
            raise StepFailed(
                "No apt source of this machine leads to {0}. Say in series_upgrade_debian.sources which of them follow it.".format(self._target)
            )
        return before, made, changes

    def _move_sources(self, context: Context) -> None:
        self._choose_pins(context)
        before, made, changes = self._planned(context)
        context.remember("sources", before)
        context.progress(None, "; ".join(sources.tell(change) for change in changes))
        report.tell(context, sources=[{"file": change.file, "uri": sources.public(change.uri), "action": change.action, "why": change.why}
                                      for change in changes if change.action != "kept"])
        for path in sorted(made):
            if made[path] != kept.text(before[path]):
                content = made[path].encode("utf-8", "surrogateescape")
                kept.write(path, content, before[path]["mode"], before[path]["uid"], before[path]["gid"])

    def _choose_pins(self, context: Context) -> None:
        """Lay the pins that the user wants heeded into a folder of their own, and tell of the others."""
        # An earlier attempt that was rolled back may have left others there.
        shutil.rmtree(self._pins, ignore_errors=True)
        os.makedirs(self._pins, mode=0o755)
        # apt reads it as its own user while it fetches; what is above stays root's alone, which apt's main process does not mind.
        folder = os.path.join(self._etc, "apt", "preferences.d")
        named = [os.path.join(self._etc, "apt", "preferences")]
        named += [os.path.join(folder, name) for name in (sorted(os.listdir(folder)) if os.path.isdir(folder) else [])]
        passed: List[str] = []
        for path in named:
            # apt itself passes over files with another ending.
            if not os.path.isfile(path) or os.path.splitext(path)[1] not in ("", ".pref"):
                continue
            if any(fnmatch.fnmatchcase(path, glob) for glob in self._options.get("pins") or ()):
                shutil.copyfile(path, os.path.join(self._pins, os.path.basename(path)))
            else:
                passed.append(path)
        report.tell(context, pins=passed)
        if passed:
            context.progress(None, "not heeded during the upgrade, look whether they still fit: {0}".format(", ".join(passed)))

    def _restore_sources(self, context: Context) -> None:
        before = context.recall("sources")
        if before is None:
            return
        changed = [path for path in sorted(before) if kept.look(path) != before[path]]
        for path in changed:
            kept.put_back(path, before[path])
        context.remember("sources", None)
        if changed:
            # An update has dropped the lists of the old series. Should they not come back now, the next one brings them.
            context.run(self._apt.command("update"), timeout=300)

    def _update(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "update")
        listed = context.run(["apt-get", "indextargets", "--format", "$(RELEASE) $(CODENAME)", "Created-By: Packages"])
        if listed.rc == 0 and self._target not in listed.out.split():
            raise StepFailed("apt has fetched its lists, but none of {0} is among them. Look at the sources in /etc/apt.".format(self._target))

    def _download(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.wait_for_locks(context)
        simulated = context.run(self._apt.command("--simulate", "full-upgrade"), timeout=300)
        if simulated.rc != 0:
            raise StepFailed("apt cannot find a way to {0}: {1}".format(self._target, said(simulated)))
        renamed = leftovers.renamed(simulated.out)
        gone = [name for name in removals(simulated.out) if name not in renamed]
        lost = [name for name in gone if any(fnmatch.fnmatchcase(name.split(":")[0], glob) for glob in self._protected)]
        if lost:
            raise StepFailed("The upgrade would remove {0}, which must stay. Look at `apt-get --simulate full-upgrade`.".format(", ".join(lost)))
        report.tell(context, removed=gone, renamed=renamed)
        if gone:
            context.progress(None, "to be removed on the way: {0}".format(", ".join(gone)))
        self._apt.get(context, LOG, "--download-only", "full-upgrade")

    def _preseed(self, context: Context) -> None:
        preseed.give(context, preseed.checked(self._options.get("preseed")))

    def _upgrade(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "upgrade", "--without-new-pkgs", repair=True)

    def _full_upgrade(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "full-upgrade", repair=True)

    def _settle(self, context: Context) -> None:
        conffiles.settle(context, self._etc, self._options.get("conffiles") or {})
        told = conffiles.sentence(report.told(context, "conffiles") or [])
        if told:
            context.progress(None, told)

    def _release(self, context: Context) -> None:
        self._quiet.release(context)
        preseed.forget(context)
        if not self._reboots:
            # With a reboot it ends by itself, and until then it is the way in.
            self._spare.stop(context)

    def _prove(self, context: Context) -> None:
        seen = os_release.read(self._series_file).codename
        if seen != self._target:
            raise StepFailed("All packages are upgraded, and {0} still says {1} and not {2}.".format(self._series_file, seen, self._target))
        complaint = _audit(context)
        if complaint:
            raise StepFailed("dpkg is not content: {0}".format(complaint))
        leftovers.look(context, self._apt)
        stops = before_reboot.problems(context.run, os.path.dirname(self._etc) or "/") if self._reboots else []
        if stops:
            raise StepFailed("The machine would not come back from its reboot whole: {0}.".format("; ".join(stops)))


def _tell_collations(context: Context) -> None:
    """Report what a new glibc means for PostgreSQL; nothing is rebuilt here, for that is a person's decision."""
    found = collations.look(context.run)
    if found:
        report.tell(context, postgresql=found)
        for sentence in collations.sentences(found):
            context.progress(None, sentence)


def _interrupted(context: Context) -> bool:
    """Whether dpkg was broken off in the middle of something."""
    updates = "/var/lib/dpkg/updates"
    return bool(_audit(context)) or bool(os.listdir(updates) if os.path.isdir(updates) else [])


def _audit(context: Context) -> str:
    """What dpkg complains of, in one line; "" when it is content."""
    audit = context.run(["dpkg", "--audit"])
    return (" ".join(audit.out.split())[:400] or said(audit)) if audit.rc != 0 or audit.out.strip() else ""
