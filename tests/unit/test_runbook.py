# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator of a Patroni cluster copies from the runbook is taken as it stands, by the endpoint and by the plan."""

from __future__ import annotations

import pathlib
import re

import yaml
from lease_endpoint import applications as endpoint_applications

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _applications
from tests.fleet.authority import Authority

TOP = pathlib.Path(__file__).resolve().parents[2]
COPIED = TOP / "tests/molecule/patroni/group_vars/all.yml"


def patroni_of_the_runbook():
    """The variable lease_endpoint_applications of the page."""
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", (TOP / "docs/runbook.md").read_text(encoding="utf-8"), re.S | re.M)
    block = next(block for block in blocks if "provider: patroni" in block)
    return yaml.safe_load("\n".join(line[3:] for line in block.splitlines()))["lease_endpoint_applications"]


def test_the_endpoint_takes_the_applications_of_the_runbook(tmp_path):
    found = patroni_of_the_runbook()
    (tmp_path / "password").write_text("secret")
    found["db"].update(ca_file=str(Authority(tmp_path / "authority").ca), password_file=str(tmp_path / "password"))
    assert endpoint_applications.made(found)["db"].name == "patroni"


def test_the_plan_takes_the_applications_that_the_runbook_tells_to_copy():
    applications = _applications.read(yaml.safe_load(COPIED.read_text(encoding="utf-8"))["series_upgrade_applications"])
    assert list(applications["db"].units) == list(patroni_of_the_runbook()["db"]["members"])
    (check, etcd) = _applications.checks(applications, "m2")
    assert (check["name"], check["url"]) == ("pg2: PostgreSQL runs under Patroni", "https://m2:8008/health")
    assert etcd["url"] == "http://m2:2379/health"
    assert "m2:2379/version" in _applications.points_of_no_return(applications, "m2")[0]["command"]
