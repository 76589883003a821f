# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: check mode, diff and change come from the same two values."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming
from ansible_collections.leasehold.series_upgrade.plugins.modules import watcher

SPEC = {"upgrade_id": "to-trixie/m1/1", "run": "to-trixie", "machine": "m1", "source_series": "bookworm", "target_series": "trixie", "method": "command",
        "command": {"upgrade": "true"}, "reboot": False}


@pytest.fixture
def ask(capsys, tmp_path):
    (tmp_path / "os-release").write_text("VERSION_CODENAME=bookworm\n", encoding="ascii")

    def call(check=False, **options):
        options.setdefault("spec", dict(SPEC, series_file=str(tmp_path / "os-release")))
        options = dict({"service": "process", "state_dir": str(tmp_path / "state"), "runtime_dir": str(tmp_path / "run")}, **options)
        with patch_module_args(dict(options, _ansible_check_mode=check)), pytest.raises(SystemExit):
            watcher.main()
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def armed(monkeypatch):
    calls = []

    def arm(found, spec, how, image):
        calls.append((spec, how))
        return {"state": "ARMED", "generation": 2, "pid": 77}

    monkeypatch.setattr(arming, "arm", arm)
    return calls


def test_check_mode_says_what_would_be_and_does_nothing(ask, armed, tmp_path):
    answer = ask(check=True)
    assert answer["changed"]
    assert answer["diff"]["before"] == {"upgrade_id": None, "state": None, "program": None, "unit": None, "running": False}
    assert {key: answer["diff"]["after"][key] for key in ("upgrade_id", "state", "running")} == {
        "upgrade_id": "to-trixie/m1/1", "state": "ARMED", "running": True}
    assert armed == []
    assert [path.name for path in tmp_path.iterdir()] == ["os-release"]


def test_arming_says_the_same_as_check_mode_and_who_has_taken_over(ask, armed, tmp_path):
    """M7"""
    answer = ask()
    assert answer["diff"] == ask(check=True)["diff"]
    assert (answer["watcher_state"], answer["generation"], answer["pid"]) == ("ARMED", 2, 77)
    assert answer["socket"] == str(tmp_path / "run" / "control.sock")
    assert armed[0][0]["grace"] == 60, "the spec was checked"


@pytest.mark.parametrize("options, says", [
    ({"spec": dict(SPEC, target_series=13)}, "target_series must be a word"),
    ({"spec": dict(SPEC, reboot=True)}, "use the service systemd, or set reboot to false"),
    ({"spec": SPEC, "runtime_dir": "/" + "x" * 110}, "choose a shorter runtime_dir"),
])
def test_bad_input_fails_with_one_sentence(ask, armed, options, says):
    answer = ask(**options)
    assert answer["failed"] and says in answer["msg"]
    assert answer["msg"].endswith(".") and "\n" not in answer["msg"]
    assert armed == []


def test_damaged_record_is_a_failure_in_every_state(ask, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "marker.json").write_text("{", encoding="ascii")
    for state in ("armed", "absent"):
        assert "cannot be read" in ask(state=state)["msg"]


def test_nothing_there_is_absent_already(ask):
    answer = ask(state="absent")
    assert (answer["changed"], answer["upgrade_id"]) == (False, None)


def test_documentation_and_code_name_the_same_options():
    documented = yaml.safe_load(watcher.DOCUMENTATION)["options"]
    assert set(documented) == {"state", "spec", "service", "state_dir", "runtime_dir", "python"}
    assert [documented[name].get("default") for name in ("state", "service", "state_dir", "runtime_dir")] == [
        "armed", "systemd", "/var/lib/series-upgrade", "/run/series-upgrade"]
