# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages on the preflight and on the checklist say what the findings are, no more and no less."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight import accepted, rooms

TOP = pathlib.Path(__file__).resolve().parents[2]
ROWS = {int(row[0]): row for row in (
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TOP / "docs/upgrade_checklist.md").read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line))}
WAYS = {"prevented", "detected", "handled", "checked"}
PREFLIGHT = (TOP / "docs/preflight.md").read_text(encoding="utf-8")


def test_all_42_are_there():
    assert sorted(ROWS) == list(range(1, 43))


@pytest.mark.parametrize("item", range(1, 43))
def test_each_says_what_is_done_where_and_by_which_text(item):
    dummy, problem, done, where, text = ROWS[item]
    assert problem and text
    assert set(done.split(", ")) <= WAYS
    words = re.findall(r"`([^`]+)`", where)
    assert words or "](" in where
    assert not [word for word in words if "/" in word and not (TOP / word).exists()]
    findings = {word for word in words if word in rooms.KINDS}
    assert findings >= {id_ for id_, kind in rooms.KINDS.items() if item in kind.items}
    assert ("detected" in done) <= bool(findings)
    assert not [word for word in words if "_" in word and "/" not in word and word not in rooms.KINDS]


def test_page_of_the_preflight_lists_every_finding_with_its_severity():
    told = {match[0]: match[1] for match in re.findall(r"^\| `(\w+)` \| ([^|]+?) \| [^|]+ \|$", PREFLIGHT, re.MULTILINE)}
    assert told == {id_: kind.severity + (" ×" if kind.severity == "inhibitor" and not kind.acceptable else "") for id_, kind in rooms.KINDS.items()}


def test_example_of_accepted_findings_is_taken_as_it_stands():
    block = re.search(r"```yaml\n(series_upgrade_accepted_findings:.*?)```", PREFLIGHT, re.DOTALL).group(1)
    known = accepted.read(yaml.safe_load(block)["series_upgrade_accepted_findings"], rooms.KINDS)
    assert [entry.id for entry in known] == ["removals", "reboot_required"]
