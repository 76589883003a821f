# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook preflight on loopback, where machines are directories: what it says, keeps and refuses."""

from __future__ import annotations

import json

import pytest

from tests.integration.on_stage import run, stage_of, variables


@pytest.fixture(scope="module")
def stage():
    with stage_of({"db": {"units": {"db/0": "m1", "db/1": "m2"}}}) as made:
        yield made


def look(stage, *arguments, **values):
    return run(stage, "preflight", *variables(series_upgrade_report_dir=str(stage.directory / "kept"), **values), *arguments)


def kept(stage):
    return sorted(path.name for path in (stage.directory / "kept").glob("*"))


def test_check_mode_tells_and_keeps_nothing_and_a_look_keeps_report_and_page(stage):
    told = look(stage, "--check")
    assert told.code == 0 and "Preflight to trixie: 2 machines: ready" in told.said, told.said
    assert kept(stage) == []
    assert look(stage).code == 0
    assert kept(stage) == ["to-trixie-preflight.html", "to-trixie-preflight.json"]


@pytest.mark.parametrize("accepted, words", [
    (["helt"], "helt is no finding, perhaps held is meant"),
    ([{"id": "held", "machine": "m7"}], "names m7, which is not in the inventory"),
    ("held", "is no list"),
])
def test_what_cannot_be_meant_is_refused_before_a_plan_is_made(stage, accepted, words):
    told = look(stage, series_upgrade_accepted_findings=accepted)
    assert told.code != 0
    assert words in told.said and "Traceback" not in told.said
    assert "Plan the upgrade" not in told.said


def test_inhibitor_forbids_and_is_let_through_when_it_is_accepted_with_its_reason(stage):
    # A megabyte more than any disk of this box has.
    forbidden = look(stage, preflight_min_free_mb=2 ** 40)
    assert forbidden.code != 0 and "disk_small" in forbidden.said and "NOT READY" in forbidden.said, forbidden.said
    accepted = look(stage, preflight_min_free_mb=2 ** 40, series_upgrade_accepted_findings=[{"id": "disk_small", "reason": "it is thin"}])
    assert accepted.code == 0, accepted.said
    assert "accepted (it is thin): " in accepted.said and "2 accepted: ready" in accepted.said
    report = json.loads((stage.directory / "kept/to-trixie-preflight.json").read_text(encoding="utf-8"))
    assert [(finding["machine"], finding["id"], finding["accepted"]) for finding in report["findings"]] == [
        ("m1", "disk_small", {"reason": "it is thin"}), ("m2", "disk_small", {"reason": "it is thin"})]
