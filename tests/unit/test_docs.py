# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages name exists: links, playbooks, make targets, variables, and the inventory of the README is one that the plan takes."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _applications, _spec

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([TOP / "README.md", TOP / "CONTRIBUTING.md", *(TOP / "docs").glob("*.md"), *(TOP / "roles").glob("*/README.md")])


def name(path):
    return str(path.relative_to(TOP))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_playbooks_that_are_named_exist(page):
    named = re.findall(r"ansible-playbook [^\n]*?leasehold\.series_upgrade\.([a-z_]+)", page.read_text(encoding="utf-8"))
    assert not [playbook for playbook in named if not (TOP / "playbooks" / (playbook + ".yml")).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_that_are_named_exist(page):
    targets = set(re.findall(r"^([a-z0-9]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z0-9]+)\b", page.read_text(encoding="utf-8"), re.M))
    assert named <= targets


def specified():
    """Every variable that a role or a playbook declares or reads."""
    sources = [path for folder in ("roles", "playbooks", "plugins") for ending in ("yml", "py") for path in (TOP / folder).rglob("*." + ending)]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    return set(re.findall(r"\b(?:series_upgrade|upgrade_watcher|lease_endpoint)_[a-z_]+\b", text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_variables_that_are_named_are_read_somewhere(page):
    text = re.sub(r"\[[^\]]*\]\([^)]*\)", "", page.read_text(encoding="utf-8"))
    named = set(re.findall(r"\b(?:series_upgrade|upgrade_watcher)_[a-z_]+[a-z]\b", text))
    assert named <= specified()


def test_every_variable_that_a_playbook_or_a_spec_reads_is_on_the_page_of_variables():
    playbooks = "".join(path.read_text(encoding="utf-8") for path in (TOP / "playbooks").glob("*.yml"))
    read = {*_spec.VARIABLES, *re.findall(r"(?<![\w.])series_upgrade_[a-z_]+(?= \|)", playbooks)}
    assert not sorted(read - set(re.findall(r"\w+", (TOP / "docs" / "variables.md").read_text(encoding="utf-8"))))


def test_the_inventory_of_the_readme_is_taken_as_it_stands():
    block = re.search(r"```yaml\n(.*?)```", (TOP / "README.md").read_text(encoding="utf-8"), re.S).group(1)
    variables = yaml.safe_load("\n".join(line[3:] for line in block.splitlines()))
    assert isinstance(variables["series_upgrade_target"], str)
    applications = _applications.read(variables["series_upgrade_applications"])
    assert set(applications["db"].units.values()) == {"m1", "m2", "m3"}
