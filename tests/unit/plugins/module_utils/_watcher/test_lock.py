# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.lock import Busy, Lock


def test_second_taker_is_told_at_once(tmp_path):
    path = str(tmp_path / "lock")
    with Lock(path):
        with pytest.raises(Busy):
            Lock(path).take()
    with Lock(path):
        pass


def test_file_that_lies_there_means_nothing(tmp_path):
    """M6"""
    (tmp_path / "lock").write_text("1234")
    Lock(str(tmp_path / "lock")).take()


def test_child_that_lives_on_does_not_hold_it(tmp_path):
    """M6"""
    lock = Lock(str(tmp_path / "lock"))
    lock.take()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        Lock(str(tmp_path / "lock")).take()
    finally:
        child.kill()
        child.wait()
