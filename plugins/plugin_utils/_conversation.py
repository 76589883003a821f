# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
One conversation with one machine's watcher, over as many connections as it takes.

Private room of the collection. Channels, clock and sleep are given; `docs/control_protocol.md` has the words. A request keeps its
request_id over every reconnection, so that it is carried out once however often it is sent.
"""

from __future__ import annotations

import json
import time
import typing as t
import uuid

from ._control_channel import ChannelError, Denied, NoWatcher, Unreachable

try:
    import tenacity
except ImportError as problem:
    HAS_TENACITY: ImportError | None = problem
else:
    HAS_TENACITY = None

VERSION = 1
TERMINAL = ("COMMITTED", "ABORTED", "ROLLED_BACK", "ROLLBACK_FAILED")
# Nobody does anything until a person, or a request, comes.
SETTLED = TERMINAL + ("HELD", "INVALID", "ARMED")
# The phase in which a machine waits for a login at its spare sshd.
SPARE_LOGIN = "spare-login"
# Verbs that change the record; they need a request_id.
CHANGING = ("drain", "upgrade", "rollback", "commit", "abort", "hold", "resume", "extend", "expect_disruption", "clean")
# "Ask again when it has ended", says the protocol of these.
ASK_AGAIN = ("busy", "stopping")
# A watcher answers at once, even while it works. Longer than this and the connection is dead.
ANSWER_WITHIN = 20.0
# How long to listen before asking whether everybody is still there.
LISTEN = 5.0


class Deadline(ChannelError):
    """The outcome was not known in time. The machine goes on by itself."""

    kind = "timeout"
    passing = False


class Refused(ChannelError):
    """The watcher said no; `answer` is what it said. Nothing was changed."""

    kind = "rejected"
    passing = False

    def __init__(self, msg: str, answer: t.Mapping[str, t.Any]) -> None:
        super().__init__(msg)
        self.answer = dict(answer)


class Conversation:
    """
    Speaks with the watcher of NAME.

    LINK() connects and returns something with `open(path) -> Channel` and `close()`. `beat()` is called every few seconds while
    anything is waited for; `tell(event)` once for every event of the journal, and `record(event, at)` with the time at which it happened on
    CLOCK. LOG_IN(port) logs in at the machine's spare sshd; None where that cannot be. PATIENCE: seconds the machine may be out of reach at a
    stretch; FIRST: seconds a socket that has never answered may stay silent.
    """

    def __init__(
        self,
        name: str,
        link: t.Callable[[], t.Any],
        path: str,
        patience: float = 900.0,
        first: float = 5.0,
        beat: t.Callable[[], None] = lambda: None,
        tell: t.Callable[[t.Mapping[str, t.Any]], None] = lambda event: None,
        note: t.Callable[[str], None] = lambda text: None,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
        record: t.Callable[[t.Mapping[str, t.Any], float], None] = lambda event, at: None,
        log_in: t.Callable[[int], None] | None = None,
    ) -> None:
        if HAS_TENACITY:
            raise ChannelError("the Python library tenacity is missing on the controller; install it.")
        self._name, self._connect, self._path = name, link, path
        self._patience, self._first = patience, first
        self._beat, self._tell, self._note = beat, tell, note
        self._clock, self._sleep, self._record = clock, sleep, record
        self._log_in = log_in
        self._link: t.Any = None
        self._heard = False
        self._seen = 0  # seq of the last event told
        self._ahead: float | None = None  # of our clock before the machine's, as seen at the last status

    def ask(self, do: str, deadline: float, **more: t.Any) -> dict[str, t.Any]:
        """
        The watcher's answer to one request. A changing one is durable there when this returns.

        Raises Refused, Deadline, or the ChannelError that would not pass.
        """
        request = {"v": VERSION, "do": do, **{key: value for key, value in more.items() if value is not None}}
        if do in CHANGING:
            request.setdefault("request_id", uuid.uuid4().hex)
        while True:
            answer = self._patiently(lambda: self._once(request), deadline)
            if answer.get("ok") is True:
                return answer
            if answer.get("kind") == "forbidden":
                raise Denied("%s: the watcher lets this user in no further: %s; see upgrade_watcher_allowed_group." % (self._name, answer.get("msg")))
            if answer.get("kind") not in ASK_AGAIN:
                raise Refused("%s: the watcher refused to %s: %s" % (self._name, do, answer.get("msg") or answer.get("kind")), answer)
            if self._clock() >= deadline:
                raise Deadline("%s: the watcher was %s until the time was over: %s" % (self._name, answer["kind"], answer.get("msg")))
            self._note("%s: %s" % (self._name, answer.get("msg") or "the watcher is busy, asking again"))
            self._wait(2.0)

    def status(self, deadline: float) -> dict[str, t.Any]:
        """What the machine is in. Changes nothing."""
        status = self.ask("status", deadline)
        if isinstance(status.get("now"), (int, float)):
            met, self._ahead = self._ahead is not None, self._clock() - status["now"]
            if not met:
                self._record({"event": "state", "state": status.get("state"), "phase": status.get("phase"), "msg": status.get("reason")}, self._clock())
        return status

    def follow(self, until: t.Callable[[t.Mapping[str, t.Any]], bool], deadline: float, since: int | None = None) -> dict[str, t.Any]:
        """
        Tells the events after SINCE until a status satisfies UNTIL, and returns that status.

        What counts is the status, asked for anew; an event only says when to ask. Raises Deadline or the ChannelError that would not pass.
        """
        self._seen = max(self._seen, since or 0)
        while True:
            status = self.status(deadline)
            if until(status):
                self._catch_up(status)
                return status
            self._prove_spare(status)
            if self._clock() >= deadline:
                raise Deadline("%s is still %s after the time allowed; it goes on by itself. Ask again with status." % (self._name, status.get("state")))
            try:
                self._listen(deadline)
            except ChannelError as problem:
                if not problem.passing:
                    raise
                self._drop()

    def _prove_spare(self, status: t.Mapping[str, t.Any]) -> None:
        """The machine waits for a login at its spare sshd before it goes on; whether there was one, it sees for itself."""
        spare = (status.get("report") or {}).get("spare_ssh") or {}
        if self._log_in is None or status.get("phase") != SPARE_LOGIN or not spare.get("waiting"):
            return
        self._beat()
        try:
            self._log_in(int(spare["port"]))
        except ChannelError as problem:
            self._note("%s Trying again while the machine waits." % problem.msg)

    def close(self) -> None:
        """Ends the conversation; whatever was begun goes on."""
        self._drop()

    def _listen(self, deadline: float) -> None:
        """Tells events until one says that the state has changed, or it has been quiet for a while."""
        channel = self._open()
        try:
            channel.send(_line({"v": VERSION, "do": "subscribe", "since": self._seen}))
            quiet_since = self._clock()
            while self._clock() < deadline:
                self._beat()
                line = channel.readline(LISTEN)
                if line is None:
                    if self._clock() - quiet_since >= LISTEN:
                        return
                    continue
                event = _object(self._name, line)
                quiet_since = self._clock()
                if event.get("event") == "end" or (self._told(event) and event.get("event") == "state"):
                    return
                if event.get("event") == "progress" and event.get("phase") == SPARE_LOGIN:
                    return
                if event.get("ok") is False:
                    raise Refused("%s: the watcher tells no events: %s" % (self._name, event.get("msg")), event)
        finally:
            channel.close()

    def _told(self, event: t.Mapping[str, t.Any]) -> bool:
        """Whether EVENT was new. Events may come twice, once at the end of a connection and once at the start of the next."""
        seq = event.get("seq")
        if event.get("event") == "gap":
            self._tell(event)
            return True
        if not isinstance(seq, int) or "event" not in event or seq <= self._seen:
            return False
        self._seen = seq
        self._tell(event)
        self._record(event, self._when(event))
        return True

    def _when(self, event: t.Mapping[str, t.Any]) -> float:
        """When EVENT happened, on our clock. It may be told late, after a reboot, and the machine's clock may be wrong."""
        now, told = self._clock(), event.get("ts")
        return now if self._ahead is None or not isinstance(told, (int, float)) else min(now, told + self._ahead)

    def _catch_up(self, status: t.Mapping[str, t.Any]) -> None:
        """The last events may be in the status only: the stream ended before they were read."""
        for event in status.get("history") or []:
            self._told(event)

    def _once(self, request: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        channel = self._open()
        try:
            channel.send(_line(request))
            line = channel.readline(ANSWER_WITHIN)
        except ChannelError:
            self._drop()
            raise
        finally:
            channel.close()
        if line is None:
            self._drop()
            raise Unreachable("%s: the watcher took the request and gave no answer for %d s." % (self._name, ANSWER_WITHIN))
        self._heard = True
        return _object(self._name, line)

    def _open(self) -> t.Any:
        if self._link is None:
            self._link = self._connect()
        try:
            return self._link.open(self._path)
        except ChannelError:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _patiently(self, work: t.Callable[[], dict[str, t.Any]], deadline: float) -> dict[str, t.Any]:
        """WORK's result, trying again while it may help."""
        begun = self._clock()

        def enough(state: t.Any) -> bool:
            now, problem = self._clock(), state.outcome.exception()
            patience = self._first if isinstance(problem, NoWatcher) and not self._heard else self._patience
            return now >= deadline or now - begun >= patience

        def before_sleep(state: t.Any) -> None:
            if state.attempt_number == 1:
                self._note("%s Trying again." % state.outcome.exception())

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda problem: isinstance(problem, ChannelError) and problem.passing),
            wait=tenacity.wait_exponential(multiplier=0.5, max=5),
            stop=enough,
            sleep=self._wait,
            before_sleep=before_sleep,
            reraise=True,
        )
        return retrying(work)

    def _wait(self, seconds: float) -> None:
        self._beat()
        self._sleep(seconds)


class Telling:
    """
    Puts a machine's events into words: every change of state, phase and health, and percentages no oftener than a person reads.

    SAY(line) shows a line, WHISPER(line) one that only matters to the curious.
    """

    STEP = 10.0       # percent
    PAUSE = 15.0      # seconds

    def __init__(
        self,
        name: str,
        say: t.Callable[[str], None],
        whisper: t.Callable[[str], None] = lambda line: None,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._say, self._whisper, self._clock = name, say, whisper, clock
        self._phase: str | None = None
        self._percent = -self.STEP
        self._spoke = 0.0

    def __call__(self, event: t.Mapping[str, t.Any]) -> None:
        kind, msg = event.get("event"), event.get("msg") or ""
        phase, percent = event.get("phase"), event.get("percent")
        if kind == "state":
            self._line(str(event.get("state")), msg)
        elif kind == "phase":
            # That a phase has ended is plain when the next one begins.
            (self._whisper_line if msg == "%s is done" % phase else self._line)(phase or "between phases", msg)
            self._phase, self._percent = phase, -self.STEP
        elif kind == "progress" and isinstance(percent, (int, float)):
            if phase != self._phase:
                self._phase, self._percent = phase, -self.STEP
            moved = percent - self._percent
            if moved >= self.STEP or (moved >= 1 and self._clock() - self._spoke >= self.PAUSE):
                self._percent = percent
                self._line("%s %d %%" % (phase, percent), msg)
        elif kind == "check":
            self._line("check", msg)
        elif kind == "gap":
            self._line("journal", msg or "some events were trimmed before they were read")
        else:
            self._whisper_line(str(kind), msg)

    def _whisper_line(self, what: str, msg: str) -> None:
        self._whisper("%s: %s" % (self._name, msg or what))

    def _line(self, what: str, msg: str) -> None:
        self._spoke = self._clock()
        self._say("%s: %s%s" % (self._name, what, ": " + msg if msg and msg != what else ""))


def _line(message: t.Mapping[str, t.Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("utf-8") + b"\n"


def _object(name: str, line: bytes) -> dict[str, t.Any]:
    try:
        message = json.loads(line)
    except ValueError as problem:
        raise Unreachable("%s: what answers at the socket is not a watcher (%r)." % (name, line[:80])) from problem
    if not isinstance(message, dict):
        raise Unreachable("%s: what answers at the socket is not a watcher (%r)." % (name, line[:80]))
    return message
