# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release.command import Command
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed, run_step


@pytest.fixture
def series_file(tmp_path):
    path = tmp_path / "os-release"
    path.write_text("VERSION_CODENAME=bookworm\n", encoding="ascii")
    return path


@pytest.fixture
def made(context, series_file):
    def make(**commands):
        spec = {"upgrade_id": "run-1", "machine": "m1", "source_series": "bookworm", "target_series": "trixie", "series_file": str(series_file)}
        return Command(dict(spec, command=commands), context)

    return make


def test_method_without_a_command_says_which_variable_to_set(made):
    with pytest.raises(StepFailed, match="set series_upgrade_command.upgrade"):
        made()


def test_command_gets_its_surroundings_and_tells_its_progress(made, context, series_file):
    context.answers = [("upgrade-me", 0, "starting\n 40% packages\n250% \n")]
    made(upgrade="upgrade-me").phases[0].run(context)
    assert context.calls == ["/bin/sh -c upgrade-me"]
    assert context.told == [(40.0, "packages"), (100.0, "upgrade command")]
    assert context.environments[0] == {
        "SERIES_UPGRADE_ID": "run-1", "SERIES_UPGRADE_MACHINE": "m1", "SERIES_UPGRADE_SOURCE": "bookworm", "SERIES_UPGRADE_TARGET": "trixie",
        "SERIES_UPGRADE_SERIES_FILE": str(series_file),
    }


def test_command_that_fails_is_a_failed_phase(made, context):
    context.answers = [("upgrade-me", 7, "")]
    with pytest.raises(StepFailed, match="ended with exit status 7"):
        made(upgrade="upgrade-me").phases[0].run(context)


def test_good_exit_status_alone_proves_nothing(made, context, series_file):
    prove = made(upgrade="true").phases[1].run
    with pytest.raises(StepFailed, match="has ended well, but .* says bookworm and not trixie"):
        prove(context)
    series_file.write_text("VERSION_CODENAME=trixie\n", encoding="ascii")
    prove(context)


def test_rollback_is_done_when_the_old_series_is_seen(made, context, series_file):
    series_file.write_text("VERSION_CODENAME=trixie\n", encoding="ascii")
    (step,) = made(upgrade="true", rollback="go-back").rollback_steps()
    with pytest.raises(StepFailed, match="says trixie and not bookworm"):
        run_step(step)
    series_file.write_text("VERSION_CODENAME=bookworm\n", encoding="ascii")
    assert run_step(step)
    assert context.calls == ["/bin/sh -c go-back"] * 2


def test_rollback_command_that_fails_says_so(made, context):
    context.answers = [("go-back", 3, "")]
    (step,) = made(upgrade="true", rollback="go-back").rollback_steps()
    with pytest.raises(StepFailed, match="rollback command ended with exit status 3"):
        run_step(step)


def test_without_a_rollback_command_there_are_no_steps(made):
    assert made(upgrade="true").rollback_steps() == []
