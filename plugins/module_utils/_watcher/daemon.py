# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watcher as a process: lock, marker, socket, and one loop."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from . import files, protocol, requests, spool, states
from .clock import Clock
from .conversation import Conversations, listen
from .journal import Journal
from .lock import Busy, Lock
from .machine import Machine
from .marker import Damaged, Marker
from .record import Book, NotDurable, sound
from .watcher import Watcher
from .work import Desk, Mailbox

# Ends of the process, told apart by whoever starts it. Only 0 means "nothing more to do here"; the unit restarts after 1 and 20.
EXIT = {states.COMMITTED: 10, states.ROLLED_BACK: 11, states.ABORTED: 12, states.ROLLBACK_FAILED: 13, states.HELD: 14, states.INVALID: 15}
EXIT_INTERRUPTED = 20
EXIT_BUSY = 21
EXIT_NOT_ARMED = 22
EXIT_NO_PLACE = 23
# The loop turns at least this often while anything is going on, to look at the clock and at the spool. At rest it turns when something is
# due, and once in a REST for the spool: a watcher may watch for days on a machine that has other things to do.
TURN = 0.25
REST = 1.0


class Options(NamedTuple):
    """Where a watcher lives. boot_id_file and reboot_command are for machines that are not real ones."""

    state_dir: str
    runtime_dir: str
    transient_units: bool = False
    boot_id_file: str = "/proc/sys/kernel/random/boot_id"
    reboot_command: str = "systemctl reboot"


def serve(options: Options) -> int:
    """Be the watcher until there is a reason to end; the exit status says which."""
    signals = Signals()
    lock = Lock(os.path.join(options.state_dir, "lock"))
    try:
        lock.take()
    except Busy as problem:
        say(str(problem))
        return EXIT_BUSY
    except OSError as problem:
        say("the state directory cannot be used: {0}".format(problem))
        return EXIT_NO_PLACE
    marker = Marker(options.state_dir, writer=_writer(options))
    files.sweep(options.state_dir)
    try:
        record = marker.read()
        if record is not None:
            record = sound(record)
    except Damaged as problem:
        return Loop(options, signals, _Invalid(str(problem)), None, None).run()
    if record is None:
        say("there is no upgrade in {0}: arm one first".format(options.state_dir))
        return EXIT_NOT_ARMED
    clock, mailbox = Clock(), Mailbox(signals.wake)
    boot_id = read_boot_id(options.boot_id_file)
    desk = Desk(options.state_dir, record["upgrade_id"], boot_id, mailbox, _transient_unit if options.transient_units else None)
    book = Book(record, marker, Journal(options.state_dir), clock)
    watcher = _Watcher(book, Machine(clock, boot_id, ["/bin/sh", "-c", options.reboot_command]), desk, clock)
    return Loop(options, signals, watcher, mailbox, book.journal).run()


class Loop:
    """One turn: what peers and threads say, what lies in the spool, what the time asks for, what listeners are owed."""

    def __init__(self, options: Options, signals: Signals, watcher: Any, mailbox: Optional[Mailbox], journal: Optional[Journal]) -> None:
        self._options = options
        self._signals = signals
        self._watcher = watcher
        self._mailbox = mailbox
        self._journal = journal
        self._trouble: Optional[str] = None

    def run(self) -> int:
        selector = selectors.DefaultSelector()
        selector.register(self._signals.reader, selectors.EVENT_READ, lambda events: self._signals.clear())
        path, group = os.path.join(self._options.runtime_dir, protocol.SOCKET_NAME), self._watcher.group
        try:
            listener = listen(path, group)
        except (OSError, KeyError) as problem:
            say("no control socket at {0}: {1}".format(path, problem))
            return EXIT_NO_PLACE
        peers = Conversations(listener, selector, group, self._watcher, self._journal, Clock().now)
        while True:
            for key, events in selector.select(self._pause(peers)):
                key.data(events)
            self._durably(self._hear_threads)
            self._durably(self._read_spool)
            if self._signals.terminate and not self._watcher.leaving:
                self._watcher.leave()
            self._durably(self._watcher.tick)
            peers.serve()
            if self._watcher.leaving and self._watcher.work is None:
                break
        peers.close()
        # Whoever ends us in the middle gets a status after which the service starts us again.
        state = self._watcher.state()
        return EXIT_INTERRUPTED if self._signals.terminate and state not in states.TERMINAL else EXIT.get(state, EXIT_INTERRUPTED)

    def _pause(self, peers: Conversations) -> float:
        busy = peers.present or self._watcher.work is not None or self._watcher.leaving or self._signals.terminate
        return TURN if busy else max(TURN, min(REST, self._watcher.due_in()))

    def _hear_threads(self) -> None:
        while self._mailbox is not None:
            message = self._mailbox.take()
            if message is None:
                return
            try:
                self._watcher.hear(message)
            except NotDurable:
                self._mailbox.put_back(message)
                raise

    def _read_spool(self) -> None:
        for path, request in spool.waiting(self._options.state_dir):
            answer = self._watcher.request(request)
            if answer.get("kind") in ("not_durable", "stopping", "invalid"):
                return
            say("the request {0} in the spool was {1}".format(request["do"], answer.get("kind") or answer["result"]))
            os.unlink(path)

    def _durably(self, act: Callable[[], None]) -> None:
        """What cannot be recorded is not done, and tried again in the next turn; it is said once."""
        try:
            act()
        except (NotDurable, OSError) as problem:
            if str(problem) != self._trouble:
                say("not done, because it could not be recorded: {0}".format(problem))
            self._trouble = str(problem)


class _Watcher(Watcher):
    """The watcher, with a voice."""

    @property
    def group(self) -> Optional[str]:
        return self.spec["allowed_group"]

    def request(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return requests.handle(self, request)

    def status(self) -> Dict[str, Any]:
        return requests.status(self)

    def state(self) -> str:
        return self.book.state


class _Invalid:
    """Stands where the watcher stands when the marker cannot be read: it answers, and does nothing else."""

    group = None
    work = None

    def __init__(self, problem: str) -> None:
        self.leaving = False
        self._problem = problem
        say(problem)

    def request(self, request: Dict[str, Any]) -> Dict[str, Any]:
        if request["do"] == "status":
            return protocol.answer(request, "status", **self.status())
        if request["do"] == "shutdown":
            self.leave()
            return protocol.answer(request, "accepted", state=states.INVALID)
        return protocol.refusal(request, "invalid", "{0}; look at it, then put back a whole one or move the state directory away".format(self._problem),
                                state=states.INVALID)

    def status(self) -> Dict[str, Any]:
        return {"state": states.INVALID, "reason": self._problem, "generation": None, "upgrade_id": None, "pid": os.getpid(), "history": [], "last_health": []}

    def state(self) -> str:
        return states.INVALID

    def tick(self) -> None:
        """Time changes nothing here."""

    def due_in(self) -> float:
        return REST

    def leave(self) -> None:
        self.leaving = True


class Signals:
    """SIGTERM and SIGINT as something to read in the loop; also how threads wake it. Set before the lock is taken, for the whole life."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)
        self.terminate = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)
        # The end of the SSH session that started us is no reason to end.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def _hear(self, _number: int, _frame: Any) -> None:
        self.terminate = True

    def wake(self) -> None:
        try:
            self._writer.send(b"w")
        except BlockingIOError:
            pass  # so many wake-ups are unread that one more says nothing new

    def clear(self) -> None:
        try:
            while self.reader.recv(4096):
                pass
        except BlockingIOError:
            pass


def read_boot_id(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def _writer(options: Options) -> Dict[str, Any]:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        started = file.read().rpartition(")")[2].split()[19]
    return {"pid": os.getpid(), "start": int(started), "boot_id": read_boot_id(options.boot_id_file)}


def _transient_unit(name: str) -> Callable[[List[str]], List[str]]:
    """Long programs in a unit of their own: whatever happens to the watcher's, dpkg goes on."""
    return lambda argv: ["systemd-run", "--quiet", "--collect", "--unit=series-upgrade-work-{0}".format(name), "--"] + argv


def say(text: str) -> None:
    """One sentence for the unit's log."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
