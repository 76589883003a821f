# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The machine as the rooms look at it: files below a root, and programs that only answer. Private room of the collection.

What is not there is None; what is there and cannot be read raises OSError, for unknown is never taken for no.
"""

from __future__ import annotations

import glob
import os
from typing import Callable, Dict, List, NamedTuple, Optional

from .._watcher import programs
from .._watcher.steps import Result

Run = Callable[..., Result]
LARGEST = 4 * 1024 * 1024


class Installed(NamedTuple):
    """One installed package. name: without the architecture."""

    name: str
    architecture: str
    version: str


class System:
    """root: "/" but in tests. run: as _watcher.programs.run."""

    def __init__(self, root: str = "/", run: Run = programs.run) -> None:
        self.root, self.run = root, run
        self._packages: Optional[List[Installed]] = None
        self._residual: List[str] = []

    def path(self, name: str) -> str:
        """Where NAME, an absolute path of the machine, is found from here."""
        return os.path.join(self.root, name.lstrip("/"))

    def text(self, name: str) -> Optional[str]:
        """The text of a file, its first 4 MB; None when there is none."""
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read(LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def lines(self, name: str) -> List[str]:
        """The lines of a configuration file that say something: no comments, no blanks."""
        return [line.strip() for line in (self.text(name) or "").splitlines() if line.strip() and line.strip()[0] not in "#;"]

    def glob(self, pattern: str) -> List[str]:
        """The paths of the machine that match, in order."""
        prefix = len(self.root.rstrip("/"))
        return [found[prefix:] for found in sorted(glob.glob(self.path(pattern)))]

    def exists(self, name: str) -> bool:
        return os.path.lexists(self.path(name))

    def packages(self) -> List[Installed]:
        """Everything that is installed, asked for once. Raises OSError when dpkg does not answer."""
        if self._packages is None:
            shown = self.run(["dpkg-query", "--show", "--showformat", "${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\n"])
            if shown.rc != 0:
                raise OSError("dpkg-query does not answer: {0}".format(shown.err.strip()[:200] or shown.rc))
            rows = [line.split("\t") for line in shown.out.splitlines() if line.count("\t") == 3]
            self._residual = [name for name, dummy, dummy, status in rows if status == "config-files"]
            self._packages = [Installed(name, architecture, version) for name, architecture, version, status in rows
                              if status not in ("config-files", "not-installed")]
        return self._packages

    def residual(self) -> List[str]:
        """Packages that are gone but for their configuration files."""
        self.packages()
        return sorted(set(self._residual))

    def versions(self) -> Dict[str, str]:
        """Version by name of all that is installed."""
        return {package.name: package.version for package in self.packages()}
