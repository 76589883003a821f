# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What kinds have in common whose way back lies beside the root, is made ready there, and takes its place at a reboot. Private room of the
collection.
"""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Dict, List

from . import places
from .boot import Boot
from .places import Run
from .._watcher.steps import Record, Step, StepFailed


class Beside:
    """spec: {"min_free_mb": 2048, "root": "/"} and what the kind takes. A kind says _is_back, _sign and _mounted, and the rest of its own."""

    needs_reboot = True
    can_revert = True

    def __init__(self, spec: Dict[str, Any], run: Run, proc: str = "/proc") -> None:
        self._root = spec.get("root") or "/"
        self._least = int(spec.get("min_free_mb") or places.LEAST_FREE_MB)
        self._run = run
        self._proc = proc
        self._boot = Boot(self._root)

    def _is_back(self, record: Record, state_dir: str) -> bool:
        """Whether the way back has been taken, or is sure to be at the next boot."""
        raise NotImplementedError

    def _sign(self, record: Record) -> str:
        """What tells this way back from any other."""
        raise NotImplementedError

    def _mounted(self, record: Record, writable: bool = False) -> ContextManager[str]:
        """Where the way back is mounted meanwhile."""
        raise NotImplementedError

    def _step(self, record: Record, state_dir: str, name: str, describe: str, done: Callable[[], bool], do: Callable[[], None]) -> Step:
        """A step that is done as well when all of them are: by then nothing may be there to ask any more."""

        def is_done() -> bool:
            return self._is_back(record, state_dir) or done()

        return Step(name, describe, is_done, do, lambda: None if is_done() else "it was done, and is not to be seen")

    def _ready(self, record: Record, state_dir: str) -> List[Step]:
        """The steps that make the way back fit to be booted, with the state directory of the watcher as it is now."""
        return [
            self._step(record, state_dir, "boot", "Make the boot files fit the snapshot", lambda: self._fits(record), lambda: self._make_fit(record)),
            self._step(record, state_dir, "carry", "Take the record and logs of the upgrade along", lambda: self._is_carried(record, state_dir),
                       lambda: self.carry(record, state_dir)),
        ]

    def carry(self, record: Record, state_dir: str) -> None:
        """
        Copy the state directory as it is now to the way back; repeating it does no harm. When it cannot be written to any more, what the
        watcher says from then to the reboot is lost: it finds itself just before its last step again, and sees that it is done.
        """
        if self._is_back(record, state_dir) or not places.is_inside(self._root, state_dir):
            return
        with self._mounted(record, writable=True) as back:
            places.carry(state_dir, places.place_of(state_dir, self._root, back), self._sign(record))

    def _is_carried(self, record: Record, state_dir: str) -> bool:
        if not places.is_inside(self._root, state_dir):
            return True
        with self._mounted(record) as back:
            return places.carried(places.place_of(state_dir, self._root, back)) == self._sign(record)

    def _fits(self, record: Record) -> bool:
        with self._mounted(record) as back:
            return self._boot.is_restored(record["name"], back) and self._boot.problem(back) is None

    def _make_fit(self, record: Record) -> None:
        with self._mounted(record, writable=True) as back:
            self._boot.restore(record["name"], back)
            problem = self._boot.problem(back)
        if problem:
            raise StepFailed(problem)
