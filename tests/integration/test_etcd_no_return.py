# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The point of no return that docs/control_protocol.md gives for etcd, on a real cluster that goes member by member from Debian 12's etcd to Debian 13's."""

from __future__ import annotations

import json
import os
import pathlib
import re
import time
import urllib.request

import pytest
import yaml

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.clock import Clock
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.machine import Machine
from tests import etcd as real
from tests.integration.other_series import NotToBeHad, unpacked

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "control_protocol.md"
SHOWN = re.compile(r"^    no_return:\n(?:      .*\n)+", re.MULTILINE)
pytestmark = pytest.mark.skipif(real.missing() is not None, reason=str(real.missing()))


@pytest.fixture(name="programs", scope="module")
def etcd_of_both_series():
    """Directories with etcd 3.4, which is Debian 12's, and 3.5, which is Debian 13's."""
    try:
        return {series: str(unpacked(codename, "etcd-server") / "usr" / "bin") for series, codename in (("3.4", "bookworm"), ("3.5", "trixie"))}
    except NotToBeHad as problem:
        pytest.skip(str(problem))


def documented(member):
    """What the page says, for a member that listens on another port than the page's."""
    shown, = [text for text in SHOWN.findall(PAGE.read_text(encoding="utf-8")) if "etcdcluster" in text]
    point = yaml.safe_load(shown)["no_return"]
    return {**point, "command": point["command"].replace("http://127.0.0.1:2379", member.url), "application": "etcd"}


def passed(member):
    """What the watcher on this member's machine makes of it."""
    found = Machine(Clock(), "boot-1", ["true"]).points_passed({"no_return": [documented(member)]})
    return found[0][1] if found else None


def version(member):
    with urllib.request.urlopen(member.url + "/version", timeout=5) as answer:
        return json.load(answer)["etcdcluster"]


def run_as(member, programs, series, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("PATH", programs[series] + os.pathsep + os.environ["PATH"])
        member.start()


def test_etcd_is_past_its_point_of_no_return_with_the_last_upgraded_member_and_not_before(tmp_path, programs, monkeypatch):
    """S9: and what no member tells counts as passed."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", programs["3.4"] + os.pathsep + os.environ["PATH"])
        cluster = real.Etcd(tmp_path / "etcd", members=3)
        cluster.start()
    try:
        reason = documented(cluster.members[0])["reason"]
        assert [passed(member) for member in cluster.members] == [None, None, None]
        for member in cluster.members[:2]:
            member.kill()
            run_as(member, programs, "3.5", monkeypatch)
            cluster.wait()
        assert [passed(member) for member in cluster.members] == [None, None, None], "one member of 3.4 holds the door"
        last = cluster.members[2]
        last.kill()
        run_as(last, programs, "3.5", monkeypatch)
        cluster.wait()
        end = time.monotonic() + real.PATIENCE
        while any(not version(member).startswith("3.5") for member in cluster.members):
            assert time.monotonic() < end, "the cluster did not rise"
            time.sleep(0.2)
        assert [passed(member) for member in cluster.members] == [reason] * 3
        # The reason is true: whoever goes back does not come up again.
        last.kill()
        assert "whether this is so could not be asked" in passed(last)
        run_as(last, programs, "3.4", monkeypatch)
        assert last._process.wait(timeout=real.PATIENCE) != 0
        assert [passed(member) for member in cluster.members[:2]] == [reason] * 2
    finally:
        cluster.stop()
