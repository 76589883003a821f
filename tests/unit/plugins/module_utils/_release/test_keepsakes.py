# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tarfile

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import keepsakes
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result, StepFailed, run_step


@pytest.fixture
def root(tmp_path):
    """A system with a configuration and package lists."""
    place = tmp_path / "root"
    for path, text in (("etc/secret", "old"), ("var/lib/dpkg/status", "Package: x"), ("var/lib/apt/extended_states", ""), ("var/log/dpkg.log", "failed")):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text, encoding="ascii")
    return place


@pytest.fixture
def told(context, tmp_path):
    """A context whose tar is the real one."""
    context.state_dir = str(tmp_path / "state")
    asked = context.run

    def run(argv, timeout=60, env=None):
        return programs.run(argv, timeout, env) if argv[0] == "tar" else asked(argv, timeout, env)

    context.run = run
    context.answers = [("get-selections", 0, "x\tinstall\n"), ("journalctl", 0, "it burns"), ("systemctl", 1, "no systemd here")]
    return context


def test_configuration_and_package_lists_are_kept_before_anything_changes(told, root, tmp_path):
    keepsakes.backup(told, str(root))
    archive = tmp_path / "state" / "backup" / "to-trixie-1.tar.gz"
    with tarfile.open(archive) as kept:
        assert {"etc/secret", "var/lib/dpkg/status", "var/lib/apt/extended_states"} <= set(kept.getnames())
    assert archive.with_name("to-trixie-1.selections").read_text(encoding="ascii") == "x\tinstall\n"
    assert (archive.stat().st_mode & 0o777, archive.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_backup_stays_what_it_was_when_the_phase_is_begun_again(told, root, tmp_path):
    keepsakes.backup(told, str(root))
    (root / "etc" / "secret").write_text("new", encoding="ascii")
    keepsakes.backup(told, str(root))
    with tarfile.open(tmp_path / "state" / "backup" / "to-trixie-1.tar.gz") as kept:
        assert kept.extractfile("etc/secret").read() == b"old"


def test_backup_that_cannot_be_written_stops_the_upgrade(told, root, tmp_path):
    told.run = lambda argv, timeout=60, env=None: Result(2, "", "tar: No space left on device") if argv[0] == "tar" else Result(0, "", "")
    with pytest.raises(StepFailed, match="The backup of /etc, /var/lib/dpkg, /var/lib/apt/extended_states cannot be written: tar: No space left"):
        keepsakes.backup(told, str(root))
    assert not (tmp_path / "state" / "backup" / "to-trixie-1.tar.gz").exists()


def test_failed_system_is_heard_once_before_it_is_left(told, root, tmp_path):
    assert run_step(keepsakes.diagnostics(told, str(root)))
    (root / "var" / "log" / "dpkg.log").write_text("fine", encoding="ascii")
    assert not run_step(keepsakes.diagnostics(told, str(root))), "the old system has nothing to say of it"
    kept = tmp_path / "state" / "failed" / "to-trixie-1"
    assert (kept / "dpkg.log").read_text(encoding="ascii") == "failed"
    assert (kept / "journal").read_text(encoding="ascii") == "it burns"
    assert (kept / "units").read_text(encoding="ascii") == "no systemd here"
    assert kept.stat().st_mode & 0o777 == 0o700


def test_rollback_goes_on_without_diagnostics(told, root, tmp_path):
    (tmp_path / "state").write_text("in the way", encoding="ascii")
    assert run_step(keepsakes.diagnostics(told, str(root)))
    assert "not all diagnostics could be kept" in told.told[0][1]
