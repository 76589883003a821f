# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what, why and from where: one JSON object a line, appended, on disk before the change is. docs/rights.md has the fields.

A line of a change is written inside the ledger's transaction, before it is committed: what was acknowledged is always here. When the
commit fails after that, a line with outcome `undone` follows. Refusals are written after the fact and never hold up anybody.
No secret can get in: of a token only its public part is known here.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Optional, Protocol

from lease_endpoint.errors import NotDurable
from lease_endpoint.records import Entry
from lease_endpoint.rights import Caller

log = logging.getLogger("lease_endpoint")

AUDIT_FILE = "audit.jsonl"
REPEATED = 60.0  # seconds within which the same refusal of the same caller is counted, not written again
REFUSALS_KEPT = 1000

_asking: ContextVar[Mapping[str, Any]] = ContextVar("asking", default={})


@contextmanager
def asking(caller: Caller, **more: Any) -> Iterator[None]:
    """While this request is worked on, in this thread: what the lines of its changes say beside the change. None is left out."""
    reset = _asking.set(_known({"identity": caller.identity, "token": caller.token, "address": caller.address, **more}))
    try:
        yield
    finally:
        _asking.reset(reset)


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "")}


class Audit(Protocol):
    """What the broker tells of its changes, and the door of its refusals."""

    def commit(self, said: Iterable[Entry]) -> None:
        """On disk when this returns. Raises NotDurable; then the change must not be made."""

    def undone(self, said: Iterable[Entry]) -> None:
        """These were told and did not come to be. Never raises."""

    def refused(self, verb: str, kind: str, msg: str, caller: Optional[Caller], **more: Any) -> None:
        """Somebody was told no. Never raises."""


class Silent:
    """No audit log."""

    def commit(self, said: Iterable[Entry]) -> None:
        pass

    def undone(self, said: Iterable[Entry]) -> None:
        pass

    def refused(self, verb: str, kind: str, msg: str, caller: Optional[Caller], **more: Any) -> None:
        pass


class AuditFile:
    """The log as a file. When it was moved away the next line makes a new one, so any rotation by renaming is safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._refused: dict[tuple[Any, ...], list[float]] = {}
        try:
            # Of the standard library's handler only the part is used that notices a moved file: a handler swallows errors, this must not.
            self._file = WatchedFileHandler(path, encoding="utf-8")
            os.chmod(path, 0o600)
            self._found = 0
        except OSError as trouble:
            raise NotDurable(
                f"the audit log {path} cannot be opened: {trouble.strerror}; make its directory writable, or choose another --audit-log") from trouble

    def commit(self, said: Iterable[Entry]) -> None:
        lines = [self._line(entry, "done") for entry in said]
        if lines:
            self._append(lines)

    def undone(self, said: Iterable[Entry]) -> None:
        self._try([self._line(entry, "undone") for entry in said])

    def refused(self, verb: str, kind: str, msg: str, caller: Optional[Caller], **more: Any) -> None:
        who = {} if caller is None else {"identity": caller.identity, "token": caller.token, "address": caller.address}
        fields = _known({"at": round(time.time(), 3), "outcome": "refused", "verb": verb, "kind": kind, **who, **more, "msg": msg})
        repeats = self._repeats((verb, kind, fields.get("identity"), fields.get("address"), fields.get("application")))
        if repeats is not None:
            self._try([_json({**fields, "repeated": repeats} if repeats else fields)])

    def _repeats(self, key: tuple[Any, ...]) -> Optional[int]:
        """How often this was refused unwritten since its last line; None when it is too soon for another."""
        now = time.monotonic()
        with self._lock:
            last = self._refused.get(key)
            if last is not None and now - last[0] < REPEATED:
                last[1] += 1
                return None
            if len(self._refused) >= REFUSALS_KEPT:
                self._refused = {kept: seen for kept, seen in self._refused.items() if now - seen[0] < REPEATED}
            if len(self._refused) >= REFUSALS_KEPT:  # so many at once are noise: only the first of them are worth the disk
                return None
            self._refused[key] = [now, 0]
            return 0 if last is None else int(last[1])

    @staticmethod
    def _line(entry: Entry, outcome: str) -> str:
        asked = _asking.get()
        # What falls due is settled in the transaction of whoever comes next: that one has not done it.
        why = asked if asked.get("identity") == entry.identity else {}
        return _json({"at": entry.at, "outcome": outcome, "verb": entry.verb, "application": entry.application, "identity": entry.identity, **why,
                      "msg": entry.msg})

    def _try(self, lines: list[str]) -> None:
        try:
            self._append(lines, sync=False)
        except NotDurable as trouble:
            log.error("%s", trouble.msg)

    def _keep_name(self, inode: int) -> None:
        """A new file is on disk when its directory says so as well."""
        if inode != self._found:
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            self._found = inode

    def _append(self, lines: list[str], sync: bool = True) -> None:
        with self._lock:
            try:
                self._file.reopenIfNeeded()
                if self._file.stream is None:  # an earlier attempt to open it anew failed
                    self._file.stream = self._file._open()
                    self._file._statstream()
                number = self._file.stream.fileno()
                _write_whole(number, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
                if sync:
                    os.fsync(number)
                    self._keep_name(os.fstat(number).st_ino)
            except (OSError, ValueError) as trouble:
                raise NotDurable(f"the audit log {self.path} cannot be written: {trouble}; nothing was changed. Make room or mend its directory, then retry") \
                    from trouble


def _write_whole(number: int, data: bytes) -> None:
    """All of it or nothing: half a line would spoil the next one too."""
    size = os.fstat(number).st_size
    written = 0
    try:
        while written < len(data):
            written += os.write(number, data[written:])
    except OSError:
        os.ftruncate(number, size)
        raise


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, separators=(", ", ": "))
