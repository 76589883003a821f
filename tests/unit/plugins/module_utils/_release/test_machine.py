# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import machine
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import marker
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result, StepFailed


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "etc" / "apt" / "sources.list.d").mkdir(parents=True)
    (tmp_path / "etc" / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID=12\n", encoding="ascii")
    (tmp_path / "etc" / "apt" / "sources.list").write_text("deb http://mirror.debian.org/debian bookworm main\n", encoding="ascii")
    return tmp_path / "etc"


@pytest.fixture
def wanted(tmp_path, etc):
    return {"target": "trixie", "method": "debian", "snapshot": None, "state_dir": str(tmp_path / "state"), "series_file": str(etc / "os-release"),
            "runtime_dir": "/run/series-upgrade", "debian": None}


def answers(**programs):
    """A run() that answers by the first word of the program's arguments that is known."""
    def run(argv, timeout=60, env=None):
        return next((Result(0, text, "") for word, text in programs.items() if word.replace("_", "-") in " ".join(argv)), Result(0, "", ""))

    return run


def test_look_sees_series_packages_and_sources_and_writes_nothing(wanted, etc, tmp_path):
    (etc / "apt" / "preferences.d").mkdir()
    (etc / "apt" / "preferences.d" / "pin").write_text("", encoding="ascii")
    before = sorted(tmp_path.rglob("*"))
    seen = machine.look(wanted, answers(audit="half configured", print_architecture="amd64\n", Want="install dpkg\nhold etcd\n"), str(etc))
    assert sorted(tmp_path.rglob("*")) == before
    assert seen.release == ("debian", "bookworm", "12")
    assert seen.packages.audit == "half configured"
    assert seen.packages.held == ["etcd"]
    assert seen.packages.preferences == [str(etc / "apt" / "preferences.d" / "pin")]
    assert [change.becomes for change in seen.packages.moves] == [("trixie",)]
    assert seen.boot_id == machine.boot_id()
    assert min(seen.free_mb.values()) > 0


def test_ssh_that_would_lock_people_out_is_named(wanted, etc):
    seen = machine.look(wanted, answers(openssh_server="installed 1:9.2p1-2+deb12u3"), str(etc))
    assert seen.packages.old_ssh == "1:9.2p1-2+deb12u3"
    seen = machine.look(wanted, answers(openssh_server="config-files 1:9.2p1-2+deb12u3"), str(etc))
    assert seen.packages.old_ssh == ""


def test_method_command_is_not_asked_about_packages(wanted, etc):
    seen = machine.look(dict(wanted, method="command"), answers(), str(etc))
    assert seen.packages is None
    assert list(seen.free_mb) == [wanted["state_dir"]]


def test_unreadable_series_is_kept_as_a_sentence(wanted, etc):
    seen = machine.look(dict(wanted, series_file="/nowhere"), answers(), str(etc))
    assert seen.release is None
    assert "cannot be read from /nowhere" in seen.release_problem


def test_marker_is_told_in_short_and_no_marker_is_none(tmp_path):
    assert machine.record_in(str(tmp_path)) is None
    spec = {"run": "to-trixie", "machine": "m1", "target_series": "trixie", "source_series": "bookworm", "upgrade_id": "to-trixie-1"}
    marker.Marker(str(tmp_path)).write({"state": "WATCHING", "upgrade_id": "to-trixie-1", "spec": spec, "reason": None})
    assert machine.record_in(str(tmp_path)) == {
        "state": "WATCHING", "generation": 1, "upgrade_id": "to-trixie-1", "run": "to-trixie", "machine": "m1", "source_series": "bookworm",
        "target_series": "trixie", "reason": None,
    }


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"schema": 99}), "{\"state\": "])
def test_damaged_marker_is_a_problem_and_not_absent(wanted, etc, text):
    os.mkdir(wanted["state_dir"])
    with open(os.path.join(wanted["state_dir"], "marker.json"), "w", encoding="ascii") as file:
        file.write(text)
    seen = machine.look(wanted, answers(), str(etc))
    assert seen.marker is None
    assert "marker.json" in seen.marker_problem


def test_unknown_kind_of_snapshot_is_refused(wanted, etc):
    with pytest.raises(StepFailed, match="no snapshot of kind 'rsync'; there are btrfs, command, lvm, none, zfs"):
        machine.look(dict(wanted, snapshot={"kind": "rsync"}), answers(), str(etc))


@pytest.mark.parametrize(("series", "state", "asked", "proved"), [
    ("bookworm", None, True, True),
    ("bookworm", "COMMITTED", True, True),
    ("bookworm", None, False, False),
    ("bookworm", "UPGRADING", True, False),
    ("trixie", None, True, False),
])
def test_snapshot_is_proved_only_when_an_upgrade_lies_ahead(wanted, etc, tmp_path, series, state, asked, proved):
    (etc / "os-release").write_text("ID=debian\nVERSION_CODENAME=%s\n" % series, encoding="ascii")
    if state:
        (tmp_path / "state").mkdir()
        marker.Marker(wanted["state_dir"]).write({"state": state, "spec": {"target_series": "trixie"}})
    spec = {"kind": "command", "create": "touch %s/created" % tmp_path, "revert": "true", "drop": "exit 7"}
    seen = machine.look(dict(wanted, method="command", snapshot=spec, prove_snapshot=asked), etc=str(etc))
    assert (tmp_path / "created").exists() == proved
    assert ("could not be dropped" in (seen.snapshot_problem or "")) == proved
