# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A brake is pulled where the next watcher feels it, also on a machine that has no Python. The script runs in a real shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import spool
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _left_request

REASON = "it's \"odd\"; $(touch gone) %s \\n -- näh"


@pytest.fixture(name="without_python")
def path_without_python(tmp_path):
    """A PATH with what the script needs and nothing else."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "mkdir", "sync", "mv"):
        (directory / name).symlink_to(shutil.which(name))
    (directory / "systemctl").write_text("#!/bin/sh\necho \"$@\" >%s/started\n" % tmp_path)
    (directory / "systemctl").chmod(0o755)
    return str(directory)


def leave(state_dir, path, do="rollback", as_nobody=False, **more):
    script = _left_request.script(str(state_dir), do, "abc1", **more)
    who = {"user": 65534, "group": 65534, "extra_groups": []} if as_nobody else {}
    return subprocess.run(["/bin/sh", "-c", script], env={**os.environ, "PATH": path}, cwd="/", capture_output=True, text=True, check=False, **who)


def test_without_python_the_request_lies_in_the_spool_word_for_word_and_the_service_is_started(tmp_path, without_python):
    """C9: whatever is in its reason, and nobody else can put a file beside it."""
    state_dir = tmp_path / "it's here"
    state_dir.mkdir()
    (state_dir / "marker.json").touch()
    done = leave(state_dir, without_python, reason=REASON, force=["db", "a b"])
    assert done.returncode == 0 and ": accepted" in done.stdout, done
    (path, request), = spool.waiting(str(state_dir))
    assert request == {"v": 1, "do": "rollback", "request_id": "abc1", "reason": REASON, "force": ["db", "a b"]}
    assert os.listdir(state_dir / "spool") == ["abc1.json"] and path.endswith("abc1.json")
    assert (state_dir / "spool").stat().st_mode & 0o077 == 0
    assert (tmp_path / "started").read_text() == "start --no-block series-upgrade-watcher.service\n"
    assert not (state_dir / "gone").exists()


def test_with_python_the_command_on_the_machine_gets_the_same_words(tmp_path, without_python):
    (tmp_path / "marker.json").touch()
    python = tmp_path / "bin" / "python3"
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)
    done = leave(tmp_path, without_python, reason=REASON, force=["db"])
    said = ["watcher.pyz", "rollback", "--state-dir=%s" % tmp_path, "--request-id=abc1", "--reason=" + REASON, "--force=db"]
    assert [line for line in said if line not in done.stdout] == [] and not (tmp_path / "spool").exists()


@pytest.mark.parametrize("do", _left_request.BRAKES)
def test_every_brake_is_heard_by_the_next_watcher_under_its_own_name(tmp_path, without_python, do):
    """C9: and only a rollback can be forced."""
    (tmp_path / "marker.json").touch()
    done = leave(tmp_path, without_python, do, force=["db"])
    assert done.stdout.startswith(do + ": accepted")
    (_path, request), = spool.waiting(str(tmp_path))
    assert request == {"v": 1, "do": do, "request_id": "abc1", **({"force": ["db"]} if do == "rollback" else {})}


def test_what_cannot_be_written_was_not_left(tmp_path, without_python):
    (tmp_path / "marker.json").touch()
    (tmp_path / "spool").touch()
    done = leave(tmp_path, without_python)
    assert done.returncode == _left_request.NOT_LEFT and "accepted" not in done.stdout
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to be somebody else")
def test_user_who_may_not_look_is_told_so_and_not_that_the_machine_was_never_armed(without_python):
    with tempfile.TemporaryDirectory(prefix="left-", dir="/tmp") as directory:
        os.mkdir(directory + "/state", mode=0o700)
        os.chmod(directory, 0o755)
        assert leave(directory + "/state", os.environ["PATH"], as_nobody=True).returncode == _left_request.NOT_LET_IN


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_left_on_a_machine_that_was_never_armed(tmp_path, without_python, there):
    state_dir = tmp_path / "state"
    if there:
        state_dir.mkdir()
    assert leave(state_dir, without_python).returncode == _left_request.NOT_ARMED
    assert not (state_dir / "spool").exists()
