# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often somebody may ask. Counted on a clock that never steps, so nobody is shut out because a wall clock was set.

Meant for a client that has gone wild, not for keeping a busy fleet slow: the defaults are far above what a hundred machines need.
A valid token is never held up by what others do: failed attempts count against the address they come from, and only such attempts are refused for it.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Callable, Optional

from lease_endpoint.errors import Invalid, TooMany

_WINDOWS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
TOKEN_DEFAULT = "60000/minute"
FAILURES_DEFAULT = "60/minute"
KEYS_KEPT = 10_000  # addresses and tokens remembered; beyond it the one heard of longest ago starts afresh


@dataclass(frozen=True)
class Rate:
    """So many in a window of so many seconds, all at once if need be."""

    count: int
    window: float

    @classmethod
    def parse(cls, text: str) -> Optional[Rate]:
        """`600/minute`, `10/second`, `1000/hour`; None for `off`. Raises Invalid."""
        if text == "off":
            return None
        found = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text)
        if not found:
            raise Invalid(f"{text} is no rate: write 600/minute, 10/second, 1000/hour or off")
        return cls(int(found[1]), _WINDOWS[found[2]])


class Bucket:
    """For each key a bucket that fills evenly and holds one window's worth."""

    def __init__(self, rate: Optional[Rate], clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """0 when this one was allowed, else the seconds until the next one will be."""
        if self._rate is None:
            return 0.0
        refill = self._rate.count / self._rate.window
        with self._lock:
            now = self._clock()
            left, since = self._left.pop(key, (float(self._rate.count), now))
            left = min(float(self._rate.count), left + (now - since) * refill)
            allowed = left >= 1.0
            self._left[key] = (left - 1.0 if allowed else left, now)
            if len(self._left) > KEYS_KEPT:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / refill


class Limits:
    """The two limits of one endpoint."""

    def __init__(self, token: Optional[Rate] = Rate.parse(TOKEN_DEFAULT), failures: Optional[Rate] = Rate.parse(FAILURES_DEFAULT),
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens, self._failures = Bucket(token, clock), Bucket(failures, clock)

    def asked(self, identity: str) -> None:
        """One more request of this caller. Raises TooMany."""
        wait = self._tokens.take(identity)
        if wait:
            raise TooMany(f"{identity} asks more often than this endpoint allows; wait {wait:.1f} s", retry_in=round(wait, 3))

    def failed(self, address: str) -> None:
        """One more request without a valid token from this address. Raises TooMany."""
        wait = self._failures.take(address)
        if wait:
            raise TooMany(f"too many requests without a valid token from {address}; mend the token, then wait {wait:.1f} s", retry_in=round(wait, 3))
