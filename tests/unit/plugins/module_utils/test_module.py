# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options: written once in the fragment, once in code, given once by the action group or the environment."""

from __future__ import annotations

import json
import pathlib

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.leasehold.series_upgrade.plugins.doc_fragments.endpoint import ModuleDocFragment
from ansible_collections.leasehold.series_upgrade.plugins.module_utils import _module

TOP = pathlib.Path(__file__).resolve().parents[4]


def test_fragment_and_code_say_the_same():
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(documented) == set(_module.ENDPOINT_OPTIONS)
    for name, option in _module.ENDPOINT_OPTIONS.items():
        for key in ("type", "required", "default"):
            assert documented[name].get(key) == option.get(key), (name, key)


def test_everything_that_takes_these_options_is_in_the_action_group():
    group = yaml.safe_load((TOP / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["endpoint"]
    taking = [path.stem for path in (TOP / "plugins/modules").glob("*.py") if "leasehold.series_upgrade.endpoint" in path.read_text(encoding="utf-8")]
    assert sorted(group) == sorted(taking)


@pytest.fixture(name="answer")
def answer_(capsys):
    def answer(work, **options):
        with patch_module_args(options):
            with pytest.raises(SystemExit):
                _module.run(_module.module({}), work)
        return json.loads(capsys.readouterr().out)
    return answer


def test_options_come_from_the_environment(answer, monkeypatch):
    monkeypatch.setenv("LEASE_ENDPOINT_URL", "https://leases:8470")
    assert answer(lambda client, params, check_mode: {"changed": False, "url": client.url})["url"] == "https://leases:8470"


def test_missing_address_is_refused_by_name(answer, monkeypatch):
    monkeypatch.delenv("LEASE_ENDPOINT_URL", raising=False)
    assert "endpoint_url" in answer(lambda client, params, check_mode: {})["msg"]


def test_bad_address_is_an_answer_and_not_a_traceback(answer):
    found = answer(lambda client, params, check_mode: {}, endpoint_url="leases")
    assert found["failed"] and found["kind"] == "invalid" and "set endpoint_url to something like" in found["msg"]
