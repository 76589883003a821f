# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What should be known before leadership goes to an upgraded machine: a PostgreSQL standby on a new C library may sort text otherwise than its indexes.

Private room of the collection, pure.
"""

from __future__ import annotations

import typing as t

from ..module_utils._postgres.collations import QUERY

# What the preflight finds where PostgreSQL goes to another series.
FINDING = "postgresql_jump"


def warnings(applications: t.Mapping[str, t.Any], hosts: t.Collection[str], results: t.Mapping[str, t.Any]) -> list[str]:
    """A sentence for each application whose leadership is handed over on the way and whose machines among HOSTS carry PostgreSQL."""
    said = []
    for name, application in sorted(applications.items()):
        if application.leader != "handover":
            continue
        found = [host for host in hosts if host in application.machines and FINDING in _ids(results.get(host))]
        if found:
            said.append(
                "%s hands its leadership over, and PostgreSQL is on %s: an upgraded standby has a new C library, which may sort text otherwise than the "
                "indexes it gets are sorted. Ask there before it is promoted, or set leader: hold: %s; docs/postgresql.md tells more." % (
                    name, ", ".join(found), QUERY))
    return said


def _ids(result: t.Any) -> set[str]:
    return {finding.get("id") for finding in (result or {}).get("findings") or []}
