# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spec of a machine holds what its variables say, for its own units alone."""

from __future__ import annotations

import json

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._spec import OVER, spec

VARIABLES = {
    "series_upgrade_target": "trixie",
    "series_upgrade_applications": {
        "db": {
            "units": {"db/0": "m1", "db/1": "m2"},
            "drain": "stop {unit_name}; awk '{print $1}'",
            "resume": "start {unit_name}",
            "checks": [{"name": "answers", "kind": "tcp", "port": 5432}],
        },
        "web": {"units": {"web/0": "m2"}},
    },
    "series_upgrade_checks": [{"name": "booted", "kind": "command", "command": "echo up", "allowed_misses": 9}],
}


def made(host="m1", variables=None, marker=None, series=None):
    return spec(host, "to-trixie", "s1", variables or VARIABLES, {"marker": marker, "series": series})


def test_only_the_units_of_the_machine_are_drained_and_shell_braces_stay():
    assert made()["drain"] == [{"unit": "db/0", "command": "stop db-0; awk '{print $1}'", "resume": "start db-0", "timeout": 300}]


def test_an_application_without_drain_is_not_drained():
    assert [item["unit"] for item in made("m2")["drain"]] == ["db/1"]


def test_checks_take_the_tolerances_of_the_run_unless_they_bring_their_own():
    booted, answers = made()["checks"]
    assert (booted["command"], booted["allowed_misses"], booted["interval"]) == ("echo up", 9, 5)
    assert (answers["port"], answers["allowed_misses"]) == (5432, 2)


def test_what_nobody_said_has_a_default_and_what_has_none_is_left_out():
    result = made()
    assert (result["method"], result["grace"], result["reboot"], result["snapshot"]) == ("debian", 60, True, {"kind": "none"})
    assert "not_after" not in result and "source_series" not in result


@pytest.mark.parametrize("state", ["ARMED", "UPGRADING", "WATCHING", "HELD", "INVALID"])
def test_a_live_upgrade_of_this_run_keeps_its_name(state):
    assert made(marker={"state": state, "run": "to-trixie", "upgrade_id": "to-trixie/m1/s0"})["upgrade_id"] == "to-trixie/m1/s0"


def test_a_live_upgrade_of_this_run_came_from_where_its_marker_says_also_when_the_machine_is_on_the_target_already():
    watching = {"state": "WATCHING", "run": "to-trixie", "upgrade_id": "to-trixie/m1/s0", "source_series": "bookworm"}
    assert made(marker=watching, series="trixie")["source_series"] == "bookworm"
    assert made(marker=dict(watching, run="to-bookworm"), series="trixie")["source_series"] == "trixie"


@pytest.mark.parametrize("state", sorted(OVER))
def test_an_upgrade_that_is_over_is_followed_by_a_new_attempt(state):
    assert made(marker={"state": state, "run": "to-trixie", "upgrade_id": "to-trixie/m1/s0"})["upgrade_id"] == "to-trixie/m1/s1"


def test_a_live_upgrade_of_another_run_does_not_lend_its_name():
    assert made(marker={"state": "WATCHING", "run": "other", "upgrade_id": "other/m1/s0"})["upgrade_id"] == "to-trixie/m1/s1"


def test_the_spec_is_plain_json():
    assert json.loads(json.dumps(made(series="bookworm")))["source_series"] == "bookworm"


def test_text_from_the_command_line_becomes_what_was_meant():
    result = made(variables={**VARIABLES, "series_upgrade_reboot": "no", "series_upgrade_grace": "90"})
    assert result["reboot"] is False and result["grace"] == 90


@pytest.mark.parametrize("name, text", [("series_upgrade_reboot", "perhaps"), ("series_upgrade_grace", "long")])
def test_text_that_means_nothing_is_refused_by_its_name(name, text):
    with pytest.raises(ValueError, match=name):
        made(variables={**VARIABLES, name: text})


def test_points_of_no_return_and_retention_are_told_to_the_watcher():
    applications = {"db": {"units": {"db/0": "m1"}, "no_return": {"command": "true", "reason": "r"}}}
    result = made(variables={"series_upgrade_applications": applications, "series_upgrade_retain": "3"})
    assert (result["no_return"], result["retain"]) == ([{"application": "db", "command": "true", "reason": "r"}], 3)
    assert made()["no_return"] == [] and made()["retain"] == 7
