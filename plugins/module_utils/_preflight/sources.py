# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt's sources tell before an upgrade, beside what becomes of each. Private room of the collection."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple

from .._release import kept, sources
from .finding import WARNING, Finding, Kind, Wanted, finder, some
from .system import System

KINDS = {
    "suite_archived": Kind(WARNING, "https://www.debian.org/distrib/archive", (16,)),
}
find = finder(KINDS)

# Their suites have left the usual mirrors, or are about to. Only the archive of old releases keeps them for good.
ENDED = ("buster", "stretch", "bullseye")
ARCHIVES = ("archive.debian.org", "old-releases.ubuntu.com")


class Facts(NamedTuple):
    """here: sources that are switched on."""

    here: List[sources.Source]


def look(system: System) -> Facts:
    """Raises OSError for a file that cannot be read."""
    found = []
    for path in kept.sources(system.path("/etc/apt")):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found += sources.parse(path, file.read())
    return Facts([source for source in found if source.enabled])


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    ended = sorted({"{0} {1}".format(uri, suite) for source in facts.here if sources.is_official(source) for uri in source.uris for suite in source.suites
                    if suite.split("-")[0].split("/")[0] in ENDED and not any(host in uri for host in ARCHIVES)})
    if ended:
        yield find("suite_archived", "Past its end of life: {0}.".format(some(ended)), "The usual mirrors drop such a suite without notice.",
                   "If `apt-get update` fails here, point it to archive.debian.org first.", sources=ended)
