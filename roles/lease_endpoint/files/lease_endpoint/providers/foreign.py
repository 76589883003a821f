# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leadership that lives elsewhere: what a provider of it must be able to do.

A provider speaks to one application of one system. It knows nothing of the ledger, of pins or of HTTP to us; the steward calls it
outside of any transaction, keeps what it answers, and calls it again after an error or a restart. So every method may be repeated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional


@dataclass(frozen=True)
class Member:
    """One unit as its system sees it. `lag` in bytes behind the leader, None where there is no such thing or it is not known."""

    unit: str
    healthy: bool
    msg: str = ""
    lag: Optional[int] = None


@dataclass(frozen=True)
class Leadership:
    """What was read at one moment.

    holder: the unit that leads, None when certainly nobody does. term: grows at each change of holder, 0 where the system has none.
    frozen: whether the system's own freeze is in force for every member; None when the system cannot be asked (it is then assumed).
    """

    holder: Optional[str]
    term: int
    frozen: Optional[bool]
    members: tuple[Member, ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What a pin means here, for people and programs to read. Sources: lease_protocol.md, section Providers."""

    scope: str  # "lease": this leadership alone; "cluster": everything the cluster does by itself stops as well
    terms: bool  # whether a change of holder can be seen by a number
    reads_freeze: bool  # whether the freeze can be read back; if not it is assumed
    transfer: bool  # whether leadership can be handed over to a named unit
    survives_holder_restart: bool = True
    notes: tuple[str, ...] = field(default=())


class Foreign(ABC):
    """One application in its system. Raises errors.Unreachable when it could not find out, errors.Unsupported, Denied, NoLeader when it will not.

    Every call has a deadline of its own and never waits for ever.
    """

    name: str
    capabilities: Capabilities

    @abstractmethod
    def __init__(self, application: str, options: Mapping[str, Any]) -> None:
        """Checks `options` whole (errors.Invalid names the key and what it should be) and opens nothing."""

    @abstractmethod
    def read(self) -> Leadership:
        """Who leads now. Never a guess: what cannot be read raises Unreachable."""

    @abstractmethod
    def displaced(self) -> dict[str, Any]:
        """What a freeze would displace (a pause that somebody else has set, ...), as JSON; stored before `freeze` is called."""

    @abstractmethod
    def freeze(self, displaced: Mapping[str, Any]) -> Leadership:
        """Freeze, wait until it is in force for every member, read it back. Repeatable."""

    @abstractmethod
    def thaw(self, displaced: Mapping[str, Any]) -> None:
        """Put back what was `displaced` and read that back. Repeatable; undoes only what `freeze` did."""

    def tend(self, displaced: Mapping[str, Any]) -> list[str]:
        """Called every few seconds while frozen: keep alive what would decay. Answers sentences for the history, if it did something."""
        return []

    def transfer(self, to: str, term: int) -> Leadership:
        """Hand the leadership that was read under `term` to the unit `to` and read it back. Works while frozen, or says why not."""
        raise NotImplementedError  # a provider that cannot says so in its capabilities and is never asked

    def close(self) -> None:
        """Let go of connections; the freeze stays."""
