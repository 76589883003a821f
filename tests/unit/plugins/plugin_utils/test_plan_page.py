# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/plan.md shows what the planner really says."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, PlanError, plan

PAGE = (pathlib.Path(__file__).resolve().parents[4] / "docs/plan.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(r"```%s\n(.*?)\n```" % kind, PAGE, re.S)


def test_the_tree_of_the_page_is_the_tree_of_its_inventory():
    applications = yaml.safe_load(blocks("yaml")[0])["series_upgrade_applications"]
    made = plan(applications, {"db": "db/0", "web": "web/1"}, {"m%d" % number: MachineState() for number in range(1, 5)}, target="trixie")
    assert made.tree() == blocks("text")[0]


def test_the_conflict_of_the_page_is_told_in_these_words():
    fleet = {"a": {"units": {"a/0": "m1", "a/1": "m2"}}, "b": {"units": {"b/0": "m2", "b/1": "m1"}}}
    with pytest.raises(PlanError) as caught:
        plan(fleet, {"a": "a/0", "b": "b/0"}, {"m1": MachineState(), "m2": MachineState()})
    assert caught.value.msg == blocks("text")[1]
