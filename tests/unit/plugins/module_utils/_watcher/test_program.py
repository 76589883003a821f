# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as one file: the same sources give the same bytes, and the oldest Python it promises can run it."""

from __future__ import annotations

import io
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import program, service

OLDEST = sorted(pathlib.Path.home().glob(".pyenv/versions/3.8.*/bin/python")) or [pathlib.Path(path) for path in [shutil.which("python3.8")] if path]


def test_same_sources_give_the_same_bytes():
    assert program.build() == program.build()


def test_everything_the_watcher_needs_is_in_it():
    names = zipfile.ZipFile(io.BytesIO(program.build())).namelist()
    assert {"__main__.py", "series_upgrade/_watcher/daemon.py", "series_upgrade/_release/methods.py", "series_upgrade/_snapshot/registry.py"} <= set(names)


@pytest.mark.parametrize("python", [sys.executable, *map(str, OLDEST)])
def test_program_runs_alone(tmp_path, python):
    """L6"""
    path = tmp_path / "watcher.pyz"
    path.write_bytes(program.build())
    ran = subprocess.run([python, "-I", path, "status"], cwd="/", capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "no upgrade was armed on this machine" in ran.stderr


def test_unit_restarts_what_died_and_not_what_ended():
    """L1, L2"""
    text = service.unit_text({"kind": "systemd", "python": "/usr/bin/python3", "program": "/s/watcher.pyz", "state_dir": "/s", "runtime_dir": "/r"})
    assert "ExecStart=/usr/bin/python3 /s/watcher.pyz serve --state-dir /s --runtime-dir /r --transient-units\n" in text
    assert "SuccessExitStatus=10 11 12 13 14 15 22\n" in text
    assert "RestartPreventExitStatus=21\n" in text
    assert "KillMode=process\n" in text
    assert "ExecStartPre=-/bin/sh -c '[ ! -e /s/rescue.sh ] || exec /bin/sh /s/rescue.sh'\n" in text
