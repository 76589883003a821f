# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watcher's decisions: what to begin, and what to conclude from what was seen. No socket, no thread, no sleep in here.

The loop calls: go_on() after start, hear() for each message of a thread, tick() at least once a second, request() for each verb.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from . import states
from .clock import Clock
from .health import HEALTHY, UNHEALTHY, Health
from .machine import Machine
from .record import Book, NotDurable
from .states import HELD, REBOOTING, ROLLBACK_REQUESTED, ROLLING_BACK, UPGRADING, WATCHING
from .steps import Phase, StepFailed
from .work import Desk, Message, Work

# A gap between two ticks that is longer than this was not observed: suspended, stopped, starved.
LONGEST_TICK = 5.0
# The grace exceeds the slowest legitimate start of a unit; but nobody waits an hour for one that never comes.
LONGEST_START = 300.0
# The remaining grace is written down this often; a crash costs at most so much of it.
CHECKPOINT = 10.0

# The same of the time that what leads back is kept: losing an hour of it keeps it longer.
KEEP_CHECKPOINT = 3600.0
# What could not be deleted is left alone for a day.
CLEAN_AGAIN = 86400.0

Record = Dict[str, Any]


def told(passed: List[Tuple[str, str]]) -> str:
    """Points of no return, in one sentence."""
    return "; ".join("{0} is past its point of no return: {1}".format(name, reason) for name, reason in passed)


class Watcher:
    """book: the record. machine: what can be done here. desk: for the work that is begun. make_work: tests hand in their own."""

    def __init__(self, book: Book, machine: Machine, desk: Desk, clock: Clock, make_work: Callable[..., Work] = Work) -> None:
        self.book = book
        self.machine = machine
        self.clock = clock
        self.health: Optional[Health] = None
        self.work: Optional[Work] = None
        self.leaving = False
        self._desk = desk
        self._make_work = make_work
        active = book.state in (states.ARMED, UPGRADING, WATCHING, ROLLING_BACK)
        self._resumed_phase: Optional[str] = book.record["phase"] if active else None
        self._last_tick = clock.now()
        self._was_healthy = False
        self._unsaved = 0.0
        self._reboot_asked = False
        self._taken_over = False

    @property
    def record(self) -> Record:
        return self.book.record

    @property
    def spec(self) -> Record:
        return self.book.record["spec"]

    # What the state asks for ------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """First act of a new process, and of a new boot: look at what is live before anything goes on."""
        self.book.change()
        self.book.tell_missing_state()
        if self.record["boot_id"] != self.machine.boot_id:
            self._new_boot()
        # Only now: a boot that could not be recorded must be looked at again, or it would be asked for once more.
        self._taken_over = True
        self.go_on()

    def go_on(self) -> None:
        """Begin what the state asks for, unless something is still running or the watcher is leaving."""
        if self.work is not None or self.leaving:
            return
        if self.record["aborting"]:
            self._begin("undo", lambda work: self.machine.undo(self.spec, self.record["begun"], work))
        elif self.book.state in (states.ARMED, UPGRADING):
            self._next_phase()
        elif self.book.state == REBOOTING and not self._reboot_asked:
            self._begin("reboot", self.machine.reboot)
            self._reboot_asked = True
        elif self.book.state == WATCHING and not self.record["resumed"]:
            self._begin("resume", lambda work: self.machine.resume(self.spec, work))
        elif self.book.state == ROLLBACK_REQUESTED:
            self.book.move("begin", reason=self.record["reason"], phase=None, done=[])
            self.go_on()
        elif self.book.state == ROLLING_BACK:
            self._next_step()
        elif self.record["cleaning"]:
            series = self.spec["target_series" if self.book.state == states.COMMITTED else "source_series"]
            self._begin("clean", lambda work: self.machine.clean(self.spec, self.record["kept"], series, work))
        elif self.book.state == states.COMMITTING:
            self._begin("commit", lambda work: self.machine.finish(self.spec, work))

    def _begin(self, name: str, act: Callable[[Work], Any], **changes: Any) -> None:
        # Work of the same name that an earlier process began may have left a program that still runs.
        afresh = name != self._resumed_phase
        self.book.change(phase=name, **changes)
        self._resumed_phase = None
        self.work = self._make_work(name, self._desk, self.record["memory"])
        self.work.start(act, afresh)

    def _next_phase(self) -> None:
        """The next phase that is not done. While ARMED only the drain may go ahead, when it was asked for."""
        if self.book.state == states.ARMED and ("drain" not in self.record["begun"] or "drain" in self.record["done"]):
            return
        work = self._make_work("plan", self._desk, self.record["memory"])
        try:
            phases = self.machine.phases(self.spec, work)
        except StepFailed as problem:
            self._phase_failed(str(problem))
            self.go_on()
            return
        left = [phase for phase in phases if phase.name not in self.record["done"] and (self.book.state != states.ARMED or phase.name == "drain")]
        if left:
            self._begin_phase(left[0])
        else:
            self._phases_done()

    def _begin_phase(self, phase: Phase) -> None:
        begun = [name for name in self.record["begun"] if name != phase.name] + [phase.name]
        self._begin(phase.name, phase.run, begun=begun, irreversible=self.record["irreversible"] or phase.irreversible)
        self.book.tell("phase", msg=phase.describe, percent=0)

    def _phases_done(self) -> None:
        if self.spec["reboot"]:
            self.book.move("phases done", boot_id=self.machine.boot_id, phase="reboot")
            self.go_on()
            return
        live = self.machine.series(self.spec)
        if live != self.spec["target_series"]:
            self._phase_failed("all phases have ended well, but the machine runs {0}".format(live or "an unknown series"))
            self.go_on()
            return
        self.book.move("phases done, no reboot", resumed=False)
        self.go_on()

    def _next_step(self) -> None:
        work = self._make_work("plan", self._desk, self.record["memory"])
        try:
            steps = self.machine.way_back(self.spec, work)
        except StepFailed as problem:
            self.book.move("failed", reason=str(problem))
            return
        name = [step.name for step in steps if step.name not in self.record["done"]][0]
        self._begin("rollback-" + name, lambda work: self._step_back(name, work))
        self.book.tell("phase", msg=[step.describe for step in steps if step.name == name][0],
                       percent=round(100.0 * len(self.record["done"]) / len(steps)))

    def _step_back(self, name: str, work: Work) -> bool:
        """In the worker's thread: one step, by check, do, verify. True when it was the last one."""
        steps = self.machine.way_back(self.spec, work)
        step = [step for step in steps if step.name == name][0]
        if not step.check():
            # What was done in this boot needs a boot after it, however often the machine was booted before.
            if name not in ("resume", "seen"):
                work.remember("acted_boot", self.machine.boot_id)
            step.do()
        problem = step.verify()
        if problem:
            raise StepFailed("{0}: {1}".format(step.describe, problem))
        return step.name == steps[-1].name

    # What was heard ---------------------------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Take in what a thread says. Raises NotDurable, and then wants to be told again."""
        if message.kind == "progress":
            self.book.tell("progress", durable=False, **message.value)
        elif message.kind == "remember":
            self._remember(message)
        elif message.kind == "looked":
            self._looked(message)
        elif message.kind == "done" and self.work is not None and self.work.name == message.about:
            self._ended(message)
            self.go_on()

    def _remember(self, message: Message) -> None:
        problem = None
        try:
            self.book.change(memory=dict(self.record["memory"], **{message.about: message.value}))
        except NotDurable as error:
            problem = str(error)
        if message.answered is not None:
            message.answered(problem)

    def _ended(self, message: Message) -> None:
        name, error = message.about, message.error
        state = self.book.state
        if name == "clean":
            self._cleaned(error)
        elif error == "stopped" or self._overtaken(name):
            pass
        elif name == "undo":
            reason = self.record["aborting"] + ("; and it could not be undone whole: " + error if error else "")
            self.book.move("undone", reason=reason, aborting=None)
        elif name == "commit":
            # The decision stands; what could not be put back is told, and a person looks at it.
            self.book.move("recorded", reason=self.record["reason"] + ("; but " + error if error else ""))
        elif state in (states.ARMED, UPGRADING):
            if error:
                self._phase_failed(error)
            else:
                self.book.change(done=self.record["done"] + [name])
                self.book.tell("phase", msg="{0} is done".format(name), percent=100)
        elif name == "reboot":
            self.book.move("failed", reason=error or "the machine was not rebooted", held_from=REBOOTING)
        elif name == "resume" and error:
            if state == WATCHING:
                self._bad(error)
        elif name == "resume":
            self.book.change(resumed=True)
            self.book.tell("phase", msg="the units run again", percent=100)
        elif error:
            self.book.move("failed", reason=error)
        elif message.value:
            self.book.move("seen", reason=self.record["reason"])
        else:
            self.book.change(done=self.record["done"] + [name[len("rollback-"):]])
        self.work = None

    def _cleaned(self, error: Optional[str]) -> None:
        if error == "stopped":
            return
        if error:
            # What could not be deleted is tried again when it has been kept for another while.
            self.book.change(cleaning=None, retain_remaining=max(CLEAN_AGAIN, self.record["retain_remaining"]))
            self.book.tell("log", msg="not everything was deleted: " + error)
            return
        # Never while a drop may be under way: what leads back is there whole, or it is not offered.
        self.book.change(cleaning=None, kept=[], memory=dict(self.record["memory"], snapshot=None))
        self.book.tell("log", msg="what led back was deleted")

    def _overtaken(self, name: str) -> bool:
        """A request has been made durable while this work ran; what it found no longer decides."""
        if self.book.state == states.COMMITTING:
            return name != "commit"
        return self.book.state in (ROLLBACK_REQUESTED, states.COMMITTED) or (bool(self.record["aborting"]) and name != "undo")

    def _phase_failed(self, reason: str) -> None:
        if not self.record["irreversible"]:
            self.book.change(aborting=reason)
            self.book.tell("log", msg="{0}; what was done is put back".format(reason))
        else:
            self._bad(reason)

    def _bad(self, reason: str) -> None:
        """The upgrade has failed or its result is not healthy: go back if that is the policy and there is a way."""
        state = self.book.state
        if self.spec["on_failure"] == "rollback":
            obstacle = self._obstacle()
            if obstacle is None:
                self.book.move("rollback", reason=reason)
                return
            reason += "; and " + obstacle
        self.book.move("hold" if state == WATCHING else "failed", reason=reason, held_from=state)

    def _obstacle(self) -> Optional[str]:
        """Why the watcher does not go back by itself; None when it may."""
        if not self.machine.can_go_back(self.spec, self.record["memory"]):
            return "there is nothing to go back to"
        passed = self.machine.points_passed(self.spec)
        return "there is no way back by itself: " + told(passed) if passed else None

    def _new_boot(self) -> None:
        """The machine has booted since the record was written. What runs now decides, not what was meant to."""
        live, state = self.machine.series(self.spec), self.book.state
        runs = "the machine has booted into {0}".format(live or "an unknown series")
        expected = live == self.spec["target_series"]
        if state == REBOOTING and expected:
            self.book.move("new boot", reason=runs, boot_id=self.machine.boot_id, resumed=False, booted=True)
        elif state in (REBOOTING, WATCHING) and not expected:
            self.book.move("failed" if state == REBOOTING else "hold", reason=runs + ", not " + self.spec["target_series"], held_from=state,
                           boot_id=self.machine.boot_id, resumed=False, booted=True)
        elif state == UPGRADING and not self.record["irreversible"] and not self.record["aborting"]:
            # Also a person who chose the snapshot in the boot menu: its record says that it was just being taken.
            self.book.change(boot_id=self.machine.boot_id, aborting="the machine has rebooted before anything was changed")
        elif state == states.ARMED:
            # Whatever was drained runs again.
            self.book.change(boot_id=self.machine.boot_id, begun=[], done=[])
        else:
            booted = self.record["booted"] or (state == HELD and self.record["held_from"] == REBOOTING)
            self.book.change(boot_id=self.machine.boot_id, resumed=False, booted=booted)
        self.book.tell("log", msg=runs)

    # Watching ---------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at what is due and let time pass. Raises NotDurable, and then wants to be called again."""
        now = self.clock.now()
        passed, self._last_tick = now - self._last_tick, now
        if not self._taken_over:
            self.take_over()
        # What could not be begun because it could not be recorded is begun now.
        self.go_on()
        if self.book.state in states.KEEPING:
            self._keep(passed)
            return
        watching = self.book.state == HELD or (self.book.state == WATCHING and self.record["resumed"])
        if not watching or self.leaving:
            self.health, self._was_healthy = None, False
            return
        if self.health is None:
            patience = min(self.spec["grace"], LONGEST_START)
            self.health = Health(self.machine.checks(self.spec, self.spec["target_series"]), self.spec["settle"], now, patience)
        self._windows_pass(passed)
        for check in self.health.due(now):
            self._look(check)
        if self.book.state == WATCHING:
            self._decide(now, passed)

    def due_in(self) -> float:
        """Seconds for which tick() would find nothing new to do, if nothing is heard meanwhile; infinite where a second is no matter."""
        if self.health is None:
            return float("inf")
        ends = [self.record["grace_remaining"], self.record["not_after_remaining"]] + [window["remaining"] for window in self.record["windows"]]
        return min([self.health.due_in(self.clock.now())] + [end for end in ends if end is not None])

    def _windows_pass(self, passed: float) -> None:
        """Announced disruptions last as long as was said, of the time that somebody has looked."""
        if not self.record["windows"] or passed > LONGEST_TICK:
            return
        left = [dict(window, remaining=max(0.0, window["remaining"] - passed)) for window in self.record["windows"]]
        still = [window for window in left if window["remaining"] > 0]
        if len(still) < len(left):
            self.book.change(windows=still)
            self.book.tell("log", msg="over: " + "; ".join(window["what"] for window in left if window["remaining"] == 0))
        else:
            self.book.record.update(windows=left)

    def _keep(self, passed: float) -> None:
        """After the end: what leads back is kept for a while that no step of a clock shortens, and then deleted."""
        self.health, self._was_healthy = None, False
        if self.leaving or self.record["cleaning"] or passed > LONGEST_TICK or not self.keeps():
            return
        left = max(0.0, self.record["retain_remaining"] - passed)
        if left == 0:
            self.book.change(retain_remaining=left, cleaning="kept for {0} days".format(self.spec["retain"]))
            self.go_on()
            return
        self._unsaved += passed
        if self._unsaved >= KEEP_CHECKPOINT:
            self.book.change(retain_remaining=left)
            self._unsaved = 0.0
        else:
            self.book.record.update(retain_remaining=left)

    def keeps(self) -> bool:
        """Whether there is anything that only a person's rollback would still need."""
        return self.record["memory"].get("snapshot") is not None or bool(self.record["kept"])

    def _look(self, check: Record) -> None:
        work = self._make_work("look", self._desk, self.record["memory"])
        work.look(check["name"], lambda: self.machine.look(self.spec, check, work))

    def _looked(self, message: Message) -> None:
        if self.health is None or message.value is None:
            return
        outcome, msg = message.value
        if self.health.observe(message.about, outcome, msg, self.clock.now(), expected=bool(self.record["windows"])):
            self.book.tell("check", msg="{0}: {1}".format(message.about, msg), check=message.about, outcome=outcome)

    def _decide(self, now: float, passed: float) -> None:
        verdict = self.health.verdict(now) if self.health else None
        if verdict == UNHEALTHY:
            self._bad(self.health.complaint())
            self.go_on()
            return
        observed = passed <= LONGEST_TICK
        changes: Record = {}
        # Only time between two healthy looks counts, so downtime and blindness never commit.
        if verdict == HEALTHY and self._was_healthy and observed:
            changes["grace_remaining"] = max(0.0, self.record["grace_remaining"] - passed)
        if self.record["not_after_remaining"] is not None and observed:
            changes["not_after_remaining"] = max(0.0, self.record["not_after_remaining"] - passed)
        self._was_healthy = verdict == HEALTHY
        if changes.get("grace_remaining") == 0 and verdict == HEALTHY:
            self.book.move("healthy", reason="healthy for {0} s".format(self.spec["grace"]), **changes)
        elif changes.get("not_after_remaining") == 0:
            self._expired(verdict == HEALTHY, changes)
        else:
            self._let_pass(passed, changes)
        self.go_on()

    def _let_pass(self, passed: float, changes: Record) -> None:
        self._unsaved += passed
        if self._unsaved >= CHECKPOINT:
            self.book.change(**changes)
            self._unsaved = 0.0
        else:
            self.book.record.update(changes)

    def _expired(self, healthy: bool, changes: Record) -> None:
        policy = self.spec["on_expiry"]
        if healthy and policy == "commit_if_healthy":
            self.book.move("healthy", reason="healthy when the time was over", **changes)
            return
        reason = "the time was over before the grace was"
        obstacle = self._obstacle() if policy == "rollback" else None
        if policy == "rollback" and obstacle is None:
            self.book.move("rollback", reason=reason, **changes)
        else:
            self.book.move("hold", reason=reason + ("; and " + obstacle if obstacle else ""), held_from=WATCHING, **changes)

    # Leaving ----------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """SIGTERM: finish a step of the way back (but do not wait for a reboot), else stop now; everything is resumable."""
        self.leaving = True
        finishes = self.book.state == ROLLING_BACK and self.work is not None and self.work.name != "rollback-reboot"
        if self.work is not None and not finishes:
            self.work.stop(keep_programs=True)

    def forget_reboot(self) -> None:
        """A person has resumed a reboot that did not happen: ask for it again."""
        self._reboot_asked = False

    def overtake(self) -> None:
        """A durable request makes the running work pointless: end it, with the programs it has started."""
        if self.work is not None:
            self.work.stop(keep_programs=False)
