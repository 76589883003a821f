# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What happened in an execution and when, on one clock: turns, pins and leaders as the book of turns changes, and what the machines told.

Private room of the collection. The chronicle lies beside the book as a file of lines; every process of the execution adds to it. Times
are the controller's monotonic ones, which all its processes share; `read` makes them seconds since the beginning. Like the book it is
no record: losing a line costs a mark in the timeline.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import typing as t

# Of a machine's journal: percentages come by the thousand, and a log is not for a timeline.
KEPT = ("state", "phase", "check")
LONGEST = 500


class Chronicle:
    """The chronicle at PATH."""

    def __init__(self, path: str, clock: t.Callable[[], float] = time.monotonic, wall: t.Callable[[], float] = time.time) -> None:
        self.path, self._clock, self._wall = path, clock, wall

    def begin(self) -> None:
        """The execution begins now."""
        self._add([{"clock": self._clock(), "event": "began", "wall": self._wall()}])

    def book_changed(self, before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> None:
        """The book of turns has changed just now."""
        self._add([{"clock": self._clock(), **event} for event in changes(before, after)])

    def told(self, host: str, event: t.Mapping[str, t.Any], at: float) -> None:
        """HOST's watcher told EVENT, which happened AT on the controller's clock."""
        if event.get("event") in KEPT:
            kept = {key: event[key] for key in ("event", "state", "phase", "percent", "outcome") if event.get(key) is not None}
            self._add([{"clock": at, "machine": host, **kept, "msg": str(event.get("msg") or "")[:LONGEST]}])

    def lost(self, host: str, msg: str) -> None:
        """From now on nothing is known of HOST."""
        self._add([{"clock": self._clock(), "machine": host, "event": "lost", "msg": msg[:LONGEST]}])

    def read(self) -> dict[str, t.Any]:
        """
        {"began": Unix time, "seconds": since then, "events": [{"at": seconds since then, "event", "machine" or "application", ...}], sorted}.

        Without a chronicle nothing is known, which is no error: began and seconds are None and there are no events.
        """
        lines: list[dict[str, t.Any]] = []
        with contextlib.suppress(OSError), open(self.path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    lines.append(json.loads(line))
        start = next((line for line in lines if line.get("event") == "began"), None)
        if start is None:
            return {"began": None, "seconds": None, "events": []}
        events = [{"at": round(line.pop("clock") - start["clock"], 2), **line} for line in lines if line is not start]
        seconds = round(max(0.0, self._clock() - start["clock"]), 1)
        return {"began": start["wall"], "seconds": seconds, "events": sorted(events, key=lambda event: event["at"])}

    def _add(self, lines: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        data = "".join(json.dumps(line) + "\n" for line in lines).encode("utf-8")
        if not data:
            return
        with contextlib.suppress(OSError):
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, data)  # one write to a file opened for appending: lines of different processes do not mix
            finally:
                os.close(handle)


def changes(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """What the difference of two contents of the book tells, as events without a time."""
    found: list[dict[str, t.Any]] = []
    old_machines, old_applications = before.get("machines") or {}, before.get("applications") or {}
    for host, entry in (after.get("machines") or {}).items():
        old = old_machines.get(host, {})
        if (entry.get("state"), entry.get("why")) != (old.get("state"), old.get("why")):
            found.append({"event": "turn", "machine": host, "state": entry.get("state"), "msg": entry.get("why") or ""})
    for name, known in (after.get("applications") or {}).items():
        old, holder, term = old_applications.get(name, {}), known.get("holder"), known.get("term")
        if known.get("state") != old.get("state"):
            found.append({"event": known.get("state"), "application": name, "holder": holder, "term": term, "msg": known.get("why") or ""})
        elif (old.get("holder"), old.get("term")) != (holder, term) and term is not None:
            found.append({"event": "leader", "application": name, "holder": holder, "term": term, "msg": "%s leads in term %s" % (holder, term)})
    return found
