# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that cannot go back, by the real playbooks: nobody goes then, unless somebody says over what."""

from __future__ import annotations

import json

from tests.integration.on_stage import run, stage_of, variables

FLEET = {
    "db": {"units": {"db/0": "m1"}, "min_healthy": 0, "no_return": {"rule": "last_machine", "reason": "{application} has voted for 3.5"}},
    "web": {"units": {"web/0": "m2"}, "min_healthy": 0, "no_return": {"command": "true", "reason": "{application} writes the new format"}},
}


def test_rollback_beyond_a_point_of_no_return_is_all_or_none_and_forced_by_name():
    """S9"""
    with stage_of(FLEET) as stage:
        upgraded = run(stage, "upgrade_series")
        assert upgraded.code == 0, upgraded.said
        by_rule = run(stage, "rollback", *variables(series_upgrade_rollback="all"))
        assert by_rule.code != 0 and "db is past its point of no return: db has voted for 3.5; all its machines are on trixie" in by_rule.said, by_rule.said
        refused = run(stage, "rollback", *variables(series_upgrade_rollback="all", series_upgrade_force=["db"]))
        assert refused.code != 0
        assert "web is past its point of no return: web writes the new format" in refused.said
        assert {machine: stage.series(machine) for machine in stage.machines} == {"m1": "trixie", "m2": "trixie"}
        assert stage.ask("pins")["pins"] == []
        (report,) = [json.loads(path.read_text(encoding="utf-8")) for path in stage.directory.rglob("*-rollback.json")]
        assert {host: end["state"] for host, end in report["machines"].items()} == {"m1": "waiting", "m2": "failed"}
        assert "web writes the new format" in report["machines"]["m2"]["why"] and not report["succeeded"]
        rehearsed = run(stage, "rollback", *variables(series_upgrade_rollback="all", series_upgrade_force=["db"]), "--check")
        assert rehearsed.code != 0 and "web is past its point of no return" in rehearsed.said
        forced = run(stage, "rollback", *variables(series_upgrade_rollback="all", series_upgrade_force=["db", "web"]))
        assert forced.code == 0, forced.said
        assert {machine: stage.series(machine) for machine in stage.machines} == {"m1": "bookworm", "m2": "bookworm"}
