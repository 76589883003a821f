# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watcher without threads, sockets and time: the test moves the clock, ends the work and answers the looks."""

from __future__ import annotations

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import record, requests
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.journal import Journal
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.machine import Machine
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Marker
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.spec import checked
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Phase, Step
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.watcher import Watcher
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.work import Message

SPEC = {
    "upgrade_id": "to-trixie/m1/1", "run": "to-trixie", "machine": "m1", "source_series": "bookworm", "target_series": "trixie", "method": "command",
    "command": {"upgrade": "up", "rollback": "down"}, "grace": 10, "interval": 1, "allowed_misses": 2,
    "checks": [{"name": "db answers", "kind": "tcp", "port": 5432}],
}


class Clock:
    def __init__(self):
        self.at = 1000.37
        self.date = 1.8e9

    def now(self):
        return self.at

    def wall(self):
        return self.date


class StandInMachine(Machine):
    """Phases drain, prepare, change (irreversible), prove; steps put back, reboot, resume, seen. What they do is up to the test."""

    def __init__(self, clock):
        super().__init__(clock, "boot-1", ["true"])
        self.live = "bookworm"
        self.goes_back = True
        self.names = ["drain", "prepare", "change", "prove"]

    def series(self, spec):
        return self.live

    def phases(self, spec, work):
        return [Phase(name, "Do " + name, lambda ctx: None, irreversible=name in ("change", "prove")) for name in self.names]

    def can_go_back(self, spec, memory):
        return self.goes_back

    def way_back(self, spec, work):
        names = ["put back"] + (["reboot"] if spec["reboot"] else []) + ["resume", "seen"]
        return [Step(name, "Go back: " + name, lambda: False, lambda: None, lambda: None) for name in names]


class StandInWork:
    """Work that ends when the test says so."""

    def __init__(self, rig, name):
        self.rig = rig
        self.name = name
        self.stopped = None

    def start(self, act, afresh=False):
        self.rig.begun.append(self.name)
        self.afresh = afresh

    def look(self, about, act):
        self.rig.looks.append(about)

    def stop(self, keep_programs):
        self.stopped = keep_programs


class Rig:
    def __init__(self, directory, **spec):
        self.directory = str(directory)
        self.clock = Clock()
        self.machine = StandInMachine(self.clock)
        self.begun, self.looks = [], []
        # What a look at each check shows; the series is looked at for real.
        self.shows = {"db answers": "ok"}
        self.spec = checked(dict(SPEC, **spec))
        self.arm()
        self.start()

    def arm(self):
        """What the module writes."""
        marker = Marker(self.directory)
        marker.write(record.fresh(self.spec, self.clock.wall(), "boot-1", {}, marker.read()))

    def start(self, marker_type=Marker):
        """A new process of the watcher, on what the disk holds."""
        self.marker = marker_type(self.directory)
        self.journal = Journal(self.directory)
        self.watch(record.Book(self.marker.read(), self.marker, self.journal, self.clock))

    def watch(self, book):
        self.watcher = Watcher(book, self.machine, None, self.clock, make_work=lambda name, desk, memory: StandInWork(self, name))
        self.watcher.take_over()

    def boot(self, into, boot_id="boot-2"):
        """The machine goes down and comes up again."""
        self.machine.live, self.machine.boot_id = into, boot_id
        self.clock.at = 3.0
        self.clock.date += 60
        self.start()

    @property
    def state(self):
        return self.watcher.book.state

    @property
    def record(self):
        return self.watcher.record

    def ask(self, do, request_id=None, **more):
        return requests.handle(self.watcher, dict(more, v=1, do=do, request_id=request_id or "%s-%d" % (do, len(self.record["requests"]))))

    def end(self, name, error=None, value=None):
        """The work that runs is this one, and it ends."""
        assert self.watcher.work is not None, "nothing runs"
        assert self.watcher.work.name == name
        self.watcher.hear(Message("done", name, value, error))

    def upgrade(self, reboot=None):
        """All the way to WATCHING, on the target."""
        assert self.ask("upgrade")["result"] == "accepted"
        for name in ("drain", "prepare", "change"):
            self.end(name)
        self.machine.live = "trixie"
        self.end("prove")
        if self.state == "REBOOTING":
            self.boot("trixie")
        self.end("resume")

    def go_back(self):
        """The steps of the way back, as a machine that does what it is told."""
        self.end("rollback-put back")
        self.machine.live = "bookworm"
        if self.watcher.work.name == "rollback-reboot":
            self.boot("bookworm", "boot-3")
            self.end("rollback-reboot")
        self.end("rollback-resume")
        self.end("rollback-seen", value=True)

    def let_pass(self, seconds, tick=1.0):
        """Time passes, and every look is answered."""
        for _turn in range(int(seconds / tick)):
            self.clock.at += tick
            self.clock.date += tick
            self.watcher.tick()
            self.answer_looks()

    def answer_looks(self):
        while self.looks:
            name = self.looks.pop(0)
            outcome = self.shows.get(name, "ok") if name != "series" else ("ok" if self.machine.live == self.watcher.spec["target_series"] else "failed")
            self.watcher.hear(Message("looked", name, (outcome, "as the test says")))
