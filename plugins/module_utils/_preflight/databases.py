# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases and brokers whose data has a version. Private room of the collection: look() sees, findings() is pure."""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple

from .finding import INHIBITOR, ISSUES, WARNING, Finding, Kind, Wanted, finder, some
from .system import System

KINDS = {
    "postgresql_jump": Kind(WARNING, "https://www.postgresql.org/docs/17/upgrading.html", (31,)),
    "mariadb_major": Kind(WARNING, ISSUES, (32,)),
    "rabbitmq_hop": Kind(INHIBITOR, ISSUES, (33,)),
}
find = finder(KINDS)

POSTGRESQL = {"bullseye": "13", "bookworm": "15", "trixie": "17", "focal": "12", "jammy": "14", "noble": "16"}
MARIADB = {"bullseye": "10.5", "bookworm": "10.11", "trixie": "11.8", "jammy": "10.6", "noble": "10.11"}
# Where the new broker does not start on what the old one has left.
RABBITMQ = ("trixie", "noble", "resolute")


class Facts(NamedTuple):
    """clusters: of PostgreSQL, "15/main". versions: of all packages."""

    clusters: List[str]
    versions: Dict[str, str]


def look(system: System) -> Facts:
    """Raises OSError for what cannot be told. A cluster that is not set up the Debian way shows by its packages."""
    clusters = ["/".join(path.split("/")[-3:-1]) for path in system.glob("/etc/postgresql/*/*/postgresql.conf")]
    return Facts(clusters, system.versions())


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    servers = sorted({match.group(1) for name in facts.versions for match in [re.match(r"^postgresql-(\d+)$", name)] if match})
    new = POSTGRESQL.get(wanted.target)
    old = [version for version in servers if version != new]
    if old and (new or wanted.target):
        yield find("postgresql_jump", "PostgreSQL {0} is here{1}, and {2} brings {3}.".format(
            some(old), " with " + some(facts.clusters) if facts.clusters else "", wanted.target, new or "another one"),
            "The clusters stay as they are and go on with their old programs; a new C library sorts texts differently, so indexes may have to be rebuilt.",
            "Keep the old packages; move the data later with pg_upgradecluster. Look at docs/postgresql.md for indexes.", versions=old, clusters=facts.clusters)
    mariadb = facts.versions.get("mariadb-server") or facts.versions.get("mariadb-server-10.5")
    if mariadb and MARIADB.get(wanted.target) and MARIADB.get(wanted.start) != MARIADB.get(wanted.target):
        yield find("mariadb_major", "MariaDB {0} is here, and {1} brings {2}.".format(mariadb.split(":")[-1], wanted.target, MARIADB[wanted.target]),
                   "The new one cannot recover what the old one left in a crash.",
                   "Let `drain` stop it cleanly (innodb_fast_shutdown 0 or 1), and look for Shutdown complete in its log.")
    rabbitmq = facts.versions.get("rabbitmq-server")
    if rabbitmq and wanted.target in RABBITMQ:
        yield find("rabbitmq_hop", "RabbitMQ {0} is here.".format(rabbitmq),
                   "There is no direct way for it to {0}: mirrored queues are gone, and feature flags have to be enabled on releases in between.".format(
                       wanted.target),
                   "Move it to other machines, or plan its own hops and name this finding in series_upgrade_accepted_findings.")
