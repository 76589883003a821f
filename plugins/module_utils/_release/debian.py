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
from typing import Any, List, Mapping, Optional

from . import keepsakes, kept, os_release, sources
from .._watcher.steps import Context, Phase, Step, StepFailed
from .apt import Apt, removals
from .said import said
from .quiet import Quiet

LOG = "upgrade.log"

# A machine that loses one of these on the way is one that nobody can log in to again.
PROTECTED = ("openssh-server", "sudo", "systemd", "systemd-sysv", "python3")

# What keeps a changed configuration file's new version beside the old one.
LEFT_BESIDE = (".dpkg-dist", ".dpkg-new", ".ucf-dist")


class Debian:
    """
    options: {"sources": {glob over URI: "follow" | "keep" | "disable" | suite}, "restarts": "hold" | "allow", "lock_timeout": seconds,
    "protect": [globs of packages that must not be removed]}.

    Without a reboot at its end nobody but the maintainer scripts would ever restart a service, so then restarts default to "allow".
    """

    name = "debian"

    def __init__(
        self,
        spec: Mapping[str, Any],
        tools: Optional[Context] = None,
        apt: Optional[Apt] = None,
        quiet: Optional[Quiet] = None,
        etc: str = "/etc",
    ) -> None:
        options = spec.get("debian") or {}
        self._start = spec.get("source_series")
        self._target = spec["target_series"]
        self._series_file = spec.get("series_file") or "/etc/os-release"
        self._rules = options.get("sources") or {}
        self._protected = tuple(options.get("protect") or ()) + PROTECTED
        self._tools = tools
        self._etc = etc
        self._apt = apt or Apt(float(options.get("lock_timeout") or 600))
        self._quiet = quiet or Quiet(options.get("restarts") or ("hold" if spec.get("reboot", True) else "allow"))

    @property
    def phases(self) -> List[Phase]:
        return [
            Phase("backup", "Keep /etc and the lists of packages as they are", lambda context: keepsakes.backup(context, os.path.dirname(self._etc))),
            Phase("quiet", "Hold apt's timers and restarts of services", self._quiet.hold, undo=self._quiet.release),
            Phase("sources", "Point apt to {0}".format(self._target), self._move_sources, undo=self._restore_sources),
            Phase("update", "Fetch the package lists of {0}".format(self._target), self._update),
            Phase("download", "Fetch the packages of {0}".format(self._target), self._download),
            Phase("upgrade", "Upgrade what needs no new packages", self._upgrade, irreversible=True),
            Phase("full-upgrade", "Upgrade everything else", self._full_upgrade, irreversible=True),
            Phase("release", "Put timers and restarts back as they were", self._quiet.release, irreversible=True),
            Phase("prove", "Prove that the machine is {0} and whole".format(self._target), self._prove, irreversible=True),
        ]

    def rollback_steps(self) -> List[Step]:
        """Packages do not go back; the snapshot does. Here is only kept what the failed system has to say."""
        return [keepsakes.diagnostics(self._tools, os.path.dirname(self._etc))] if self._tools is not None else []

    def thaw(self, context: Context) -> None:
        """Put timers and restarts back as they were, wherever the upgrade ended. Repeating it changes nothing."""
        self._quiet.release(context)

    def _move_sources(self, context: Context) -> None:
        before = context.recall("sources")
        if before is None:
            before = {path: kept.look(path) for path in kept.sources(os.path.join(self._etc, "apt"))}
            context.remember("sources", before)
        texts = {path: kept.text(before[path]) for path in before if before[path]["kind"] == "file"}
        start = self._start or os_release.read(self._series_file).codename
        made, changes = sources.plan(texts, start, self._target, self._rules)
        context.progress(None, "; ".join(sources.tell(change) for change in changes))
        if not sources.leads_to(changes, self._target):
            raise StepFailed(
                "No apt source of this machine leads to {0}. Say in series_upgrade_debian.sources which of them follow it.".format(self._target)
            )
        for path in sorted(made):
            if made[path] != texts[path]:
                content = made[path].encode("utf-8", "surrogateescape")
                kept.write(path, content, before[path]["mode"], before[path]["uid"], before[path]["gid"])

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
        gone = removals(simulated.out)
        lost = [name for name in gone if any(fnmatch.fnmatchcase(name.split(":")[0], glob) for glob in self._protected)]
        if lost:
            raise StepFailed("The upgrade would remove {0}, which must stay. Look at `apt-get --simulate full-upgrade`.".format(", ".join(lost)))
        if gone:
            context.progress(None, "to be removed on the way: {0}".format(", ".join(gone)))
        self._apt.get(context, LOG, "--download-only", "full-upgrade")

    def _upgrade(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "upgrade", "--without-new-pkgs", repair=True)

    def _full_upgrade(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "full-upgrade", repair=True)

    def _prove(self, context: Context) -> None:
        seen = os_release.read(self._series_file).codename
        if seen != self._target:
            raise StepFailed("All packages are upgraded, and {0} still says {1} and not {2}.".format(self._series_file, seen, self._target))
        audit = context.run(["dpkg", "--audit"])
        if audit.rc != 0 or audit.out.strip():
            raise StepFailed("dpkg is not content: {0}".format(" ".join(audit.out.split())[:400] or said(audit)))
        beside = left_beside(self._etc)
        if beside:
            context.progress(None, "kept your version of a changed file; the new one lies at {0}".format(", ".join(beside)))


def left_beside(etc: str) -> List[str]:
    """The files below etc that package upgrades have left beside changed ones, in order."""
    return sorted(
        os.path.join(folder, name) for folder, _folders, names in os.walk(etc) for name in names if name.endswith(LEFT_BESIDE)
    )
