# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The book of turns: one JSON file that the worker processes of one execution share.

Private room of the collection. It is no record: a rerun makes a new one from the machines' markers and the endpoint's pins. Writers
hold a lock and replace the file; readers need no lock and never see half of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from ._chronicle import Chronicle

# A person does not notice it, and a hundred waiting processes cost nothing: a look is one stat.
LOOK_EVERY = 0.2


class NoBook(Exception):
    """There is no book at this path, or it cannot be read."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


class TurnFile:
    """The book at PATH."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.chronicle = Chronicle(path + ".events")

    @classmethod
    def create(cls, directory: str, content: t.Mapping[str, t.Any]) -> TurnFile:
        """A new book in DIRECTORY, readable by nobody else."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        book = cls(os.path.join(directory, "turns.json"))
        with book._locked():
            book._write(content)
        book.chronicle.begin()
        return book

    def read(self) -> dict[str, t.Any]:
        """What the book says now. Raises NoBook."""
        try:
            with open(self.path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError) as problem:
            raise NoBook("the book of turns %s cannot be read (%s); run upgrade_plan first, in the same execution." % (self.path, problem)) from problem

    @contextlib.contextmanager
    def edit(self) -> t.Iterator[dict[str, t.Any]]:
        """The book, for changing in place. Written at the end unless an exception was raised or nothing changed; no other writer meanwhile."""
        with self._locked():
            content = self.read()
            before = json.dumps(content, sort_keys=True)
            yield content
            if json.dumps(content, sort_keys=True) != before:
                self._write(content)
                self.chronicle.book_changed(json.loads(before), content)

    def note(self, host: str, text: str) -> None:
        """What HOST is at, for onlookers. Kept beside the book, so that those who wait for a turn are not woken by every percent."""
        try:
            os.makedirs(self._notes, mode=0o700, exist_ok=True)
            new = os.path.join(self._notes, ".%s.%d" % (host, os.getpid()))
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(new, os.path.join(self._notes, host))
        except OSError:
            pass  # the machine's journal has it all

    def notes(self) -> dict[str, str]:
        """What every machine was at last."""
        found = {}
        with contextlib.suppress(OSError):
            for host in os.listdir(self._notes):
                with contextlib.suppress(OSError), open(os.path.join(self._notes, host), encoding="utf-8") as file:
                    found[host] = file.read()
        return found

    @property
    def _notes(self) -> str:
        return self.path + ".notes"

    def edition(self) -> t.Any:
        """Differs after every change."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns)

    def wait_for_change(self, since: t.Any, timeout: float, sleep: t.Callable[[float], None] = time.sleep) -> bool:
        """Returns when the edition is no longer SINCE (True), or after TIMEOUT seconds (False)."""
        left = timeout
        while self.edition() == since:
            if left <= 0:
                return False
            sleep(min(LOOK_EVERY, left))
            left -= LOOK_EVERY
        return True

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        try:
            lock = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise NoBook("the book of turns %s cannot be locked (%s); run upgrade_plan first, in the same execution." % (self.path, problem)) from problem
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, content: t.Mapping[str, t.Any]) -> None:
        new = self.path + ".new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file, sort_keys=True)
        os.replace(new, self.path)
