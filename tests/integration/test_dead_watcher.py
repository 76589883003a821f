# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine whose watcher is dead is brought back all the same: the request is left there, and a watcher started."""

from __future__ import annotations

import json
import os
import signal

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import until
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import client
from tests.integration.on_stage import run, stage_of, variables


def marker(stage, machine):
    return json.loads((stage.home(machine) / "state" / "marker.json").read_text(encoding="utf-8"))


def test_rollback_of_a_machine_whose_watcher_is_dead_is_left_in_its_spool_and_done():
    """C9: by the playbook, without a person at the machine."""
    with stage_of({"db": {"units": {"db/0": "m1"}, "min_healthy": 0}}) as stage:
        ran = run(stage, "upgrade_series")
        assert ran.code == 0, ran.said
        os.kill(client.ask(str(stage.home("m1") / "run"), "status")["pid"], signal.SIGKILL)
        ran = run(stage, "rollback", *variables(series_upgrade_rollback="m1"))
        assert ran.code == 0, ran.said
        assert "left on the machine" in ran.said
        assert stage.series("m1") == "bookworm" and marker(stage, "m1")["state"] == "ROLLED_BACK"
        assert stage.ask("pins")["pins"] == []
        until(lambda: list((stage.home("m1") / "state" / "spool").iterdir()) == [], "the spool has been heard")
