# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the upgrade will need, fetched while the units still run: they are away for the upgrade alone, and not for the network as well.

apt is shown sources and lists of their own, so that the machine's stay as they are; only the packages go where the upgrade looks for them.
Private room of the collection.
"""

from __future__ import annotations

import os
import shutil
from typing import Mapping

from . import kept
from .._watcher.steps import Context, StepFailed
from .apt import Apt

# Below apt's own cache, because apt fetches as a user of its own, who has to find the way there.
FOLDER = "/var/cache/apt/series-upgrade"
LISTS = "/var/lib/apt/lists"


class Ahead:
    """apt: whose packages they will be. folder, lists: where to keep what, for tests."""

    def __init__(self, apt: Apt, folder: str = FOLDER, lists: str = LISTS) -> None:
        self._folder, self._lists = folder, lists
        self._apt = apt.beside(
            "Dir::Etc::SourceList=" + os.path.join(folder, "sources.list"), "Dir::Etc::SourceParts=" + os.path.join(folder, "sources.list.d"),
            "Dir::State::Lists=" + os.path.join(folder, "lists"), "Dir::Cache::pkgcache=" + os.path.join(folder, "pkgcache.bin"), "Dir::Cache::srcpkgcache=")

    def fetch(self, context: Context, texts: Mapping[str, str], log: str) -> None:
        """Fetch lists and packages by the sources in `texts` (text by its path on the machine). Repeatable. Raises StepFailed."""
        try:
            self._lay(texts)
        except OSError as problem:
            raise StepFailed("There is no place to fetch packages to: {0}.".format(problem)) from problem
        self._apt.get(context, log, "update")
        self._apt.get(context, log, "--download-only", "full-upgrade")
        try:
            self._give()
        except OSError:
            pass  # What is not given is fetched anew.
        self.drop()

    def _lay(self, texts: Mapping[str, str]) -> None:
        # apt's own user fetches the lists, whatever the umask is here.
        for folder, mode in (("", 0o755), ("lists", 0o755), ("lists/partial", 0o700)):
            place = os.path.join(self._folder, folder)
            os.makedirs(place, exist_ok=True)
            os.chmod(place, mode)
        kept.lay(self._folder, texts)

    def _give(self) -> None:
        """Lay the fetched lists beside the machine's: apt does not look at them before its sources name them, and then fetches only what is newer."""
        partial = os.path.join(self._lists, "partial")
        os.makedirs(partial, exist_ok=True)
        for entry in os.scandir(os.path.join(self._folder, "lists")):
            if entry.is_file(follow_symlinks=False) and entry.name != "lock":
                # Never half a list, also when the power is cut; and with its date, by which apt asks whether there is a newer one.
                fresh = os.path.join(partial, entry.name)
                shutil.copy2(entry.path, fresh)
                os.replace(fresh, os.path.join(self._lists, entry.name))

    def drop(self) -> None:
        """Delete what a broken-off fetch has left, but for the packages. Repeatable."""
        shutil.rmtree(self._folder, ignore_errors=True)
