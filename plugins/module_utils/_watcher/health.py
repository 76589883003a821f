# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks have shown so far, and the verdict. Pure: observations and the time come in, a verdict goes out."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

# What one look at one check can show.
OK = "ok"
UNREACHABLE = "unreachable"     # nobody answered in time
FAILED = "failed"               # it answered, and the answer is bad
BUSY = "busy"                   # it asked to come back later; neither good nor a miss

# More changes from good to bad than this are no recovery, whatever the last look says.
ALLOWED_FLIPS = 3

HEALTHY = "healthy"
WAITING = "waiting"             # not all required checks have been seen good lately
UNHEALTHY = "unhealthy"


class _Seen:
    """One check and its observations. cls: ok, unreachable, lost (was good, nobody answers now), failed, flapping; None before the first look."""

    def __init__(self, check: Dict[str, Any]) -> None:
        self.check = check
        self.cls: Optional[str] = None
        self.msg = "not looked at yet"
        self.misses = 0
        self.flips = 0
        self.ok_at: Optional[float] = None
        self.next_at = 0.0
        self.running = False

    def observe(self, outcome: str, msg: str, now: float, counts: bool) -> None:
        """One look. counts: whether a bad one is a miss."""
        self.msg = msg
        if outcome == OK:
            self.misses = 0
            self.ok_at = now
        elif outcome != BUSY and counts:
            self.misses += 1
            self.flips += self.cls == OK
        if self.flips > ALLOWED_FLIPS:
            self.cls = "flapping"
        elif outcome in (UNREACHABLE, BUSY):
            self.cls = UNREACHABLE if self.ok_at is None else "lost"
        else:
            self.cls = outcome

    def bad(self) -> bool:
        return self.cls == "flapping" or self.misses > self.check["allowed_misses"]

    def good(self, now: float) -> bool:
        # A look that is older than two intervals says nothing about now.
        return self.cls == OK and self.ok_at is not None and now - self.ok_at <= 2 * self.check["interval"] + self.check["timeout"]


class Health:
    """The checks of one watch in one boot, looked at from `start` on; misses in the first `settle` seconds do not count.

    A check that was not good yet in this watch has `patience` seconds to become good: after a boot, units are still starting.
    """

    def __init__(self, checks: List[Dict[str, Any]], settle: float, start: float, patience: float = 0) -> None:
        self._seen = {check["name"]: _Seen(check) for check in checks}
        self._counts_from = start + settle
        self._first_counts_from = start + max(settle, patience)

    def due(self, now: float) -> List[Dict[str, Any]]:
        """The checks to look at now. Each is handed out once until it is observed."""
        due = [seen for seen in self._seen.values() if not seen.running and now >= seen.next_at]
        for seen in due:
            seen.running = True
            seen.next_at = now + seen.check["interval"]
        return [seen.check for seen in due]

    def due_in(self, now: float) -> float:
        """Seconds until due() has something, or misses begin to count; what runs is heard of when it ends."""
        times = [seen.next_at for seen in self._seen.values() if not seen.running]
        times += [time for time in (self._counts_from, self._first_counts_from) if time > now]
        return max(0.0, min(times) - now) if times else float("inf")

    def observe(self, name: str, outcome: str, msg: str, now: float, expected: bool = False) -> bool:
        """Take in what a look has shown; True when the class of the check has changed. expected: somebody has announced a disruption.

        Then a bad look is no miss, and no good one either. But nobody announces another series.
        """
        seen = self._seen[name]
        seen.running = False
        before = seen.cls
        at_once = seen.check.get("at_once", False)
        was_good = seen.ok_at is not None or at_once
        counts = now >= (self._counts_from if was_good else self._first_counts_from)
        seen.observe(outcome, msg, now, counts=counts and (at_once or not expected))
        return seen.cls != before

    def verdict(self, now: float) -> str:
        required = [seen for seen in self._seen.values() if seen.check["required"]]
        if any(seen.bad() for seen in required):
            return UNHEALTHY
        if now >= self._counts_from and all(seen.good(now) for seen in required):
            return HEALTHY
        return WAITING

    def complaint(self) -> str:
        """The required checks that are not good, in one sentence."""
        bad = [seen for seen in self._seen.values() if seen.check["required"] and (seen.bad() or seen.cls != OK)]
        return "; ".join("{0} is {1}: {2}".format(seen.check["name"], seen.cls or "not seen", seen.msg) for seen in bad) or "all required checks are good"

    def as_list(self) -> List[Dict[str, Any]]:
        return [{"name": name, "class": seen.cls or "unknown", "required": seen.check["required"], "msg": seen.msg, "misses": seen.misses}
                for name, seen in self._seen.items()]
