# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing outlives a stage, however its maker ends."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import tempfile

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


def test_a_stage_whose_maker_is_killed_leaves_no_process_and_no_directory():
    with tempfile.TemporaryDirectory(prefix="lease-test-", dir="/tmp") as name:
        directory = pathlib.Path(name) / "stage"
        command = [sys.executable, "-c", MAKER, str(stages.HERE), str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as maker:
            assert maker.stdout.readline() == "up\n"
            assert stages.processes_of(str(directory))
            maker.send_signal(signal.SIGKILL)
            maker.wait()
        stages.until(lambda: not stages.processes_of(str(directory)), "every process of the stage has ended")
        stages.until(lambda: not directory.exists(), "the directory of the stage is gone")


def test_status_tells_of_machines_without_a_watcher_that_they_are_not_known():
    with stage_of({"db": {"units": {"db/0": "m1"}}}) as stage:
        ran = run(stage, "status")
        assert ran.code == 0, ran.said
        assert "db/0" in ran.said and "not known" in ran.said, ran.said
