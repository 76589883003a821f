# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.leasehold.series_upgrade.plugins.modules import preflight, series_info


@pytest.fixture
def ask(capsys, tmp_path):
    series_file = tmp_path / "os-release"
    series_file.write_text("ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID=12\n", encoding="ascii")

    def call(door, **options):
        options.setdefault("series_file", str(series_file))
        options.setdefault("state_dir", str(tmp_path / "state"))
        with patch_module_args(options), pytest.raises(SystemExit):
            door.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_preflight_answers_with_series_problems_and_marker(ask):
    answer = ask(preflight, target="trixie", method="command")
    assert answer["series"] == "bookworm"
    assert (answer["problems"], answer["findings"], answer["marker"]) == ([], [], None)
    assert (answer["changed"], answer["on_target"]) == (False, False)
    assert answer["boot_id"]


def test_problem_does_not_fail_the_machine(ask):
    answer = ask(preflight, target="forky", method="command")
    assert not answer.get("failed")
    assert answer["problems"] == ["forky does not follow bookworm. Go to trixie first."]
    assert answer["findings"][0]["severity"] == "inhibitor"


def test_unreadable_series_is_none_and_a_problem(ask):
    answer = ask(preflight, target="trixie", method="command", series_file="/nowhere")
    assert answer["series"] is None
    assert answer["problems"][0].startswith("The series cannot be read from /nowhere")


@pytest.mark.parametrize("options", [{"snapshot": {"kind": "rsync"}}, {"method": "yum"}])
def test_options_with_a_slip_are_refused(ask, options):
    assert ask(preflight, target="trixie", **options)["failed"]


def test_series_info_names_the_successor(ask):
    answer = ask(series_info)
    assert (answer["distribution"], answer["series"], answer["version"], answer["successor"]) == ("debian", "bookworm", "12", "trixie")


def test_series_info_fails_for_what_it_cannot_read(ask, tmp_path):
    assert "cannot be read" in ask(series_info, series_file="/nowhere")["msg"]
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "marker.json").write_text("{", encoding="ascii")
    assert "marker.json" in ask(series_info)["msg"]


@pytest.mark.parametrize("door", [preflight, series_info])
def test_documentation_and_code_name_the_same_options(door):
    def shape(options):
        return {
            name: (option["type"], option.get("default"), option.get("choices"), shape(option.get("suboptions", option.get("options", {}))))
            for name, option in options.items()
        }

    assert shape(yaml.safe_load(door.DOCUMENTATION)["options"]) == shape(door.OPTIONS)
