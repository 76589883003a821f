# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of provider juju, and what it reads off Juju's answers."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

from lease_endpoint.errors import Invalid
from lease_endpoint.providers import _juju_model as model
from lease_endpoint.providers.juju import Juju

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/juju.md"
GOOD = {"endpoints": ["wss://c1:17070"], "model": "uuid", "user": "leases", "password_file": "p", "ca_file": "c", "series": "jammy"}


def test_entry_on_the_page_is_taken_as_it_stands():
    entry = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S).group(1))["db"]
    assert entry.pop("provider") == Juju.name
    assert Juju("db", entry).application == "postgresql"


def test_every_option_is_on_the_page():
    with pytest.raises(Invalid) as refused:
        Juju("db", {**GOOD, "nonsense": 1})
    known = refused.value.msg.partition("there are ")[2].split(", ")
    assert len(known) == 12 and not [key for key in known if f"`{key}`" not in PAGE.read_text(encoding="utf-8")]


@pytest.mark.parametrize("change, key", [
    ({"endpoints": ["https://c1:17070"]}, "endpoints"), ({"endpoints": ["ws://c1:17070"]}, "wss"), ({"model": 5}, "model"), ({"user": ""}, "user"),
    ({"series": "resolute"}, "channel"), ({"force": 1}, "force"), ({"timeout": 0}, "timeout"), ({"patience": 9999}, "patience"), ({"ca_file": None}, "ca_file"),
    ({"password": "x"}, "password"),
])
def test_wrong_option_is_named(change, key):
    with pytest.raises(Invalid) as refused:
        Juju("db", {**GOOD, **change})
    assert key in refused.value.msg


def test_release_that_is_not_known_here_is_taken_with_its_number():
    Juju("db", {**GOOD, "series": "resolute", "channel": "26.04"})


def test_argument_speaks_of_series_up_to_facade_6_and_of_channels_from_9_on():
    assert model.item("3", 6, "jammy", "22.04", False) == {"tag": {"tag": "machine-3"}, "force": False, "series": "jammy"}
    assert model.item("0/lxd/1", 10, "jammy", "22.04", True) == {"tag": {"tag": "machine-0-lxd-1"}, "force": True, "channel": "22.04/stable"}
    assert {"series", "channel"} <= set(model.item("3", 8, "jammy", "22.04", False)), "the two versions between were not read: they get both"


@pytest.mark.parametrize("result, state, gone", [
    ({"unit-names": ["db/0"]}, None, False),
    ({"error": {"message": "...", "code": "", "info": {"Status": "prepare running"}}}, "prepare running", False),
    ({"error": {"message": 'upgrade series lock found for "0"; series upgrade is in the "prepare completed" state'}}, "prepare completed", False),
    ({"error": {"message": "machine 9 not found", "code": "not found"}}, None, True),
])
def test_state_of_a_lock_is_read_off_the_refusal_of_another_one(result, state, gone):
    lock = model.Lock.read(result)
    assert (lock.state, lock.gone) == (state, gone)


def test_machine_is_known_by_its_series_in_2_and_by_its_base_in_3():
    two = {"machines": {"0": {"series": "jammy", "containers": {"0/lxd/1": {"series": "focal"}}}}}
    assert model.runs(two, "0", "jammy", "22.04") and not model.runs(two, "0/lxd/1", "jammy", "22.04")
    assert model.runs({"machines": {"0": {"base": {"name": "ubuntu", "channel": "22.04/stable"}}}}, "0", "jammy", "22.04")
