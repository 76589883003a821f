# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of provider etcd, and what its lease ids say."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from lease_endpoint.errors import Invalid
from lease_endpoint.etcd_words import Kv
from lease_endpoint.providers import _election
from lease_endpoint.providers.etcd import Etcd

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/etcd.md"
GOOD = {"endpoints": ["https://e1:2379"], "election": "elections/db"}


def test_entry_on_the_page_is_taken_as_it_stands():
    entry = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S).group(1))["db"]
    assert entry.pop("provider") == Etcd.name
    Etcd("db", entry)


def test_every_option_is_on_the_page():
    with pytest.raises(Invalid) as refused:
        Etcd("db", {**GOOD, "nonsense": 1})
    known = refused.value.msg.partition("there are ")[2].split(", ")
    assert len(known) == 11 and not [key for key in known if f"`{key}`" not in PAGE.read_text(encoding="utf-8")]


@pytest.mark.parametrize("change, key", [
    ({"endpoints": []}, "endpoints"), ({"endpoints": ["e1:2379"]}, "endpoints"), ({"endpoints": "https://e1:2379"}, "endpoints"),
    ({"endpoints": ["https://user:secret@e1:2379"]}, "endpoints"), ({"endpoints": ["https://e1"]}, "endpoints"), ({"election": ""}, "election"),
    ({"election": 7}, "election"), ({"units": []}, "units"), ({"units": {"a b": "x"}}, "units"), ({"units": {"db/0": {"matches": "("}}}, "matches"),
    ({"units": {"db/0": 5}}, "db/0"), ({"user": "x"}, "password_file"), ({"cert_file": "x"}, "key_file"), ({"timeout": 0}, "timeout"),
    ({"timeout": True}, "timeout"), ({"hold_for": 5}, "hold_for"), ({"transfer": "yes"}, "transfer"), ({"elections": "x"}, "elections"),
    ({"endpoints": ["http://e1:2379"], "user": "x", "password_file": "y"}, "https"),
])
def test_wrong_option_is_named(change, key):
    with pytest.raises(Invalid) as refused:
        Etcd("db", {**GOOD, **change})
    assert key in refused.value.msg


def test_missing_options_are_named():
    for key in GOOD:
        with pytest.raises(Invalid) as refused:
            Etcd("db", {other: value for other, value in GOOD.items() if other != key})
        assert key in refused.value.msg


def test_password_over_http_is_taken_on_loopback_alone():
    Etcd("db", {**GOOD, "endpoints": ["http://127.0.0.1:2379"], "user": "x", "password_file": "y"})


@settings(max_examples=200, deadline=None)
@given(some.binary(min_size=1), some.integers(1, 2**60), some.integers(1, _election.LONGEST), some.sampled_from(["db", "cache"]))
def test_lease_id_tells_what_it_is_for(key, create, seconds, application):
    kv = Kv(key, b"", create, 0, 0, 0)
    frozen = Kv(key, b"", create, 0, 0, _election.freeze_id(application, kv, seconds))
    last = Kv(key, b"", create, 0, 0, _election.grace_id(application, kv, seconds))
    assert 0 < frozen.lease < 2**63 and 0 < last.lease < 2**63 and frozen.lease != last.lease
    assert _election.mark(application, frozen) == _election.Mark("freeze", seconds)
    assert _election.mark(application, last) == _election.Mark("grace", seconds)
    assert _election.mark("stranger", frozen) == _election.Mark("foreign", seconds)
    assert _election.mark(application, Kv(key, b"", create + 1, 0, 0, frozen.lease)).kind is None, "a later key of the same name is another one"


def test_session_is_read_off_the_name_of_its_key():
    assert _election.session(Kv(b"e/694d7f0a5c8e1b0f", b"", 1, 1, 1, 1)) == 0x694D7F0A5C8E1B0F
    assert _election.session(Kv(b"e/by-hand", b"", 1, 1, 1, 1)) == 0
