# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A whole life of an upgrade, told by a seed: what is asked when, what fails, and how it ends. And what disturbs it: at any durable step.

Steps are found by counting what is done to the disk, so nobody keeps a list of them. The client of a story repeats what was not
answered under the same id, and the world does what it is told, so an undisturbed life says how a disturbed one has to end.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import random
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import files, journal
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Marker, NotDurable
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.work import Message
from tests.rig.oracle import follows
from tests.rig.watcher import Rig

DISTURBANCES = ("killed before", "killed after", "torn", "full", "read-only", "clock forward", "clock back", "off")
TERMINAL = ("COMMITTED", "ABORTED", "ROLLED_BACK", "ROLLBACK_FAILED")
# What an act on the disk is, of all that the rooms call in os.
DURABLE = ("open", "fsync", "link", "rename", "unlink", "write")
YEAR = 365 * 86400


class Killed(BaseException):
    """kill -9: nothing catches it."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """One request of the story's client: asked as soon as the state is one of these and nothing runs there."""

    states: tuple[str, ...]
    do: str
    more: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Story:
    """Told by a seed."""

    reboot: bool
    ending: str
    wishes: tuple[Wish, ...]

    @classmethod
    def told_by(cls, seed: int) -> Story:
        dice = random.Random(seed)
        watched, wishes = ("WATCHING",), [Wish(("ARMED",), "upgrade")]
        if dice.random() < 0.5:
            wishes.insert(0, Wish(("ARMED",), "drain"))
        for middle in dice.sample(("extend", "disruption", "hold"), dice.randrange(4)):
            wishes += {
                "extend": [Wish(watched, "extend", {"seconds": 3})],
                "disruption": [Wish(watched, "expect_disruption", {"seconds": 4, "what": "a word"})],
                "hold": [Wish(watched, "hold"), Wish(("HELD",), "resume")],
            }[middle]
        # Seeds that follow one another tell every ending.
        ending = ENDINGS[seed % len(ENDINGS)]
        wishes += {
            "commit": [Wish(watched, "commit", {"force": True})], "rollback": [Wish(watched, "rollback", {"reason": "as told"})],
            "way back fails": [Wish(watched, "rollback")], "late": [Wish(("COMMITTED",), "rollback")], "clean": [Wish(("COMMITTED",), "clean")],
            "held commit": [Wish(watched, "hold"), Wish(("HELD",), "commit", {"force": True})],
            "held rollback": [Wish(watched, "hold"), Wish(("HELD",), "rollback")],
        }.get(ending, [])
        if ending in ("prepare fails", "change fails"):
            wishes = [wish for wish in wishes if wish.states == ("ARMED",)]
        return cls(dice.random() < 0.5, ending, tuple(wishes))


ENDINGS = ("expire", "commit", "rollback", "ill", "late", "clean", "held commit", "held rollback", "prepare fails", "change fails", "way back fails")


class Disk:
    """Stands where the rooms find os; counts what is done to the disk, and disturbs the n-th act."""

    def __init__(self) -> None:
        self.acts = 0
        self.at: int | None = None
        self.how = ""
        self.tear: t.Callable[[], None] = lambda: None
        self.renamed = ""
        self.trouble = 0

    def __getattr__(self, name: str) -> t.Any:
        real = getattr(os, name)
        if name == "open":
            return lambda path, flags, *more: self._act(name, real, (path, flags, *more), {}) if flags & os.O_CREAT else real(path, flags, *more)
        return (lambda *given, **more: self._act(name, real, given, more)) if name in DURABLE else real

    def _act(self, name: str, real: t.Callable[..., t.Any], given: t.Any, more: t.Any) -> t.Any:
        self.acts += 1
        struck = self.acts == self.at
        if struck and self.how == "killed before":
            raise Killed()
        if struck and self.how in ("full", "read-only"):
            self.trouble = 12
        if self.trouble and name != "unlink":
            self.trouble -= 1
            raise OSError(errno.ENOSPC if self.how == "full" else errno.EROFS, self.how)
        done = None if name == "fsync" else real(*given, **more)
        if name == "rename":
            self.renamed = given[1]
        if struck and self.how in ("killed after", "torn"):
            if self.how == "torn":
                self.tear()
            raise Killed()
        return done


class Watched(Marker):
    """A marker that holds every record against the one before."""

    writing = False
    promised: t.Any = None

    def write(self, record: t.Any) -> t.Any:
        # Not what lies on the disk: a refused write that could not be taken back was never promised to anybody.
        before = self.promised or self.read()
        Watched.writing = True
        if isinstance(files.os, Disk):
            files.os.renamed = ""
        try:
            written = super().write(record)
        finally:
            Watched.writing = False
        if before is not None and before["upgrade_id"] == written["upgrade_id"]:
            follows(before, written)
        self.promised = written
        return written


class Life:
    """One telling of a story, with at most one disturbance; to_the_end() answers how it ended."""

    def __init__(self, directory: pathlib.Path, story: Story, disk: Disk) -> None:
        self.story, self.disk = story, disk
        directory.mkdir(exist_ok=True)
        self.rig = Rig(directory, reboot=story.reboot, grace=4, interval=1, allowed_misses=1)
        self.rig.machine.goes_back = True
        self.answers: list[t.Any] = []
        # A request was sent and its answer not heard: the client asks again, whatever has happened meanwhile.
        self.cut = False
        self.boots = 0
        self.back_booted = False
        self.disturbed_early = False
        disk.tear = self._tear

    def to_the_end(self) -> tuple[str, str | None, list[str]]:
        self.disk.acts, turns = 0, 0
        alive = False
        while True:
            turns += 1
            assert turns < 400, "no end: %s %s" % (self.rig.state, self.rig.watcher.work and self.rig.watcher.work.name)
            try:
                if not alive:
                    self._start()
                    alive = True
                self._weather()
                if self._is_over():
                    return self.rig.state, self.rig.record["reason"], [answer["result"] for answer in self.answers]
                self._turn()
            except NotDurable:
                continue  # the loop tries again in its next turn
            except Killed:
                alive = False

    def _turn(self) -> None:
        rig, wish = self.rig, self._wish()
        work = rig.watcher.work
        its_time = wish is not None and rig.state in wish.states and (work is None or rig.state == "ARMED") and not rig.record["aborting"]
        if wish is not None and (its_time or self.cut):
            self.cut = True
            answer = rig.ask(wish.do, request_id="%s-%d" % (wish.do, len(self.answers)), **wish.more)
            self.cut = False
            if answer["ok"]:
                self.answers.append(answer)
            else:
                assert answer["kind"] == "not_durable", answer
        elif work is not None:
            self._end(work.name)
        else:
            if self.story.ending == "ill" and rig.state == "WATCHING" and wish is None:
                rig.shows["db answers"] = "failed"
            rig.answer_looks()
            rig.let_pass(1)

    def _wish(self) -> Wish | None:
        return self.story.wishes[len(self.answers)] if len(self.answers) < len(self.story.wishes) else None

    def _end(self, name: str) -> None:
        rig, ending = self.rig, self.story.ending
        if name in ("reboot", "rollback-reboot") and not (name == "rollback-reboot" and self.back_booted):
            self.back_booted = name == "rollback-reboot"
            self._boot()
            return
        fails = (ending, name) in (("prepare fails", "prepare"), ("change fails", "change"), ("way back fails", "rollback-resume"))
        if name == "prepare" and not fails:
            rig.watcher.hear(Message("remember", "snapshot", {"name": "one"}))
            if "snapshot" not in rig.record["memory"]:
                return  # it could not be recorded, so this work waits
        if name == "prove":
            rig.machine.live = "trixie"
        if name == "rollback-put back":
            rig.machine.live, self.back_booted = "bookworm", False
        rig.end(name, error="as the story goes" if fails else None, value=name == "rollback-seen" or None)

    def _boot(self) -> None:
        self.boots += 1
        self.rig.machine.boot_id = "boot-%d" % (self.boots + 10)
        self.rig.clock.at = 3.0
        self.rig.clock.date += 60
        self._start()

    def _start(self) -> None:
        files.sweep(self.rig.directory)
        self.rig.looks.clear()
        self.rig.start(Watched)

    def _weather(self) -> None:
        """Disturbances that are no failure of the disk come in the first turn after their step."""
        if self.disk.at is None or self.disk.acts < self.disk.at or self.disk.how not in ("clock forward", "clock back", "off"):
            return
        self.disk.at = None
        if self.disk.how == "off":
            # Longer than the grace; and before anything irreversible, an upgrade that lost its boot is given up.
            self.disturbed_early = self.rig.state == "UPGRADING" and not self.rig.record["irreversible"]
            self.rig.clock.date += 3600
            self.back_booted = self.back_booted or "put back" in self.rig.record["done"]
            self._boot()
        else:
            self.rig.clock.date += YEAR if self.disk.how == "clock forward" else -YEAR

    def _is_over(self) -> bool:
        wish, rig = self._wish(), self.rig
        idle = rig.watcher.work is None and not self.cut and not rig.record["cleaning"]
        return rig.state in TERMINAL and idle and (wish is None or rig.state not in wish.states)

    def _tear(self) -> None:
        """Only what was not synced yet can tear: the marker between its rename and the end of its write."""
        path = self.rig.marker.path
        if Watched.writing and self.disk.renamed == path:
            os.truncate(path, os.path.getsize(path) // 2)


def tell(directory: pathlib.Path, story: Story, at: int | None = None, how: str = "") -> tuple[t.Any, Life]:
    """The end of one telling, and the life; at and how: the disturbance. The rooms' os is the disk meanwhile."""
    disk = Disk()
    rooms: list[t.Any] = [files, journal]
    for room in rooms:
        room.os = disk
    try:
        life = Life(directory, story, disk)
        disk.at, disk.how = at, how
        return life.to_the_end(), life
    finally:
        for room in rooms:
            room.os = os
