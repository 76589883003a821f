# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the playbook in the middle of a machine's upgrade, on the stage: the machine goes on, the pin holds, another controller finishes."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.leasehold.series_upgrade.tests.integration.on_stage import run, stage_of, start

APPLICATIONS = {"db": {"units": {"db/0": "m1", "db/1": "m2"}, "leader": "handover"}}


def workers_of(stage):
    """Every process of a playbook on this stage, workers included: they keep its command line."""
    return subprocess.run(["pgrep", "-f", "ansible.playbook.*%s" % stage.inventory], stdout=subprocess.PIPE, check=False, text=True).stdout.split()


@pytest.mark.timeout(240)
def test_a_killed_playbook_is_refused_at_first_and_finished_by_a_takeover():
    with stage_of(APPLICATIONS) as stage:
        first = start(stage, "upgrade_series")
        for line in first.stdout:
            if "m2: UPGRADING" in line:
                break
        os.kill(first.pid, 9)
        first.wait()
        left = stage.leases()["db"]
        assert left["pinned"] and left["pins"][0]["session"], "nobody has to be there for the pin to hold"

        refused = run(stage, "upgrade_series")
        assert refused.code != 0 and left["pins"][0]["session"] in refused.said and "takeover" in refused.said

        second = run(stage, "upgrade_series", "-e", "series_upgrade_takeover=true")
        assert second.code == 0, second.said
        assert "handed over from db/0 to db/1" in second.said and "leadership changes while pinned: 0" in second.said
        assert [stage.series(machine) for machine in ("m1", "m2")] == ["trixie", "trixie"]
        assert stage.leases()["db"]["holder"] == "db/1" and not stage.leases()["db"]["pinned"]
        assert workers_of(stage) == [], "what the first one had at work has fallen silent and gone"
