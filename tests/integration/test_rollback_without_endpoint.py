# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease endpoint is gone when machines have to go back."""

from __future__ import annotations

import os
import pathlib
import signal

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import processes_of
from tests.integration.on_stage import run, stage_of, variables


def end_endpoint(stage):
    """kill -9: it may have been on one of the machines."""
    serving = [pid for pid in processes_of(str(stage.directory)) if b"lease_endpoint\0serve" in pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()]
    for pid in serving:
        os.kill(pid, signal.SIGKILL)
    stage._endpoint_process.wait()


def test_rollback_names_the_option_that_needs_no_endpoint_and_with_it_takes_machines_back_one_by_one():
    with stage_of({"db": {"units": {"db/0": "m1", "db/1": "m2"}}}) as stage:
        ran = run(stage, "upgrade_series")
        assert ran.code == 0, ran.said
        end_endpoint(stage)
        ran = run(stage, "rollback", *variables(series_upgrade_rollback="all"))
        assert ran.code != 0 and "To go back without the endpoint, while leaders may change: -e series_upgrade_pin=false." in ran.said
        assert [stage.series(machine) for machine in stage.machines] == ["trixie", "trixie"]
        ran = run(stage, "rollback", *variables(series_upgrade_rollback="all", series_upgrade_pin=False))
        assert ran.code == 0, ran.said
        assert [stage.series(machine) for machine in stage.machines] == ["bookworm", "bookworm"]
        assert "Nobody can be asked who leads" in ran.said and "is away already, and db can spare one unit" in ran.said
