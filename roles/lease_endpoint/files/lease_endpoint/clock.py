# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clocks: one that decides and one that is only shown.

Deadlines are kept in *endpoint time*: seconds for which the endpoint has been running. It grows by the monotonic clock, is saved in
the ledger and goes on from there after a restart. So a step of the wall clock neither expires nor prolongs anything, and an
outage runs nothing down. The wall clock turns a deadline into a date for people, at the moment of the answer.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable


class Clock:
    """`now()` is endpoint time, `wall()` Unix time; both in seconds."""

    def __init__(self, start: float, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._start = start
        self._monotonic = monotonic
        self._from = monotonic()
        self._latest = start
        self.wall = wall

    def now(self) -> float:
        # Never back, even if an injected clock is moved by a careless hand.
        self._latest = max(self._latest, self._start + self._monotonic() - self._from)
        return self._latest


def rehearsed(path: Path) -> tuple[Callable[[], float], Callable[[], float]]:
    """A monotonic and a wall clock which a rehearsal moves by hand: the file holds two offsets in seconds, "monotonic wall"."""

    def offset(which: int) -> float:
        try:
            return float(path.read_text(encoding="ascii").split()[which])
        except FileNotFoundError:
            return 0.0

    return (lambda: time.monotonic() + offset(0)), (lambda: time.time() + offset(1))
