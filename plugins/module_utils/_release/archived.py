# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Where a series is found after its end: the archives of old releases. Private room of the collection, pure.

A series moves there some time after its end, on no fixed day, so the table below is short and the user may add to it.
"""

from __future__ import annotations

import re

SERIES = ("buster", "bionic")

# Host and first part of the path, as they were -> where the same lies now. The signatures there say until when they were meant to be valid, which is over.
PLACES = (
    (re.compile(r"^[a-z+-]+:/+(?:security\.debian\.org)(?::\d+)?(?:/debian-security)?/?$"), "http://archive.debian.org/debian-security/"),
    (re.compile(r"^[a-z+-]+:/+(?:[^/]+\.)?debian\.org(?::\d+)?/debian-security/?$"), "http://archive.debian.org/debian-security/"),
    (re.compile(r"^[a-z+-]+:/+(?:[^/]+\.)?debian\.org(?::\d+)?/debian/?$"), "http://archive.debian.org/debian/"),
    (re.compile(r"^[a-z+-]+:/+(?:[^/]+\.)?ubuntu\.com(?::\d+)?/ubuntu/?$"), "http://old-releases.ubuntu.com/ubuntu/"),
)
THERE = re.compile(r"^[a-z+-]+:/+(?:archive\.debian\.org|old-releases\.ubuntu\.com)/")


def uri(address: str) -> str:
    """The address of the same packages in the archive of old releases; the same again for a mirror, whose owner decides."""
    if THERE.match(address):
        return address
    return next((place for pattern, place in PLACES if pattern.match(address.lower())), address)


def is_gone(suite: str) -> bool:
    """Whether Debian's archive lacks such a suite: the stable updates all went into the last point release."""
    return suite.endswith("-updates") and not suite.endswith("-proposed-updates")


def one_line(code: str, before: str, after: str) -> str:
    """A one-line source with another address that is not asked how old its signatures are."""
    match = re.match(r"^(\s*deb(?:-src)?\s+)(?:\[([^\]]*)\]\s+)?(.*)$", code, re.DOTALL)
    if not match:
        return code
    options = [word for word in (match.group(2) or "").split() if not word.startswith("check-valid-until=")] + ["check-valid-until=no"]
    return "{0}[{1}] {2}".format(match.group(1), " ".join(options), match.group(3).replace(before, after, 1))
