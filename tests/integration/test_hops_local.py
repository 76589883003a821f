# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two series on in two hops, by the real playbook on the stage of the demo: machines are directories, and their method is a command."""

from __future__ import annotations

import json

import pytest

from tests.integration.on_stage import run, stage_of, variables

GO = {"upgrade": 'test ! -e "$SERIES_UPGRADE_SERIES_FILE.no-$SERIES_UPGRADE_TARGET" && '
                 'printf "ID=debian\\nVERSION_CODENAME=%s\\n" "$SERIES_UPGRADE_TARGET" >"$SERIES_UPGRADE_SERIES_FILE"',
      "rollback": 'printf "ID=debian\\nVERSION_CODENAME=%s\\n" "$SERIES_UPGRADE_SOURCE" >"$SERIES_UPGRADE_SERIES_FILE"'}
HOPS = variables(series_upgrade_hops=["trixie", "forky"], series_upgrade_command=GO)
FLEET = {"db": {"units": {"db/0": "m1", "db/1": "m2"}, "min_healthy": 1}}


@pytest.fixture(name="stopped", scope="module")
def _stopped():
    """A run of two hops in which a machine does not get through the first one, what was then seen, and the run after it was put right."""
    with stage_of(FLEET) as stage:
        no = stage.home("m1") / "os-release.no-trixie"
        no.touch()
        first = run(stage, "upgrade_hops", *HOPS)
        between = {machine: stage.series(machine) for machine in stage.machines}
        no.unlink()
        second = run(stage, "upgrade_hops", *HOPS)
        yield {"stage": stage, "first": first, "between": between, "second": second}


def test_second_hop_is_not_begun_while_a_machine_is_not_through_the_first(stopped):
    assert stopped["first"].code != 0
    assert "Hop 1 of 2: to trixie" in stopped["first"].said and "Hop 2 of 2" not in stopped["first"].said
    assert stopped["between"] == {"m1": "bookworm", "m2": "trixie"}


def test_rerun_goes_on_with_the_first_hop_and_then_takes_the_second(stopped):
    assert stopped["second"].code == 0, stopped["second"].said
    assert "Hop 1 of 2: to trixie (m1)." in stopped["second"].said and "Hop 2 of 2: to forky (m1, m2)." in stopped["second"].said
    stage = stopped["stage"]
    assert {machine: stage.series(machine) for machine in stage.machines} == {"m1": "forky", "m2": "forky"}


def test_each_hop_has_a_report_of_its_own_and_nothing_stays_pinned(stopped):
    stage = stopped["stage"]
    for target in ("trixie", "forky"):
        told = json.loads((stage.directory / "reports" / ("to-%s.json" % target)).read_text(encoding="utf-8"))
        assert told["succeeded"] and set(told["leadership_changes"].values()) == {0}
    assert stage.ask("pins")["pins"] == []


def test_two_series_in_one_hop_are_refused_and_the_one_between_is_named(stopped):
    stage = stopped["stage"]
    for machine in stage.machines:
        (stage.home(machine) / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n", encoding="ascii")
    refused = run(stage, "upgrade_series", *variables(series_upgrade_target="forky"))
    assert refused.code != 0 and "forky does not follow bookworm" in refused.said and "trixie first" in refused.said
    assert {machine: stage.series(machine) for machine in stage.machines} == {"m1": "bookworm", "m2": "bookworm"}
