# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import apt
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed


def quiet_apt(**options):
    return apt.Apt(held_by=lambda path: None, **options)


def test_status_lines_are_read_even_behind_words_of_a_maintainer_script():
    assert apt.status("pmstatus:libc6:41.5:Unpacking libc6 (amd64)") == ("pmstatus", "libc6", 41.5, "Unpacking libc6 (amd64)")
    assert apt.status("Working...dlstatus:3:7.1:Retrieving file 3 of 9").percent == 7.1
    assert apt.status("Unpacking libc6:amd64 (2.41-12) ...") is None


def test_apt_asks_nothing_keeps_changed_files_and_suspends_needrestart(context):
    quiet_apt().get(context, "log", "full-upgrade")
    (line,), (environment,) = context.calls, context.environments
    for part in ("--assume-yes", "Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold", "DPkg::Lock::Timeout=600", "APT::Status-Fd=3 3>&1"):
        assert part in line
    assert line.endswith(" full-upgrade")
    assert environment["DEBIAN_FRONTEND"] == "noninteractive"
    assert environment["NEEDRESTART_SUSPEND"] == "1"


def test_progress_is_told_once_for_each_percent(context):
    context.answers = [("full-upgrade", 0, "pmstatus:a:1.2:A\npmstatus:b:1.9:B\nSetting up a\npmstatus:c:2.0:C\n")]
    quiet_apt().get(context, "log", "full-upgrade")
    assert context.told == [(1.2, "A"), (2.0, "C")]


def test_failure_names_what_apt_said(context):
    context.answers = [("update", 100, "Get:1 x\nE: Failed to fetch http://x/InRelease\nE: Some index files failed to download.\n")]
    with pytest.raises(StepFailed, match="apt-get update failed: E: Failed to fetch http://x/InRelease; E: Some index files failed"):
        quiet_apt().get(context, "log", "update")
    assert len(context.calls) == 1


def test_first_package_that_failed_is_the_cause_and_not_those_that_need_it(context):
    context.answers = [("full-upgrade", 100, """\
dpkg: error processing package base (--configure):
pmerror:base:10.0:script returned error exit status 1
dpkg: dependency problems prevent configuration of app:
pmerror:app:20.0:dependency problems - leaving unconfigured
E: Sub-process /usr/bin/dpkg returned an error code (1)
""")]
    with pytest.raises(StepFailed) as failure:
        quiet_apt().get(context, "log", "full-upgrade")
    assert str(failure.value) == (
        "apt-get full-upgrade failed: base: script returned error exit status 1; E: Sub-process /usr/bin/dpkg returned an error code (1)"
    )


def test_program_that_fails_without_a_word_points_to_the_log(context):
    context.answers = [("update", 137, "")]
    with pytest.raises(StepFailed, match="exit status 137, see upgrade.log"):
        quiet_apt().get(context, "upgrade.log", "update")


def test_interrupted_dpkg_is_configured_and_mended_before_the_next_attempt(context):
    context.answers = [("full-upgrade", 100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'\n")]
    quiet_apt().get(context, "log", "full-upgrade", repair=True)
    kinds = [next(word for word in ("--configure -a", "--fix-broken install", "full-upgrade") if word in line) for line in context.calls]
    assert kinds == ["full-upgrade", "--configure -a", "--fix-broken install", "full-upgrade"]
    assert "dpkg --force-confdef --force-confold --configure -a" in context.calls[1]


def test_what_fails_after_two_repairs_is_a_failure(context):
    context.answers = [("full-upgrade", 100, "pmerror:app:40.0:script returned error 1\n")] * 9
    with pytest.raises(StepFailed, match="app: script returned error 1"):
        quiet_apt().get(context, "log", "full-upgrade", repair=True)
    assert len([line for line in context.calls if line.endswith(" full-upgrade")]) == 3


def test_lock_that_somebody_takes_at_the_last_moment_is_waited_for_again(context):
    context.answers = [("update", 100, "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 434 (apt-get)\n")]
    quiet_apt().get(context, "log", "update")
    assert len(context.calls) == 2


def test_removals_are_read_from_a_simulation():
    assert apt.removals("Inst a (1 x)\nRemv libssl3 [3.0]\nPurg old [1]\nConf a\n") == ["libssl3", "old"]


def test_locks_are_waited_for_and_told_once(context):
    now = iter(range(100))
    held = {apt.APT_LOCKS[2]}
    context.wait = lambda seconds: (context.waits.append(seconds), held.clear() if len(context.waits) == 3 else None)
    apt.Apt(held_by=lambda path: 4711 if path in held else None, clock=lambda: next(now)).wait_for_locks(context)
    assert context.told == [(None, "waiting for process 4711, which holds apt")]
    assert context.waits == [1, 1, 1]


def test_lock_that_is_never_given_back_is_a_failure_that_names_its_holder(context):
    now = iter(range(100))
    with pytest.raises(StepFailed, match=r"apt is still held by (?P<name>\S+) \(process %d: \S.*\) after 5 s" % os.getpid()):
        apt.Apt(lock_timeout=5, held_by=lambda path: os.getpid(), clock=lambda: next(now)).wait_for_locks(context)


def test_own_apt_that_runs_on_after_a_restart_of_the_watcher_is_not_waited_for(context):
    quiet_apt().get(context, "log", "update")
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=context.environments[0]) as ours:
        # Once it answers it has its environment.
        ours.stdin.write(b"ready\n")
        ours.stdin.flush()
        assert ours.stdout.readline() == b"ready\n"
        apt.Apt(lock_timeout=5, held_by=lambda path: ours.pid).wait_for_locks(context)
        ours.stdin.close()
    assert not context.waits


def test_holder_of_a_lock_is_found_and_not_disturbed(tmp_path):
    path = tmp_path / "lock"
    assert apt.holder(str(path)) is None
    path.write_text("", encoding="ascii")
    assert apt.holder(str(path)) is None
    code = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        assert apt.holder(str(path)) == other.pid
        other.stdin.close()
        other.wait(30)
    assert apt.holder(str(path)) is None
    with open(path, "r+", encoding="ascii") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
