# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading series_upgrade_applications: defaults, and a sentence for everything that is wrong."""

from __future__ import annotations

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _applications as applications

UNITS = {"db/0": "m1", "db/1": "m2", "db/2": "m3"}


def db(**rules):
    return applications.read({"db": {"units": UNITS, **rules}})["db"]


def test_defaults_are_the_careful_ones():
    found = db()
    assert (found.order, found.leader, found.max_unavailable, found.min_healthy) == ("leader_last", "hold", 1, 2)


def test_min_healthy_follows_max_unavailable_and_never_falls_below_nought():
    assert db(max_unavailable=2).min_healthy == 1
    assert db(max_unavailable=7).min_healthy == 0


def test_numbers_may_come_as_text_from_a_survey():
    assert db(max_unavailable="2").max_unavailable == 2


def test_no_applications_is_a_fleet_too():
    assert applications.read(None) == {} == applications.read({})


def test_what_was_read_can_be_read_again():
    found = db(checks=[{"name": "answers", "kind": "tcp", "port": 5432}], drain="stop {unit}")
    assert applications.read({"db": found.as_dict()})["db"] == found


@pytest.mark.parametrize("given, sentence", [
    (["db"], "must map application names to their units, not be a list"),
    ({"db": "m1"}, "Application db must be a mapping with units, not a string."),
    ({"db": {}}, "Application db needs units, a mapping of unit names to inventory hosts, like {db/0: host1}."),
    ({"db": {"units": {"db/0": 1}}}, "Application db has the unit 'db/0' on 1; both must be names, so put them in quotes."),
    ({"db": {"units": UNITS, "oder": "any"}}, "Application db has an option oder, which does not exist; there are units, order"),
    ({"db": {"units": UNITS, "order": "last"}}, "order of application db is 'last'; it must be one of leader_last, leader_first, any."),
    ({"db": {"units": UNITS, "leader": "keep"}}, "leader of application db is 'keep'; it must be one of hold, handover."),
    ({"db": {"units": UNITS, "max_unavailable": 0}}, "max_unavailable of application db is 0; it must be a whole number of at least 1."),
    ({"db": {"units": UNITS, "max_unavailable": True}}, "max_unavailable of application db is True"),
    ({"db": {"units": UNITS, "min_healthy": "50%"}}, "min_healthy of application db is '50%'; it must be a whole number"),
    ({"db": {"units": UNITS, "min_healthy": 3}}, "db has 3 units and min_healthy 3, so m1 could never go; lower min_healthy to 2 or add a unit."),
    ({"db": {"units": {"db/0": "m1", "db/1": "m1", "db/2": "m2"}}},
     "m1 carries 2 units of db (db/0, db/1), which is more than its max_unavailable of 1; raise it or move a unit."),
    ({"db": {"units": UNITS, "drain": ["stop"]}}, "drain of application db must be a shell command in one string, not a list."),
    ({"db": {"units": UNITS, "checks": {}}}, "checks of application db must be a list, not a mapping."),
    ({"db": {"units": UNITS, "checks": [{"kind": "tcp"}]}}, "Application db: check number 1 needs a name."),
    ({"db": {"units": UNITS, "checks": [{"name": "up", "kind": "ping"}]}}, "check up is of kind 'ping'; it must be one of command, systemd, tcp, http."),
    ({"db": {"units": UNITS, "checks": [{"name": "up", "kind": "tcp"}]}}, "check up of kind tcp needs port."),
    ({"db": {"units": UNITS, "checks": [{"name": "up", "kind": "tcp", "port": 1, "tries": 3}]}}, "check up has an option tries, which does not exist"),
])
def test_wrong_input_gets_a_sentence(given, sentence):
    with pytest.raises(applications.ApplicationsError) as caught:
        applications.read(given)
    assert sentence in caught.value.msg


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(applications.ApplicationsError) as caught:
        applications.read({"a": {}, "b": {"units": {"b/0": "m1"}, "order": "x"}})
    assert "Application a needs units" in caught.value.msg and "order of application b" in caught.value.msg


def test_names_are_filled_in_and_other_braces_are_the_shells():
    found = db()
    assert found.fill("stop {unit_name} of {application} on {machine}; echo ${HOME} {unit}", "db/1") == "stop db-1 of db on m2; echo ${HOME} db/1"


def test_drain_and_resume_are_given_for_each_unit_of_the_machine():
    found = applications.read({"db": {"units": UNITS, "drain": "stop {unit_name}", "resume": "start {unit_name}"}, "web": {"units": {"web/0": "m1"}}})
    assert applications.drains(found, "m1") == [{"unit": "db/0", "command": "stop db-0", "resume": "start db-0"}]
    assert applications.drains(found, "m9") == []


def test_checks_of_several_units_on_one_machine_get_names_of_their_own():
    found = applications.read({"db": {
        "units": {"db/0": "m1", "db/1": "m1"}, "max_unavailable": 2,
        "checks": [{"name": "answers", "kind": "command", "command": "ask {unit}"}, {"name": "{unit} is up", "kind": "systemd", "unit": "{unit_name}.service"}],
    }})
    assert [(check["name"], check.get("command", check.get("unit"))) for check in applications.checks(found, "m1")] == [
        ("answers (db/0)", "ask db/0"), ("db/0 is up", "db-0.service"), ("answers (db/1)", "ask db/1"), ("db/1 is up", "db-1.service")]


def test_machines_are_sorted_as_people_do():
    assert sorted(["m10", "m2", "m1", "2", "web"], key=applications.natural) == ["2", "m1", "m2", "m10", "web"]


def test_point_of_no_return_is_asked_for_each_unit_of_the_machine():
    point = {"command": "test -e /srv/{unit_name}/v17", "reason": "the format of {application} is new"}
    found = applications.read({"db": {"units": UNITS, "no_return": point}, "web": {"units": {"web/0": "m1"}}})
    assert applications.points_of_no_return(found, "m1") == [
        {"application": "db", "command": "test -e /srv/db-0/v17", "reason": "the format of db is new"}]
    assert found["db"].as_dict()["no_return"] == point and "no_return" not in found["web"].as_dict()


@pytest.mark.parametrize("given", ["never", {"command": "true"}, {"command": "true", "reason": ""}, {"command": "true", "reason": "x", "why": "y"},
                                   {"reason": "x"}, {"rule": "last_machine"}])
def test_point_of_no_return_needs_a_reason_and_a_command_or_a_rule(given):
    with pytest.raises(applications.ApplicationsError, match="no_return of application db needs texts"):
        applications.read({"db": {"units": UNITS, "no_return": given}})


def test_rule_of_no_return_is_not_for_the_watcher_and_a_command_beside_it_is():
    rule = {"rule": "last_machine", "reason": "r"}
    found = applications.read({"db": {"units": UNITS, "no_return": rule}, "web": {"units": UNITS, "no_return": {**rule, "command": "true"}}})
    assert applications.points_of_no_return(found, "m1") == [{"application": "web", "command": "true", "reason": "r"}]
    assert found["db"].as_dict()["no_return"] == rule


def test_rule_of_no_return_that_does_not_exist_is_refused():
    with pytest.raises(applications.ApplicationsError, match="no_return.rule of application db is 'first_machine'; it must be one of last_machine"):
        applications.read({"db": {"units": UNITS, "no_return": {"rule": "first_machine", "reason": "r"}}})
