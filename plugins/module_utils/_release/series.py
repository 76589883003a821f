# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The order of the series of Debian and of Ubuntu's long-term releases. Private room of the collection, pure.

Neither distribution supports skipping one, so all that is asked here is "what comes next".
"""

from __future__ import annotations

from typing import Optional

LINES = {
    "debian": ("buster", "bullseye", "bookworm", "trixie", "forky", "duke"),
    "ubuntu": ("bionic", "focal", "jammy", "noble", "resolute"),
}

# What an upgrader of Ubuntu calls them.
VERSIONS = {"bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04", "resolute": "26.04"}


def distribution(codename: str) -> Optional[str]:
    """The distribution of a series ("debian", "ubuntu"); None for one that we do not know."""
    for name, line in LINES.items():
        if codename in line:
            return name
    return None


def successor(codename: str) -> Optional[str]:
    """The series after codename; None when it is the last we know or not known at all."""
    for line in LINES.values():
        if codename in line[:-1]:
            return line[line.index(codename) + 1]
    return None


def is_successor(codename: str, target: str) -> bool:
    """Whether target is exactly one step after codename."""
    return target is not None and successor(codename) == target
