# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing outlives a stage, however its maker ends, and its units really elect their leaders."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

from ansible_collections.leasehold.series_upgrade.playbooks.loopback import stage as stages
from tests.integration.on_stage import run, stage_of

MAKER = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from stage import Stage
with Stage(pathlib.Path(sys.argv[2]), {"db": {"units": {"db/0": "m1"}}}):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stage_whose_maker_is_killed_leaves_no_process(number):
    with tempfile.TemporaryDirectory(prefix="lease-test-", dir="/tmp") as name:
        directory = pathlib.Path(name) / "stage"
        command = [sys.executable, "-c", MAKER, str(stages.HERE), str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as maker:
            assert maker.stdout.readline() == "up\n"
            assert stages.processes_of(str(directory))
            maker.send_signal(number)
            maker.wait()
        stages.until(lambda: not stages.processes_of(str(directory)), "every process of the stage has ended")


def test_another_unit_leads_when_the_leader_is_stopped_and_nothing_is_pinned():
    with stage_of({"db": {"units": {"db/0": "m1", "db/1": "m2"}}}) as stage:
        before = stage.leases()["db"]
        assert before["holder"] == "db/0"
        stage.unit("db/0", "stop")
        stages.until(lambda: stage.leases()["db"]["holder"] == "db/1", "db/1 leads db")
        assert stage.leases()["db"]["term"] > before["term"]


def test_status_tells_of_machines_without_a_watcher_that_they_are_not_known():
    with stage_of({"db": {"units": {"db/0": "m1"}}}) as stage:
        ran = run(stage, "status")
        assert ran.code == 0, ran.said
        assert "db/0" in ran.said and "not known" in ran.said, ran.said
