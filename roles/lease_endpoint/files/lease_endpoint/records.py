# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ledger remembers. Values: a change makes a new one.

Times named `*_at` and `since` are Unix time, kept for people. Times that decide (`expires`, `until`, `*_until`, `*_seen`) are
endpoint time, see clock.py. Durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Lease:
    """Leadership of one application. `holder` stays written after the lease ran out; whether it still counts says the provider."""

    application: str
    provider: str = "native"
    holder: Optional[str] = None
    term: int = 0
    revision: int = 0
    duration: float = 60.0
    expires: Optional[float] = None
    renewed_at: Optional[float] = None
    handover_from: Optional[str] = None  # who was promised the time until `handover_until` before a transfer
    handover_until: Optional[float] = None


@dataclass(frozen=True)
class Pin:
    """One pinner's promise on one lease, with the leadership it found."""

    application: str
    pinner: str
    identity: str
    run: str
    reason: str
    since: float
    duration: float
    until: float
    holder: Optional[str]
    term: int
    session: Optional[str] = None
    session_seen: Optional[float] = None
    due: Optional[float] = None  # the deadline that the pinner asked for; `until` may be later after an outage. None: the same


@dataclass(frozen=True)
class Halt:
    """The mark that a lapse leaves: nothing new may be pinned until a person clears it."""

    application: str
    since: float
    reason: str
    pinner: str


@dataclass(frozen=True)
class Freeze:
    """What must become of the freeze of leadership that lives elsewhere: written before anything is done there, gone when the thaw was read back.

    wanted, not confirmed: to be frozen; pins of it are not acknowledged yet. wanted, confirmed: frozen. Not wanted: a thaw is owed.
    """

    application: str
    provider: str  # which froze it and knows what it displaced
    wanted: bool
    confirmed: bool
    displaced: str  # JSON: what the freeze displaces, as the provider said before it froze
    since: float
    tries: int = 0  # in vain, since the last success
    error: Optional[str] = None  # what the last of them said
    moving: Optional[str] = None  # JSON of a handover begun under the freeze: {"to": unit, "until": endpoint time}


@dataclass(frozen=True)
class Tombstone:
    """A pin that ended by its deadline instead of by unpin."""

    application: str
    pinner: str
    lapsed_at: float
    reason: str


@dataclass(frozen=True)
class Entry:
    """A line of the history: who did what to which application, as a sentence."""

    at: float
    identity: str
    verb: str
    application: str
    msg: str
