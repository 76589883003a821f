# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine under the watcher: which phases lead forward, which steps lead back, what series is live, how to reboot.

The one place where the watcher meets the methods of upgrade and the kinds of snapshot.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .._release import methods, os_release
from .._snapshot import registry, rescue
from . import files, probes, programs
from .clock import Clock
from .health import HEALTHY, Health
from .steps import Context, Phase, Step, StepFailed
from .work import Work

# A machine that was told to reboot and is still here after this long will not reboot by itself.
REBOOT_PATIENCE = 900
# A unit that was brought back may take this long to be healthy, however short the grace is.
RECOVERY = 60
SERIES_CHECK, METHOD_CHECK = "series", "method"
# A request waits for the answer, and with it everybody.
NO_RETURN_TIMEOUT = 10
# Ran out of time, may not be run, is not there: the question was not answered, and a way back that may destroy something is none.
UNANSWERED = (programs.TIMED_OUT, 126, programs.NOT_STARTED)

Record = Dict[str, Any]


def problem_of(spec: Dict[str, Any]) -> Optional[str]:
    """Why this spec's method or kind of snapshot cannot be had at all; known without touching the machine."""
    try:
        methods.method(spec, Context())
        registry.kind(spec["snapshot"], _nothing)
    except StepFailed as problem:
        return str(problem)
    return None


def _signs(spec: Dict[str, Any]) -> List[str]:
    """The names of what the method can look at. A method that cannot be had has one sign, which is never good: what it would show is not known."""
    try:
        return methods.method(spec, Context()).checks()
    except StepFailed:
        return ["method"]


class Machine:
    """spec is the marker's checked spec, record the marker itself, work the context of the work that asks."""

    def __init__(self, clock: Clock, boot_id: str, reboot_command: Sequence[str]) -> None:
        self._clock = clock
        self.boot_id = boot_id
        self._reboot_command = list(reboot_command)

    def series(self, spec: Dict[str, Any]) -> Optional[str]:
        """The codename of the live series; None when it cannot be found out."""
        try:
            return os_release.read(spec["series_file"]).codename or None
        except Exception:  # pylint: disable=broad-exception-caught  # whatever hides it, the answer is the same: unknown
            return None

    def phases(self, spec: Dict[str, Any], work: Work) -> List[Phase]:
        """The way forward, up to the reboot."""
        drain = Phase("drain", "Drain the units", lambda ctx: _drain(spec, ctx))
        snapshot = Phase("snapshot", "Take a snapshot", lambda ctx: _take_snapshot(spec, ctx), undo=lambda ctx: _drop_snapshot(spec, ctx))
        method = methods.method(spec, work)
        # Drained only when what takes long without the machine's doing is over, and before the snapshot: what units have written must be in it.
        return [*method.ahead, drain, snapshot, *method.phases]

    def undo(self, spec: Dict[str, Any], begun: Sequence[str], work: Work) -> None:
        """Put back what the phases named in begun have done, all of them before anything irreversible; then let the units run."""
        for phase in reversed(self.phases(spec, work)):
            if phase.undo is not None and phase.name in begun:
                phase.undo(work)
        methods.method(spec, work).thaw(work)
        if "drain" in begun:
            self.resume(spec, work)

    def resume(self, spec: Dict[str, Any], work: Context) -> None:
        """Let the drained units run again. Repeatable."""
        for item in reversed(spec["drain"]):
            _tell_unit(item, "resume", work)

    def finish(self, spec: Dict[str, Any], work: Work) -> None:
        """Put back what the upgrade may still hold still, apt's timers for example, and report how the machine is. Deletes nothing. Repeatable."""
        method = methods.method(spec, work)
        method.thaw(work)
        method.witness(work)

    def clean(self, spec: Dict[str, Any], kept: Sequence[Record], series: str, work: Context) -> None:
        """Delete what leads back from this upgrade and from those before it. Repeatable. Raises StepFailed, and then more may be left.

        What is live is seen here and now: on another series than the record says, nothing is deleted at all; and a kind of snapshot
        deletes nothing that runs or boots next.
        """
        live = self.series(spec)
        if live != series:
            raise StepFailed("the machine runs {0} and not {1}, so nothing is deleted".format(live or "an unknown series", series))
        for left in kept:
            registry.kind(left["snapshot"], work.run).drop(left["record"])
        _drop_snapshot(spec, work)

    def points_passed(self, spec: Dict[str, Any]) -> List[Tuple[str, str]]:
        """The applications that cannot go back any more, with the reason. Asked one after the other, each for some seconds at most."""
        passed = []
        for item in spec["no_return"]:
            result = programs.run(["/bin/sh", "-c", item["command"]], timeout=NO_RETURN_TIMEOUT)
            if result.rc == 0:
                passed.append((item["application"], item["reason"]))
            elif result.rc in UNANSWERED:
                passed.append((item["application"], "whether this is so could not be asked (status {0}): {1}".format(result.rc, item["reason"])))
        return passed

    def can_go_back(self, spec: Dict[str, Any], memory: Dict[str, Any]) -> bool:
        """Whether anything leads back to the old series: a snapshot that was taken, or the user's own rollback command."""
        if spec["method"] == "command" and spec["command"].get("rollback"):
            return True
        return memory.get("snapshot") is not None and registry.kind(spec["snapshot"], _nothing).can_revert

    def way_back(self, spec: Dict[str, Any], work: Work) -> List[Step]:
        """The steps of a rollback. The last ones look at the machine itself, and only they may say that it is back."""
        steps = list(methods.method(spec, work).rollback_steps())
        taken = work.recall("snapshot")
        snapshot = registry.kind(spec["snapshot"], work.run)
        if taken is not None and snapshot.can_revert:
            steps += snapshot.revert_steps(taken, work.state_dir)
        else:
            taken = None
        if spec["reboot"] or (taken is not None and snapshot.needs_reboot):
            def reboot() -> None:
                if taken is not None:
                    # The newest record must be in the root that comes up.
                    snapshot.carry(taken, work.state_dir)
                self.reboot(work)
            steps.append(Step("reboot", "Reboot into {0}".format(spec["source_series"]),
                              lambda: work.recall("acted_boot") not in (None, self.boot_id), reboot, _fine))
        steps.append(Step("resume", "Start the units", _never, lambda: self.resume(spec, work), _fine))
        steps.append(Step("seen", "See {0} with its units healthy".format(spec["source_series"]), _never, _nothing,
                          lambda: self._see(spec, spec["source_series"], work)))
        return steps

    def reboot(self, work: Work) -> None:
        """Ask for the reboot and wait for it. Raises StepFailed when the machine stays up."""
        work.progress(None, "the machine reboots")
        result = work.run(self._reboot_command, timeout=60)
        if result.rc != 0:
            raise StepFailed("the reboot was refused: {0}".format((result.err or result.out).strip() or "status {0}".format(result.rc)))
        work.wait(REBOOT_PATIENCE)
        raise StepFailed("the machine was told to reboot and is still up after {0} s".format(REBOOT_PATIENCE))

    def checks(self, spec: Dict[str, Any], series: str) -> List[Dict[str, Any]]:
        """What is looked at: the live series first, then what the method knows to be a sign of a good upgrade, then the operator's checks."""
        first = {"name": SERIES_CHECK, "kind": SERIES_CHECK, "series": series, "required": True, "timeout": 5, "at_once": True,
                 "interval": spec["interval"], "allowed_misses": spec["allowed_misses"]}
        forward = series == spec["target_series"]
        own = [{"name": name, "kind": METHOD_CHECK, "required": True, "timeout": 30, "interval": 2 * spec["interval"],
                "allowed_misses": spec["allowed_misses"]} for name in (_signs(spec) if forward else [])]
        return [first] + own + list(spec["checks"])

    def look(self, spec: Dict[str, Any], check: Dict[str, Any], work: Context) -> probes.Outcome:
        """One look at one check, as (outcome, sentence)."""
        if check["kind"] == METHOD_CHECK:
            return methods.method(spec, work).look(check["name"], work)
        if check["kind"] != SERIES_CHECK:
            return probes.probe(check, work.run)
        live = self.series(spec)
        if live is None:
            return probes.UNREACHABLE, "{0} does not tell the series".format(spec["series_file"])
        return (probes.OK if live == check["series"] else probes.FAILED), "the machine runs {0}".format(live)

    def _see(self, spec: Dict[str, Any], series: str, work: Work) -> Optional[str]:
        """None as soon as all required checks are good; what is not, after as long as the slowest start takes."""
        start = self._clock.now()
        health = Health(self.checks(spec, series), 0, start)
        while True:
            for check in health.due(self._clock.now()):
                outcome, msg = self.look(spec, check, work)
                health.observe(check["name"], outcome, msg, self._clock.now())
            now = self._clock.now()
            if health.verdict(now) == HEALTHY:
                return None
            if now - start > spec["settle"] + max(spec["grace"], RECOVERY):
                return health.complaint()
            work.progress(None, health.complaint())
            work.wait(min(0.5, spec["interval"]))


def snapshot_name(upgrade_id: str) -> str:
    """The upgrade_id as a file name."""
    return re.sub(r"[^A-Za-z0-9_.:+-]", "_", upgrade_id)


def _drain(spec: Dict[str, Any], work: Context) -> None:
    for number, item in enumerate(spec["drain"]):
        work.progress(100.0 * number / len(spec["drain"]), "draining {0}".format(item["unit"]))
        _tell_unit(item, "command", work)


def _tell_unit(item: Dict[str, Any], key: str, work: Context) -> None:
    if not item[key]:
        return
    result = work.run(["/bin/sh", "-c", item[key]], timeout=item["timeout"])
    if result.rc != 0:
        what = "drained" if key == "command" else "started again"
        raise StepFailed("{0} could not be {1}: status {2} {3}".format(item["unit"], what, result.rc, (result.err or result.out).strip()[-300:]))


def _take_snapshot(spec: Dict[str, Any], work: Context) -> None:
    """The way back, and the one for a machine whose Python does not live to see it."""
    _create_snapshot(spec, work)
    taken = work.recall("snapshot")
    path = os.path.join(work.state_dir, rescue.NAME)
    text = rescue.script(spec, taken, work.state_dir, sys.executable, os.path.join(work.state_dir, "watcher.pyz"))
    if text is not None:
        files.replace(path, text.encode("utf-8"), mode=0o700)
    elif os.path.exists(path):
        os.unlink(path)


def _create_snapshot(spec: Dict[str, Any], work: Context) -> None:
    if work.recall("snapshot") is not None:
        return
    snapshot = registry.kind(spec["snapshot"], work.run)
    problem = snapshot.check()
    if problem:
        raise StepFailed(problem)
    work.remember("snapshot", snapshot.create(snapshot_name(work.run_id)))


def _drop_snapshot(spec: Dict[str, Any], work: Context) -> None:
    taken = work.recall("snapshot")
    if taken is not None:
        registry.kind(spec["snapshot"], work.run).drop(taken)
        work.remember("snapshot", None)


def _never() -> bool:
    return False


def _fine() -> Optional[str]:
    return None


def _nothing(*_arguments: Any, **_options: Any) -> Any:
    return None
