# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A snapshot by the user's own shell commands: {"create", "revert", "drop", "needs_reboot"}. Private room of the collection.

Each may be run again after a crash, so it has to be repeatable. They find the name in SERIES_UPGRADE_SNAPSHOT.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, ContextManager, Dict, List, Optional

from .._watcher.steps import Record, Result, Step, StepFailed

# A storage array may take its time; a person would look after an hour.
TIMEOUT = 3600


class Command:
    """spec: {"kind": "command", "create": shell command, "revert": .., "drop": .. or nothing, "needs_reboot": bool (no)}."""

    def __init__(self, spec: Dict[str, Any], run: Callable[..., Result]) -> None:
        self._spec = spec
        self._run = run

    @property
    def needs_reboot(self) -> bool:
        return bool(self._spec.get("needs_reboot"))

    @property
    def can_revert(self) -> bool:
        return bool(self._spec.get("revert"))

    def check(self) -> Optional[str]:
        missing = [key for key in ("create", "revert") if not self._spec.get(key)]
        return "The snapshot of kind command has no {0}: set series_upgrade_snapshot.{1}.".format(" and no ".join(missing), missing[0]) if missing else None

    def notes(self) -> List[str]:
        return []

    def create(self, name: str) -> Record:
        """Returns when the command `create` has ended well. Raises StepFailed."""
        self._do("create", name)
        return {"kind": "command", "name": name}

    def readable(self, record: Record) -> ContextManager[Optional[str]]:
        """Nothing of it can be looked at from here."""
        return contextlib.nullcontext()

    def revert_steps(self, record: Record, state_dir: str) -> List[Step]:
        """The one command. Whether the system is really back is seen by the watcher, not told by an exit status."""
        return [Step("revert", "Run the revert command", lambda: False, lambda: self._do("revert", record["name"]), lambda: None)]

    def carry(self, record: Record, state_dir: str) -> None:
        """The command's own affair."""

    def drop(self, record: Record) -> None:
        if self._spec.get("drop"):
            self._do("drop", record["name"])

    def _do(self, what: str, name: str) -> None:
        done = self._run(["/bin/sh", "-c", self._spec[what]], timeout=TIMEOUT, env={"SERIES_UPGRADE_SNAPSHOT": name})
        if done.rc != 0:
            lines = (done.err.strip() or done.out.strip()).splitlines()
            raise StepFailed("The snapshot command {0} ended with exit status {1}: {2}".format(what, done.rc, lines[-1] if lines else "no word"))
