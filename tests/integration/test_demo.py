# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, as somebody starts it who has installed the collection."""

from __future__ import annotations

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import processes_of
from tests.integration.on_stage import run, stage_of


def test_the_demo_goes_as_it_is_told_and_leaves_no_process():
    with stage_of({}) as stage:
        ran = run(stage, "demo", TMPDIR=str(stage.directory))
        assert ran.code == 0, ran.said
        for words in ("rolled back", "leadership changes while pinned: 0", "Status page:", "Report:"):
            assert words in ran.said
        # Its directory lies below that of the stage, so its processes would be found by either name.
        assert processes_of(str(stage.directory / "lease-demo-")) == [] and not list(stage.directory.glob("lease-demo-*"))
