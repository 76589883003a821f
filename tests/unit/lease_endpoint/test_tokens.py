# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens, their rights, their rotation and their end."""

from __future__ import annotations

import json

import pytest

from lease_endpoint.durations import seconds
from lease_endpoint.errors import Invalid, NotDurable, Unknown
from lease_endpoint.tokens import Tokens, hosted, shown


class Wall:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture(name="wall")
def wall_():
    return Wall()


@pytest.fixture(name="tokens")
def tokens_(tmp_path, wall):
    return Tokens(tmp_path / "tokens.json", wall)


def identity(tokens, secret):
    return tokens.caller("Bearer " + secret).identity


def test_rotation_never_prolongs_the_old_secret(tokens, wall):
    old = tokens.create("alice", ["pin"], lasts=100)
    tokens.rotate("alice", overlap=1000)
    wall.now += 101
    with pytest.raises(Unknown, match="expired"):
        identity(tokens, old)


def test_rotated_token_lasts_as_long_as_the_one_before_was_made_for(tokens, wall):
    tokens.create("alice", ["pin"], lasts=100)
    wall.now += 90
    new = tokens.rotate("alice", overlap=5)
    wall.now += 99
    assert identity(tokens, new) == "alice"
    wall.now += 2
    with pytest.raises(Unknown):
        identity(tokens, new)


def test_rotated_again_within_the_overlap_all_three_are_good_and_the_dead_are_forgotten(tokens, wall):
    first = tokens.create("alice", ["pin"])
    second = tokens.rotate("alice", overlap=100)
    third = tokens.rotate("alice", overlap=50)
    assert {identity(tokens, secret) for secret in (first, second, third)} == {"alice"}
    wall.now += 60
    fourth = tokens.rotate("alice", overlap=50)
    assert len(tokens.listed()) == 2
    assert {identity(tokens, secret) for secret in (third, fourth)} == {"alice"}


def test_rights_and_revocation_belong_to_the_name_whatever_the_secret(tokens):
    old = tokens.create("alice", ["pin"])
    new = tokens.rotate("alice", overlap=100)
    assert tokens.allow("alice", ["read"]) is True
    assert tokens.allow("alice", ["read"]) is False
    assert [tokens.caller("Bearer " + secret).scopes for secret in (old, new)] == [("read",), ("read",)]
    assert tokens.revoke("alice") is True
    for secret in (old, new):
        with pytest.raises(Unknown):
            identity(tokens, secret)


def test_what_a_file_of_an_earlier_release_says_is_read(tokens, tmp_path):
    secret = tokens.create("alice", ["pin"])
    rows = json.loads((tmp_path / "tokens.json").read_text(encoding="utf-8"))
    for row in rows:
        del row["units"], row["expires_at"]
    (tmp_path / "tokens.json").write_text(json.dumps(rows), encoding="utf-8")
    assert identity(tokens, secret) == "alice"


def test_unreadable_file_is_no_empty_list_of_tokens(tokens, tmp_path):
    (tmp_path / "tokens.json").write_text("[{", encoding="utf-8")
    with pytest.raises(NotDurable, match="put the file back"):
        tokens.caller("Bearer lease_0_0")


def test_machine_token_has_no_rights_beyond_its_machine(tokens):
    with pytest.raises(Invalid, match="read, hold, pin"):
        tokens.create("m1", ["admin"], units=["db/0"])
    with pytest.raises(Invalid, match="not both"):
        tokens.create("m1", ["pin"], ["db*"], ["db/0"])


def test_units_are_taken_as_they_are_shown(tokens):
    tokens.create("m1", ["hold"], units=["db/1", "db/0", "queue=rabbit@m1"])
    row = tokens.listed()[0]
    assert row.units == {"db": ["db/0", "db/1"], "queue": ["rabbit@m1"]}
    assert shown(row.units) == ["db/0", "db/1", "queue=rabbit@m1"]
    assert [hosted(text) for text in shown(row.units)] == [("db", "db/0"), ("db", "db/1"), ("queue", "rabbit@m1")]


@pytest.mark.parametrize("text", ["pg1", "/0", "db=", "=pg1", "d b/0", "db=pg 1", ""])
def test_unit_without_an_application_is_refused_with_what_to_write(text):
    with pytest.raises(Invalid, match="APPLICATION"):
        hosted(text)


@pytest.mark.parametrize(("text", "length"), [("90d", 7776000), ("12h", 43200), ("30m", 1800), ("45s", 45), ("45", 45), ("1.5h", 5400), ("2w", 1209600)])
def test_lengths_of_time(text, length):
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "0", "-1d", "d", "1y", "1 d", "1e3", "٣d"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(Invalid, match="90d"):
        seconds(text)
