# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a watcher that lives on meanwhile: work ends well or badly, time passes, the disk is full, the machine boots, the watcher dies.

Whatever is sent, three things are held against every answer and every write: the answer is one of the protocol, a refusal has
changed nothing, and the record has moved along the table of states and never out of a rollback that was promised.
"""

from __future__ import annotations

import json
import pathlib
import random
import selectors
import socket
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import protocol, record as records, requests, states
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.conversation import Conversations, listen
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.journal import Journal
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import NotDurable
from tests.fuzz import garbage
from tests.rig.oracle import WrongState, follows
from tests.rig.watcher import Rig

FIELDS = ("v", "do", "request_id", "reason", "seconds", "if_generation", "force", "for", "timeout", "since", "what")
ID = ("a", "b", "c", "d", "e")


class Paper:
    """A marker without a disk, that looks at everything written on it."""

    def __init__(self, _directory: str = "") -> None:
        self.record: t.Any = None
        self.full = False

    def read(self) -> t.Any:
        return self.record

    def write(self, new: dict[str, t.Any]) -> dict[str, t.Any]:
        if self.full:
            raise NotDurable("no space left")
        written = dict(new, generation=new["generation"] + 1)
        if self.record is not None and new["upgrade_id"] == self.record["upgrade_id"]:
            follows(self.record, written)
        self.record = written
        return written


class Memory(Journal):
    """A journal without a file."""

    def _load(self) -> None:
        pass

    def _write(self, line: bytes, durable: bool) -> None:
        pass


class Life(Rig):
    """A rig that lives on paper."""

    def __init__(self, directory: pathlib.Path, **spec: t.Any) -> None:
        self.paper = Paper()
        super().__init__(directory, **spec)

    def arm(self) -> None:
        self.paper.record = None
        self.paper.write(records.fresh(self.spec, self.clock.wall(), "boot-1", {}, None))

    def start(self, marker_type: t.Any = None) -> None:
        self.marker, self.journal = self.paper, Memory(self.directory)
        self.watch(records.Book(self.paper.read(), t.cast(t.Any, self.paper), self.journal, self.clock))


class Talk:
    """One socket and its peers for all the lives that follow one another; say() sends some lines, live() lets something happen."""

    def __init__(self, directory: pathlib.Path, dice: random.Random) -> None:
        self._dice = dice
        self._directory = directory
        self.at = 0.0
        self.answers: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.begin()
        path = str(directory / "run" / "control.sock")
        self._selector = selectors.DefaultSelector()
        self._conversations = Conversations(listen(path, None), self._selector, None, self, self, lambda: self.at)
        self._path = path
        self._connect()

    # What Conversations wants of a watcher and a journal.

    def request(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        before, known = self.life.paper.record, request.get("request_id") in self.life.record["requests"]
        answer = requests.handle(self.life.watcher, request)
        after = self.life.paper.record
        if not (answer["ok"] and request["do"] in protocol.CHANGING) and before is not after:
            raise WrongState("%r was refused and has changed the record" % (request,))
        if answer["ok"] and request["do"] in protocol.CHANGING and answer["result"] == "accepted":
            if after["requests"].get(request["request_id"]) != answer:
                raise WrongState("%r was accepted and is not in the record" % (request,))
            if known and before is not after:
                raise WrongState("%r was done twice" % (request,))
        if answer["ok"] and request["do"] == "rollback" and after["state"] not in states.BACK | {states.ROLLBACK_FAILED}:
            if not known:
                raise WrongState("a rollback was promised in %s" % after["state"])
        return answer

    def status(self) -> dict[str, t.Any]:
        return requests.status(self.life.watcher)

    def state(self) -> str:
        return self.life.state

    def since(self, seq: int) -> t.Any:
        return self.life.journal.since(seq)

    @property
    def last_seq(self) -> int:
        return self.life.journal.last_seq

    def begin(self) -> None:
        """A new upgrade."""
        dice = self._dice
        self.life = Life(self._directory, reboot=dice.random() < 0.5, grace=dice.choice((3, 10)), not_after=dice.choice((None, 20)),
                         on_failure=dice.choice(("rollback", "hold")), on_expiry=dice.choice(("commit_if_healthy", "hold", "rollback")))
        self.life.machine.goes_back = dice.random() < 0.9
        if dice.random() < 0.7:
            self.life.upgrade()

    # What happens.

    def live(self) -> None:
        """One thing happens in the world."""
        dice, life = self._dice, self.life
        self.at += 1
        # Full until the next thing happens, and while something is asked.
        life.paper.full = dice.random() < 0.1
        try:
            chance = dice.random()
            if life.watcher.leaving:
                life.start()
            elif chance < 0.6 and life.watcher.work is not None:
                self._end_work()
            elif chance < 0.9:
                life.shows["db answers"] = dice.choice(("ok", "ok", "ok", "failed", "unreachable", "busy"))
                life.let_pass(dice.choice((1, 3, 12)))
            elif chance < 0.95:
                life.start()
            else:
                life.boot(dice.choice(("bookworm", "trixie", None)), "boot-%d" % dice.randrange(10 ** 6))
        except NotDurable:
            pass  # the loop would try again
        if life.state in states.TERMINAL and dice.random() < 0.2:
            self.ends[life.state] = self.ends.get(life.state, 0) + 1
            self.begin()

    def _end_work(self) -> None:
        name = self.life.watcher.work.name
        error = self._dice.choice((None, None, None, None, "it failed"))
        if error is None and name == "prove":
            self.life.machine.live = "trixie"
        elif error is None and name == "rollback-put back":
            self.life.machine.live = "bookworm"
        self.life.end(name, error=error, value=name == "rollback-seen" or None)

    # What is said.

    def line(self) -> bytes:
        dice = self._dice
        chance = dice.random()
        if chance < 0.1:
            return dice.choice(garbage.BYTES)
        request: dict[str, t.Any] = {"v": 1, "do": dice.choice(protocol.VERBS), "request_id": dice.choice(ID) + str(dice.randrange(30))}
        if request["do"] in ("extend", "expect_disruption"):
            request.update(seconds=dice.choice((0, 1, 30)), what="a word")
        if request["do"] == "wait":
            request.update({"for": dice.choice(("settled", "terminal", "HELD", ["WATCHING"], "drained")), "timeout": dice.choice((0, 2))})
        if dice.random() < 0.3:
            request["force"] = dice.choice((True, False))
        if chance < 0.4:
            request[dice.choice(FIELDS)] = garbage.value(dice)
        try:
            data = json.dumps(request, ensure_ascii=dice.random() < 0.8).encode("utf-8", "surrogatepass")
        except ValueError:
            data = b"{}"
        return garbage.damaged(dice, data) if chance > 0.9 else data

    def say(self, count: int) -> None:
        """Send count lines, cut anywhere, and hold the answers against the protocol."""
        data = b"".join(self.line().replace(b"\n", b" ") + b"\n" for _number in range(count))
        while data:
            cut = self._dice.randrange(1, len(data) + 1) if self._dice.random() < 0.3 else len(data)
            self._send(data[:cut])
            data = data[cut:]
        if self._dice.random() < 0.02:
            self._peer.close()
            self._turn()
            self._connect()

    def _send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._peer.send(data):]
            except BlockingIOError:
                pass
            except OSError:
                self._connect()
                return
            self._turn()
            if not self._read():
                self._connect()
                return

    def _turn(self) -> None:
        for key, events in self._selector.select(0):
            key.data(events)
        self._conversations.serve()

    def _connect(self) -> None:
        self._peer = socket.socket(socket.AF_UNIX)
        self._peer.connect(self._path)
        self._peer.setblocking(False)
        self._rest = b""
        self._turn()

    def _read(self) -> bool:
        """Take in what was answered; False when the connection was closed."""
        try:
            while True:
                data = self._peer.recv(1 << 20)
                if not data:
                    return False
                self._rest += data
        except BlockingIOError:
            pass
        except OSError:
            return False
        lines = self._rest.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._heard(json.loads(line))
        return True

    def _heard(self, message: dict[str, t.Any]) -> None:
        if "event" in message:
            kind = "event"
        elif message.get("ok") is True:
            kind = message["result"]
        elif message.get("ok") is False and message.get("kind") in protocol.KINDS and message.get("msg"):
            kind = message["kind"]
        else:
            raise WrongState("this is no answer of the protocol: %r" % (message,))
        self.answers[kind] = self.answers.get(kind, 0) + 1

    def close(self) -> None:
        self._peer.close()
        self._conversations.close()
