# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release a machine runs, read from its os-release file. Private room of the collection."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from .._watcher.steps import StepFailed


class UnknownRelease(StepFailed):
    """We could not find out which series this is. Not the same as "another series": conclude nothing."""


class Release(NamedTuple):
    """id: "debian"; codename: "bookworm"; version: "12". A field that the file lacks is ""."""

    id: str
    codename: str
    version: str


def parse(text: str) -> Release:
    """The Release that the text of an os-release file names. Lines that are no assignment are passed over."""
    fields = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            fields[name] = _unquoted(value)
    return Release(fields.get("ID", ""), fields.get("VERSION_CODENAME", ""), fields.get("VERSION_ID", ""))


def read(path: str = "/etc/os-release") -> Release:
    """The Release in the file at path. Raises UnknownRelease when it cannot be read or names no series."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            release = parse(file.read())
    except OSError as error:
        raise UnknownRelease("The series cannot be read from {0}: {1}.".format(path, error.strerror))
    if not release.codename:
        raise UnknownRelease("{0} names no series: it has no VERSION_CODENAME.".format(path))
    return release


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value
