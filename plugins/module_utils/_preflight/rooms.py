# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
All rooms that look at a machine, and every kind of finding there is. A further room is one file here and one line below.

Private room of the collection.
"""

from __future__ import annotations

from typing import Dict, Iterator, Tuple

from . import databases, disk, foreseen, network, packages, services, sources, state, users
from .finding import WARNING, Finding, Kind, Wanted, finder
from .system import System

# What each is called in a sentence.
ROOMS = (
    ("packages", packages),
    ("apt sources", sources),
    ("disks", disk),
    ("services", services),
    ("users", users),
    ("network", network),
    ("databases", databases),
)
OWN = {"not_looked": Kind(WARNING, "", ())}
KINDS: Dict[str, Kind] = dict(OWN)
for kinds in [room.KINDS for dummy, room in ROOMS] + [state.KINDS, foreseen.KINDS]:
    KINDS.update(kinds)
find = finder(OWN)


def findings(system: System, wanted: Wanted, rooms: Tuple = ROOMS) -> Iterator[Finding]:
    """What all rooms find. One that cannot look is a finding too, and keeps no other from looking."""
    for name, room in rooms:
        try:
            yield from room.findings(room.look(system), wanted)
        except (OSError, ValueError) as problem:
            yield find("not_looked", "The {0} could not be looked at: {1}.".format(name, str(problem).rstrip(".")),
                       "Nobody knows what stands there against the upgrade.", "Put it right and look again.", room=name)
