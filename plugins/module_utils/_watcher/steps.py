# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an upgrade and a rollback are made of: phases going forward, steps going back.

The watcher runs them one at a time in a worker thread and writes the marker between them.
A method of upgrade (debian, command ...) and a kind of snapshot only describe them.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence


class StepFailed(Exception):
    """A phase or step did not reach its end. The text is one sentence for a person and becomes the recorded reason."""


class Result(NamedTuple):
    """How a program ended: its exit status (128 + n for signal n, 124 for a timeout, 127 when it could not be started) and texts."""

    rc: int
    out: str
    err: str


class Context:
    """What a phase or step may use of the machine. It is also the `tools` that a method and a snapshot kind are built with.

    state_dir, log_dir: absolute paths that outlive a reboot.
    run_id: the upgrade_id; the same for every attempt to resume it.
    """

    state_dir: str
    log_dir: str
    run_id: str

    def call(
        self,
        argv: Sequence[str],
        log: str,
        on_line: Optional[Callable[[str], None]] = None,
        env: Optional[Mapping[str, str]] = None,
    ) -> int:
        """Run a long program that outlives the watcher; return its exit status.

        `log` is a file name in log_dir that gets both output streams; on_line is called with each whole line without its newline.
        After a restart of the watcher the phase runs again from its beginning, and its n-th call with the same argv attaches to the
        program that is still running, or returns at once what it left (its lines are replayed to on_line). A call that a reboot cut
        off is started again: the phase must repair (dpkg --configure -a) before it calls.
        """
        raise NotImplementedError

    def run(self, argv: Sequence[str], timeout: float = 60, env: Optional[Mapping[str, str]] = None) -> Result:
        """Run a short program to its end and hand back status and texts. It may be run again after a crash, so use it for questions
        and repeatable acts. Never raises for a program that fails, is missing or times out."""
        raise NotImplementedError

    def progress(self, percent: Optional[float], msg: str) -> None:
        """Tell whoever listens how far this phase is (0 to 100, or None for unknown). Cheap; may be called for every line."""
        raise NotImplementedError

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value under key in the marker. Returns when it is durable."""
        raise NotImplementedError

    def recall(self, key: str, default: Any = None) -> Any:
        """What remember() kept under key in this upgrade, over restarts and reboots."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Phase:
    """One part of the way forward.

    name: a short fixed word, unique in its method. describe: what a person reads ("Upgrade without new packages").
    run: does it; raises StepFailed. It may be begun again after a crash or a reboot and must then go on or repair.
    irreversible: once begun, only a rollback leads back; a failure before the first such phase ends in ABORTED with nothing changed.
    undo: puts back what this phase did, used when the upgrade is aborted before anything irreversible; may be called twice.
    """

    name: str
    describe: str
    run: Callable[[Context], None]
    irreversible: bool = False
    undo: Optional[Callable[[Context], None]] = None


@dataclasses.dataclass(frozen=True)
class Step:
    """One part of the way back.

    check: is it done already? do: do it (start or restart, whichever is needed). verify: None when the system shows it done, else the
    problem in one sentence. A step that was cut off is run again from check.
    """

    name: str
    describe: str
    check: Callable[[], bool]
    do: Callable[[], None]
    verify: Callable[[], Optional[str]]


def run_step(step: Step) -> bool:
    """Bring one step to its verified end. True when there was something to do; raises StepFailed when it cannot be verified."""
    todo = not step.check()
    if todo:
        step.do()
    problem = step.verify()
    if problem:
        raise StepFailed("{0}: {1}".format(step.describe, problem))
    return todo


Record = Dict[str, Any]
Phases = List[Phase]
Steps = List[Step]
