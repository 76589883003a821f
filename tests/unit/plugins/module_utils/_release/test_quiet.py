# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import subprocess

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import quiet
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed

SHOWN = """\
Id=apt-daily.timer
LoadState=loaded
ActiveState=active

Id=apt-daily-upgrade.timer
LoadState=masked
ActiveState=inactive

Id=apt-daily-upgrade.service
LoadState=loaded
ActiveState=active

Id=unattended-upgrades.service
LoadState=not-found
ActiveState=inactive
"""


@pytest.fixture
def policy(tmp_path):
    return tmp_path / "policy-rc.d"


@pytest.fixture
def made(tmp_path, policy, context):
    (tmp_path / "booted").mkdir()
    context.answers = [("show", 0, SHOWN)]
    return quiet.Quiet(policy=str(policy), booted=str(tmp_path / "booted"))


def test_timers_are_masked_for_this_boot_and_only_what_ran_is_started_again(made, context):
    made.hold(context)
    assert context.runs[1:] == [
        "systemctl mask --runtime --quiet apt-daily.timer apt-daily-upgrade.service",
        # A service that runs apt just now is left to end by itself: nobody kills dpkg.
        "systemctl stop --quiet apt-daily.timer",
    ]
    context.runs.clear()
    made.release(context)
    assert [line for line in context.runs if "show" not in line] == [
        "systemctl unmask --runtime --quiet apt-daily.timer apt-daily-upgrade.service",
        "systemctl start --quiet apt-daily.timer",
    ]


def test_unit_that_the_target_has_dropped_is_not_started(made, context):
    made.hold(context)
    context.answers = [("show", 0, "Id=apt-daily.timer\nLoadState=not-found\nActiveState=inactive\n")]
    made.release(context)
    assert not [line for line in context.runs if " start " in line]


def test_state_is_durable_before_anything_is_touched(made, context, policy):
    def remember(key, value):
        raise StepFailed("disk full")

    context.remember = remember
    with pytest.raises(StepFailed, match="disk full"):
        made.hold(context)
    assert not [line for line in context.runs if "show" not in line]
    assert not policy.exists()


@pytest.mark.parametrize("before", ["absent", "file", "link"])
def test_policy_is_put_back_exactly_after_any_number_of_holds_and_releases(made, context, policy, tmp_path, before):
    if before == "file":
        policy.write_text("#!/bin/sh\nexit 104\n", encoding="ascii")
        policy.chmod(0o751)
    elif before == "link":
        (tmp_path / "real").write_text("x", encoding="ascii")
        policy.symlink_to("real")
    made.hold(context)
    made.hold(context)
    assert stat.S_IMODE(os.lstat(policy).st_mode) == 0o755
    assert policy.read_text(encoding="ascii") == quiet.POLICY_TEXT
    made.release(context)
    made.release(context)
    if before == "absent":
        assert not os.path.lexists(policy)
    elif before == "file":
        assert policy.read_text(encoding="ascii") == "#!/bin/sh\nexit 104\n"
        assert stat.S_IMODE(os.lstat(policy).st_mode) == 0o751
    else:
        assert os.readlink(policy) == "real"
    assert sorted(path.name for path in tmp_path.iterdir() if "series-upgrade" in path.name) == []


@pytest.mark.parametrize("service, action, code", [
    ("postgresql", "restart", 101), ("dbus.service", "start", 101), ("sshguard", "restart", 101), ("ssh", "restart", 0), ("ssh.service", "restart", 0),
])
def test_policy_lets_only_ssh_restart(made, context, policy, service, action, code):
    made.hold(context)
    assert subprocess.call([str(policy), service, action]) == code
    assert subprocess.call([str(policy), "--quiet", service, action]) == code


def test_policy_that_somebody_has_changed_meanwhile_is_left_alone(made, context, policy):
    made.hold(context)
    policy.write_text("theirs", encoding="ascii")
    made.release(context)
    assert policy.read_text(encoding="ascii") == "theirs"
    assert "left %s alone" % policy in context.told[-1][1]


def test_policy_that_an_abandoned_attempt_has_left_is_not_taken_for_the_owners(made, context, policy):
    policy.write_text(quiet.POLICY_TEXT, encoding="ascii")
    made.hold(context)
    made.release(context)
    assert not policy.exists()


def test_restarts_may_be_allowed(tmp_path, policy, context):
    made = quiet.Quiet("allow", policy=str(policy), booted=str(tmp_path / "no-systemd"))
    made.hold(context)
    assert not policy.exists()
    assert context.runs == []
    made.release(context)


def test_release_without_hold_does_nothing(made, context):
    made.release(context)
    assert context.runs == [] and context.told == []


def test_systemd_that_refuses_is_a_failure(made, context):
    context.answers = [("mask", 1, "Failed to mask unit: no"), ("show", 0, SHOWN)]
    with pytest.raises(StepFailed, match="systemctl mask failed: Failed to mask unit: no"):
        made.hold(context)
