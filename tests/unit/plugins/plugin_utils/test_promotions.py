# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _applications, _promotions

FOUND = {"findings": [{"id": "postgresql_jump"}]}


def said(leader, results):
    applications = _applications.read({"db": {"units": {"db/0": "m1", "db/1": "m2"}, "leader": leader, "min_healthy": 1}})
    return _promotions.warnings(applications, ["m1", "m2"], results)


def test_handover_to_a_postgresql_on_a_new_c_library_is_warned_of_with_the_query_that_shows_it():
    told = said("handover", {"m1": {"findings": []}, "m2": FOUND})
    assert len(told) == 1 and "PostgreSQL is on m2" in told[0] and "pg_database_collation_actual_version" in told[0]


def test_leadership_that_is_held_and_machines_without_postgresql_are_not_warned_of():
    assert said("hold", {"m1": FOUND, "m2": FOUND}) == []
    assert said("handover", {"m1": {"findings": None}, "m2": None}) == []
