# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The method for machines that know how to upgrade themselves: a shell command of the user's, and one that undoes it.

Both may be run again after a crash, so they have to be repeatable. They find what they need in SERIES_UPGRADE_* variables.
Private room of the collection.
"""

from __future__ import annotations

import re
from typing import Any, Callable, List, Mapping, Optional, Tuple

from . import os_release
from .._watcher.steps import Context, Phase, Step, StepFailed

# "40% packages" on a line of its own is how a command tells how far it is.
PROGRESS = re.compile(r"^\s*(\d{1,3})\s?%\s*(.*)$")


class Command:
    """spec["command"]: {"upgrade": shell command, "rollback": shell command or nothing}. tools: the watcher's context."""

    name = "command"

    def __init__(self, spec: Mapping[str, Any], tools: Context) -> None:
        commands = spec.get("command") or {}
        if not commands.get("upgrade"):
            raise StepFailed("The method `command` has no command: set series_upgrade_command.upgrade.")
        self._commands = commands
        self._tools = tools
        self._source = spec.get("source_series") or ""
        self._target = spec["target_series"]
        self._series_file = spec.get("series_file") or "/etc/os-release"
        self._environment = {
            "SERIES_UPGRADE_ID": spec.get("upgrade_id") or "",
            "SERIES_UPGRADE_MACHINE": spec.get("machine") or "",
            "SERIES_UPGRADE_SOURCE": self._source,
            "SERIES_UPGRADE_TARGET": self._target,
            "SERIES_UPGRADE_SERIES_FILE": self._series_file,
        }

    @property
    def ahead(self) -> List[Phase]:
        return []

    @property
    def phases(self) -> List[Phase]:
        return [
            Phase("upgrade", "Run the upgrade command", self._upgrade, irreversible=True),
            Phase("prove", "Prove that the machine is {0}".format(self._target), self._prove, irreversible=True),
        ]

    def rollback_steps(self) -> List[Step]:
        """The rollback command, done when the machine shows the source series; none when the user gave none."""
        if not self._commands.get("rollback"):
            return []
        return [Step("command", "Run the rollback command", self._is_back, self._roll_back, self._not_back)]

    def thaw(self, context: Context) -> None:
        """Nothing was frozen."""

    def checks(self) -> List[str]:
        """What else is a sign of a good upgrade, only the user knows; his checks say it."""
        return []

    def look(self, name: str, context: Context) -> Tuple[str, str]:
        """Never asked for."""
        raise StepFailed("there is no check {0}".format(name))

    def witness(self, context: Context) -> None:
        """There is nothing to tell that the user's command has not said."""

    def _upgrade(self, context: Context) -> None:
        code = context.call(["/bin/sh", "-c", self._commands["upgrade"]], "upgrade.log", on_line=_progress(context), env=self._environment)
        if code != 0:
            raise StepFailed("The upgrade command ended with exit status {0}.".format(code))

    def _prove(self, context: Context) -> None:
        problem = self._shows(self._target)
        if problem:
            raise StepFailed("The upgrade command has ended well, but {0}".format(problem))

    def _roll_back(self) -> None:
        # Like the upgrade it outlives the watcher, which takes it up again instead of running two at once.
        code = self._tools.call(["/bin/sh", "-c", self._commands["rollback"]], "rollback.log", env=self._environment)
        if code != 0:
            raise StepFailed("The rollback command ended with exit status {0}.".format(code))

    def _is_back(self) -> bool:
        """
        Never known beforehand: an upgrade that failed half-way may not have reached the series file, and shows the source series
        while everything else has changed. So the command always runs.
        """
        return False

    def _not_back(self) -> Optional[str]:
        return self._shows(self._source) if self._source else None

    def _shows(self, series: str) -> Optional[str]:
        seen = os_release.read(self._series_file).codename
        return None if seen == series else "{0} says {1} and not {2}.".format(self._series_file, seen, series)


def _progress(context: Context) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        match = PROGRESS.match(line)
        if match:
            context.progress(min(100.0, float(match.group(1))), match.group(2) or "upgrade command")

    return on_line
