# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and variables from leases, without Ansible."""

from __future__ import annotations

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _leased_hosts as room
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._leased_hosts import Hosts, Unclear, by_host


def lease(application="db", holder="db/0", units=("db/0", "db/1"), **more):
    return {"application": application, "holder": holder, "term": 3, "provider": "native", "pinned": False, "pins": [], "halted": None, "overdue": False,
            "units": list(units), **more}


def hosts(applications=None, given=None, expression=None, skip=False):
    # In place of a template of Ansible, an expression of Python.
    return Hosts(given or {}, applications or {}, expression, skip, lambda expression, variables: eval(expression, {}, variables))


def said(*leases, **unreadable):
    return {"leases": list(leases), "unreadable": unreadable}


def test_two_units_on_one_host_the_one_that_leads_is_shown():
    for units in (("db/0", "db/1"), ("db/1", "db/0")):
        found = by_host(said(lease(units=units)), hosts({"db": {"db/0": "m1", "db/1": "m1"}}), False)
        assert found.groups["app_db"] == ["m1"] and found.variables["m1"]["leases"]["db"]["unit"] == "db/0"
        assert found.variables["m1"]["lease_applications"] == ["db"]


def test_leader_that_no_lease_names_among_its_units_is_in_the_inventory():
    assert by_host(said(lease(units=())), hosts(expression="unit"), False).groups["leader_db"] == ["db/0"]


def test_lease_without_a_holder_has_an_empty_group_of_leaders():
    found = by_host(said(lease(holder=None)), hosts(expression="unit"), False)
    assert found.groups["leader_db"] == [] and found.groups["app_db"] == ["db/0", "db/1"]


def test_empty_result_of_the_expression_leaves_the_unit_out():
    assert by_host(said(lease()), hosts(expression="'m1' if unit == 'db/0' else ''"), False).groups["app_db"] == ["m1"]


def test_what_cannot_be_read_is_an_error_or_a_group_and_never_without_a_leader():
    elsewhere = {"pg": {"pg1": "m1", "pg2": "m2"}}
    with pytest.raises(Unclear, match="no member answers; try again, or say unreadable: group"):
        by_host(said(pg="no member answers"), hosts(elsewhere), False)
    found = by_host(said(pg="no member answers"), hosts(elsewhere), True)
    assert found.groups["unreadable"] == found.groups["app_pg"] == ["m1", "m2"] and "leader_pg" not in found.groups
    told = found.variables["m1"]["leases"]["pg"]
    assert (told["leads"], told["pinned"], told["unreadable"]) == (None, None, "no member answers")
    assert set(told) == set(room.FIELDS)


@pytest.mark.parametrize("applications", ["db", {"db": []}, {"db": {"units": ["m1"]}}])
def test_applications_of_another_shape_are_refused(applications):
    class Literal:
        @staticmethod
        def template(value):
            return value

    with pytest.raises(Unclear, match="series_upgrade_applications"):
        room.read(applications, Literal)
