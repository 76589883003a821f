# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hands of the watcher: one phase, step or look at a time in a thread of its own, telling the loop by its mailbox.

A thread here never writes the marker; remember() asks the loop to and waits.
"""

from __future__ import annotations

import collections
import os
import shutil
import signal
import threading
import time
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import programs
from .detached import Detached, NotLaunched
from .steps import Context, Result, StepFailed

POLL = 0.1
# How long a program may take to end after SIGTERM before it is killed.
STOP_PATIENCE = 60


class Message(NamedTuple):
    """What a thread tells the loop. kind: done, looked, progress, remember."""

    kind: str
    about: str
    value: Any = None
    error: Optional[str] = None
    answered: Optional[Callable[[Optional[str]], None]] = None


class Mailbox:
    """Messages from threads to the loop; wake is called after each, so that the loop need not poll."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._messages: Deque[Message] = collections.deque()

    def post(self, message: Message) -> None:
        self._messages.append(message)
        self._wake()

    def put_back(self, message: Message) -> None:
        self._messages.appendleft(message)

    def take(self) -> Optional[Message]:
        return self._messages.popleft() if self._messages else None


class Stopped(Exception):
    """The loop wants this work to end; nothing is recorded about it."""


class Desk:
    """What all work on this machine shares: where it lives and how long programs are launched."""

    def __init__(self, state_dir: str, run_id: str, boot_id: str, mailbox: Mailbox,
                 launch: Optional[Callable[[str], Callable[[List[str]], List[str]]]] = None) -> None:
        self.state_dir = state_dir
        self.log_dir = os.path.join(state_dir, "log")
        self.calls_dir = os.path.join(state_dir, "calls")
        self.run_id = run_id
        self.boot_id = boot_id
        self.mailbox = mailbox
        self.launch = launch


class Work(Context):
    """One piece of work and the Context it is given. The loop starts it, hears `done` about it, and may stop() it."""

    def __init__(self, name: str, desk: Desk, memory: Mapping[str, Any]) -> None:
        self.name = name
        self.state_dir, self.log_dir, self.run_id = desk.state_dir, desk.log_dir, desk.run_id
        self._desk = desk
        self._memory: Dict[str, Any] = dict(memory)
        self._calls = 0
        self._told = (0.0, -1)
        self.stopping = threading.Event()
        self._keep_programs = True

    def start(self, act: Callable[[Context], Any], afresh: bool = False) -> None:
        """Begin; afresh forgets the calls that an earlier beginning of work of this name has made."""
        if afresh:
            shutil.rmtree(self._calls_dir(), ignore_errors=True)
        threading.Thread(target=self._act, args=(act,), name=self.name, daemon=True).start()

    def look(self, about: str, act: Callable[[], Any]) -> None:
        """Like start(), for a question that changes nothing; the loop hears `looked` about it."""
        threading.Thread(target=self._look, args=(about, act), name="look at " + about, daemon=True).start()

    def _look(self, about: str, act: Callable[[], Any]) -> None:
        try:
            value = act()
        except Exception as problem:  # pylint: disable=broad-exception-caught  # a look that fails has seen nothing good
            value = ("unreachable", "{0}: {1}".format(type(problem).__name__, problem))
        self._desk.mailbox.post(Message("looked", about, value))

    def stop(self, keep_programs: bool) -> None:
        """Ask it to end soon. keep_programs: what call() started goes on, to be attached to later; otherwise it is ended first."""
        self._keep_programs = keep_programs
        self.stopping.set()

    def _act(self, act: Callable[[Context], Any]) -> None:
        value, error = None, None
        try:
            value = act(self)
        except Stopped:
            error = "stopped"
        except StepFailed as problem:
            error = str(problem) or "failed without a reason"
        except Exception as problem:  # pylint: disable=broad-exception-caught  # a bug in a method must end in a recorded state as well
            error = "{0}: {1}".format(type(problem).__name__, problem)
        self._desk.mailbox.post(Message("done", self.name, value, error))

    def call(self, argv: Sequence[str], log: str, on_line: Optional[Callable[[str], None]] = None, env: Optional[Mapping[str, str]] = None) -> int:
        self._calls += 1
        program = Detached(os.path.join(self._calls_dir(), str(self._calls)), os.path.join(self.log_dir, log), self._desk.boot_id)
        if not program.attach(argv):
            self._start(program, argv, env)
        output = _Tail(program.log, program.offset(), on_line)
        while True:
            rc = program.poll()
            output.read(last=rc is not None)
            if rc is not None:
                return rc
            if self.stopping.wait(POLL):
                if not self._keep_programs:
                    _end(program)
                raise Stopped()

    def _start(self, program: Detached, argv: Sequence[str], env: Optional[Mapping[str, str]]) -> None:
        try:
            if self._desk.launch is None:
                program.start(argv, env)
                return
            try:
                program.start(argv, env, self._desk.launch("{0}-{1}".format(self.name, self._calls)))
            except NotLaunched:
                # systemd itself may be half upgraded when a phase repairs; a session of its own is the next best thing.
                program.start(argv, env)
        except OSError as problem:
            raise StepFailed("{0} could not be started: {1}".format(argv[0], problem))

    def run(self, argv: Sequence[str], timeout: float = 60, env: Optional[Mapping[str, str]] = None) -> Result:
        result = programs.run(argv, timeout, env, self.stopping)
        if self.stopping.is_set() and result.rc == programs.TIMED_OUT:
            raise Stopped()
        return result

    def wait(self, seconds: float) -> None:
        """Wait without being deaf to stop()."""
        if self.stopping.wait(seconds):
            raise Stopped()

    def progress(self, percent: Optional[float], msg: str) -> None:
        now, whole = time.monotonic(), -1 if percent is None else int(percent)
        # One event for each percent, else one a second: apt says something for every file.
        if whole == self._told[1] and now - self._told[0] < 1:
            return
        self._told = (now, whole)
        self._desk.mailbox.post(Message("progress", self.name, {"percent": percent, "msg": msg}))

    def remember(self, key: str, value: Any) -> None:
        answered = threading.Event()
        problem: List[Optional[str]] = []

        def answer(error: Optional[str]) -> None:
            problem.append(error)
            answered.set()

        self._desk.mailbox.post(Message("remember", key, value, answered=answer))
        while not answered.wait(POLL):
            # A loop that is leaving answers nobody.
            if self.stopping.is_set() and not answered.wait(1):
                raise Stopped()
        if problem[0]:
            raise StepFailed(problem[0])
        self._memory[key] = value

    def recall(self, key: str, default: Any = None) -> Any:
        return self._memory.get(key, default)

    def _calls_dir(self) -> str:
        return os.path.join(self._desk.calls_dir, self.name)


class _Tail:
    """Hands the lines that a program writes to on_line, as they come."""

    def __init__(self, path: str, offset: int, on_line: Optional[Callable[[str], None]]) -> None:
        self._path = path
        self._offset = offset
        self._on_line = on_line
        self._rest = b""

    def read(self, last: bool) -> None:
        if self._on_line is None:
            return
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if last and self._rest:
            lines.append(self._rest)
        for line in lines:
            self._on_line(line.decode("utf-8", "replace"))


def _end(program: Detached) -> None:
    program.stop(signal.SIGTERM)
    deadline = time.monotonic() + STOP_PATIENCE
    while program.poll() is None:
        if time.monotonic() > deadline:
            program.stop(signal.SIGKILL)
        time.sleep(POLL)
