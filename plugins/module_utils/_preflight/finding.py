# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a finding is, and what every kind of finding says of itself beforehand. Private room of the collection, pure.

A room declares its kinds beside the functions that find them:  KINDS = {"held": Kind(INHIBITOR, NOTES, (17,))}.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Optional, Tuple

# An inhibitor forbids the upgrade, a warning asks to be read, an info explains what will happen.
INHIBITOR, WARNING, INFO = SEVERITIES = ("inhibitor", "warning", "info")

# The primary texts, by the short names that the rooms use.
UPGRADING = "https://www.debian.org/releases/trixie/release-notes/upgrading.en.html"
ISSUES = "https://www.debian.org/releases/trixie/release-notes/issues.en.html"
UBUNTU_UPGRADE = "https://documentation.ubuntu.com/server/how-to/software/upgrade-your-release/"
NOBLE = "https://documentation.ubuntu.com/release-notes/24.04/"
RESOLUTE = "https://documentation.ubuntu.com/release-notes/26.04/"


PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/@\s]*@")


class Kind(NamedTuple):
    """
    severity: the usual one. source: address of the primary text, or a manual page. items: of the checklist, docs/upgrade_checklist.md.
    acceptable: whether an operator who names it goes on all the same; never where the upgrade could not work.
    """

    severity: str
    source: str = ""
    items: Tuple[int, ...] = ()
    acceptable: bool = True


class Finding(NamedTuple):
    """id: a fixed word. what, why, remedy: one sentence each. source: who says so. data: what a repair has to know, plain JSON values."""

    id: str
    severity: str
    what: str
    why: str
    remedy: str
    source: str
    data: Mapping[str, Any]

    def sentence(self) -> str:
        """What is wrong and the next step, as one line."""
        return "{0} {1}".format(self.what, self.remedy).strip()


class Wanted(NamedTuple):
    """What is asked of a machine. start: its codename, "" when unknown. serves: what its applications need, {"units", "programs", "ports"}."""

    start: str
    target: str
    snapshot: str = "none"
    min_free_mb: Optional[int] = None
    protect: Tuple[str, ...] = ()
    serves: Mapping[str, Any] = {}


def finder(kinds: Mapping[str, Kind]) -> Any:
    """A function that makes a Finding of one of KINDS; an id that is not among them is a KeyError."""

    def find(id_: str, what: str, why: str = "", remedy: str = "", severity: str = "", **data: Any) -> Finding:
        kind = kinds[id_]
        return Finding(id_, severity or kind.severity, without_passwords(what), without_passwords(why), remedy, kind.source, without_passwords(data))

    return find


def without_passwords(value: Any) -> Any:
    """VALUE, a text or plain JSON value, with no user and password in its addresses: sources of apt may have some, and a report gets around."""
    if isinstance(value, str):
        return PASSWORD.sub(r"\1", value)
    if isinstance(value, dict):
        return {key: without_passwords(one) for key, one in value.items()}
    return [without_passwords(one) for one in value] if isinstance(value, (list, tuple)) else value


def some(names: Any, most: int = 6) -> str:
    """NAMES for a sentence: all when they are few, else the first and how many more."""
    names = list(names)
    return ", ".join(names) if len(names) <= most else "{0} and {1} more".format(", ".join(names[:most]), len(names) - most)
