# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has happened, in order: events with a growing number, in a file that survives and can be read by people.

The marker decides, the journal tells: a journal that cannot be written stops nothing.
"""

from __future__ import annotations

import collections
import json
import os
from typing import Any, Deque, Dict, List, Tuple

from . import files

NAME = "journal.jsonl"
KEPT = 1000
TRIM_BYTES = 2 * 1024 * 1024
# More than we ever leave; of a file that somebody has blown up, only the end is read.
READ_BYTES = 2 * TRIM_BYTES


class Journal:
    """Events are dicts with seq (from 1), ts (Unix time), event (state, phase, progress, check, log) and what belongs to them."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, NAME)
        self._events: Deque[Dict[str, Any]] = collections.deque(maxlen=KEPT)
        self._size = 0
        self._torn = False
        self.last_seq = 0
        self._load()

    def _load(self) -> None:
        try:
            data = files.read(self.path, READ_BYTES, tail=True)
        except OSError:
            # None yet, or one that cannot be read: it tells nothing, and it stops nothing.
            return
        for line in data.split(b"\n"):
            event = _event(line)
            # A torn last line of a crash, or one damaged line, costs that line only.
            if event is not None and event["seq"] > self.last_seq:
                self._events.append(event)
                self.last_seq = event["seq"]
        self._size = len(data)
        # Mended at the next append, which only the watcher does; a reader changes nothing.
        self._torn = bool(data) and not data.endswith(b"\n")

    def append(self, ts: float, event: str, durable: bool = True, **more: Any) -> Dict[str, Any]:
        """Add one event and return it with its number. Progress need not be durable: losing some of it in a crash loses nothing."""
        self.last_seq += 1
        new = dict(more, seq=self.last_seq, ts=round(ts, 3), event=event)
        self._events.append(new)
        try:
            self._write(json.dumps(new, sort_keys=True).encode("utf-8") + b"\n", durable)
            if self._size > TRIM_BYTES or self._torn:
                self._rewrite()
        except OSError:
            # Full or read-only disk: listeners still hear of it from memory, and the marker says what counts.
            pass
        return new

    def _write(self, line: bytes, durable: bool) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._size += os.write(fd, line)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _rewrite(self) -> None:
        data = b"".join(json.dumps(event, sort_keys=True).encode("utf-8") + b"\n" for event in self._events)
        files.replace(self.path, data)
        self._size = len(data)
        self._torn = False

    def since(self, seq: int) -> Tuple[bool, List[Dict[str, Any]]]:
        """The events after number seq, and whether some between were already trimmed."""
        events = [event for event in self._events if event["seq"] > seq]
        oldest = self._events[0]["seq"] if self._events else self.last_seq + 1
        return seq + 1 < oldest, events

    def last(self, count: int) -> List[Dict[str, Any]]:
        return list(self._events)[-count:]


def _event(line: bytes) -> Any:
    try:
        event = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    whole = isinstance(event, dict) and isinstance(event.get("seq"), int) and isinstance(event.get("event"), str) and isinstance(event.get("ts"), (int, float))
    return event if whole else None
