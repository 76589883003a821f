# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the watcher gets time from. Tests hand in a clock that they move."""

from __future__ import annotations

import time


class Clock:
    """now(): seconds since boot, suspended time included, never stepped; only differences within one boot mean anything.
    wall(): Unix time, for people; no decision rests on it."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()
