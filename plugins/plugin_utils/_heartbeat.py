# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Keeps the pins of a run alive for as long as anybody of the run waits, and notices when one is no longer what it was.

Private room of the collection. Every waiting process calls `beat` as often as it likes; the book sees to it that one of them speaks for
all, and not too often.
"""

from __future__ import annotations

import os
import time
import typing as t

from ..module_utils._lease.lease import LeaseError
from ._run_book import RunBook
from ._turn_file import TurnFile

# The endpoint counts a session as gone after 60 s; two missed beats still leave one.
EVERY = 20.0
# Of a session that was silent for so long another one may have taken over the run, finished it and gone.
SILENT = 60.0


def clock() -> float:
    """Seconds that all processes of this machine share. They go on while it sleeps: whoever wakes up must know that it is late."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Orphaned(Exception):
    """The execution this process worked for has died. It must fall silent, or the run would seem to be driven still."""


class Heartbeat:
    """The pulse of the run in BOOK. CLIENT() makes a client of the endpoint; NOW is a clock that all processes of this machine share."""

    def __init__(
        self,
        book: TurnFile,
        client: t.Callable[[], t.Any],
        say: t.Callable[[str], None] = lambda text: None,
        now: t.Callable[[], float] = clock,
    ) -> None:
        self._book, self._client, self._say, self._clock = book, client, say, now

    def check(self) -> None:
        """Raises Orphaned. The playbook may have died before this process came to look, so its number is that of the book."""
        if os.getppid() != self._book.read()["controller"]:
            raise Orphaned("the playbook that this process worked for has died")

    def beat(self) -> None:
        """
        Renews all pins when it is time. Never raises for the endpoint's sake: what it found is in the book. Raises Orphaned.

        An application whose pin was refused, had lapsed, or has not been confirmed for as long as a pin lives, is stopped there.
        """
        self.check()
        seen = self._book.read()
        if not self._due(seen):
            return
        with self._book.edit() as content:
            if not self._due(content):
                return
            content["renewed_at"] = self._clock()
            names = RunBook(content).held()
        silent = 0.0 if seen["heard_at"] is None else self._clock() - seen["heard_at"]
        try:
            outcomes = renew(self._client(), seen, names)
            # What another controller has finished meanwhile is no longer ours to pin.
            late = [name for name, outcome in outcomes.items() if outcome.ok and outcome.changed] if silent >= SILENT else []
            if late:
                self._client().unpin(late, run=seen["run"], reason="somebody else has gone on with this run")
        except LeaseError as problem:
            self._unheard(problem.msg)
            return
        with self._book.edit() as content:
            book = RunBook(content)
            for name, outcome in outcomes.items():
                if name in late:
                    book.stop(name, "%s was unpinned while this run was silent for %d s; see with the playbook status who has gone on with it" % (name, silent))
                    self._say(book.applications[name]["why"])
                else:
                    self._note(book, name, outcome)
            if any(outcome.ok for outcome in outcomes.values()):
                content["heard_at"] = self._clock()

    def _due(self, content: t.Mapping[str, t.Any]) -> bool:
        renewed = content["renewed_at"]
        pinned = any(known["state"] == "pinned" for known in content["applications"].values())
        return content["pin"] and pinned and (renewed is None or self._clock() - renewed >= EVERY)

    def _note(self, book: RunBook, name: str, outcome: t.Any) -> None:
        if book.applications[name]["state"] != "pinned":
            return  # unpinned, or stopped, while we asked
        problem = trouble(book, name, outcome)
        if problem:
            book.stop(name, problem)
            self._say(problem)

    def _unheard(self, msg: str) -> None:
        with self._book.edit() as content:
            now, heard = self._clock(), content["heard_at"]
            book, silent = RunBook(content), now - (now if heard is None else heard)
            if silent < content["pin_duration"]:
                self._say("the pins could not be renewed, trying again (%s)" % msg)
                return
            for name in book.held():
                book.stop(name, "%s may no longer be pinned: the endpoint has not answered for %d s" % (name, silent))


def pin(client: t.Any, content: t.Mapping[str, t.Any], names: t.Iterable[str], exclusive: bool = True, **more: t.Any) -> dict[str, t.Any]:
    """Takes the pins of the run on NAMES. Exclusively: neither another run nor another living session of this one. Raises LeaseError."""
    way = "to" if content["purpose"] == "upgrade" else "from"
    return client.pin(
        names, run=content["run"], reason="%s %s %s" % (content["purpose"], way, content["target"]), duration=content["pin_duration"],
        session=content["session"], exclusive=exclusive, **more,
    )


def renew(client: t.Any, content: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    """
    Renews the pins of the run on NAMES. Raises LeaseError.

    Exclusively, so that another session of our own run is noticed; but a stranger's pin that came later must not cost us ours.
    """
    outcomes = pin(client, content, names)
    shared = [name for name, outcome in outcomes.items() if outcome.kind == "pinned" and content["pinner"] not in outcome.pinners]
    return {**outcomes, **pin(client, content, shared, exclusive=False)} if shared else outcomes


def trouble(book: RunBook, name: str, outcome: t.Any) -> str:
    """What is wrong with the pin of an application that was pinned before; empty when all is well. The book learns what the lease says."""
    if not outcome.ok:
        return "the pin on %s was refused: %s" % (name, outcome.msg)
    if outcome.changed:
        return "the pin on %s was gone and had to be taken anew; its leadership was free in between" % name
    if outcome.lease is None:
        return ""  # renewed; who leads cannot be read at present, and the next answer that can be tells what became of it
    return watch(book, name, outcome.lease)


def watch(book: RunBook, name: str, lease: t.Any) -> str:
    """Compares a lease with what was recorded when it was pinned. A sentence when its leader has changed under the pin."""
    mine = lease.pin_of(book.content["pinner"])
    if mine is None:
        return "the pin of this run on %s is gone" % name
    changes = book.seen(name, lease.holder, lease.term, mine.term)
    if changes:
        return "%s has changed its leader %d time%s while it was pinned (term %s, now %s with %s)" % (
            name, changes, "" if changes == 1 else "s", mine.term, lease.term, lease.holder)
    return ""
