# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: who, how many, until when, and what a lapse leaves behind."""

from __future__ import annotations

import pytest


def test_lease_is_pinned_until_the_last_pinner_goes_and_then_for_one_duration(endpoint, db):
    endpoint.claim(db, "db/0", 30)
    assert endpoint.pin(db, "r1", who="alice")["changed"] is True
    assert endpoint.pin(db, "r2", who="bob")["changed"] is True
    endpoint.pass_time(100)
    assert endpoint.unpin(db, "r1", who="alice")["changed"] is True
    assert endpoint.lease(db)["pinned"] is True
    assert endpoint.unpin(db, "r2", who="bob")["lease"]["pinned"] is False
    assert endpoint.lease(db)["expires_in"] > 29
    assert endpoint.claim(db, "db/1", 30).kind == "denied"
    endpoint.pass_time(31)
    assert endpoint.claim(db, "db/1", 30).body["lease"]["term"] == 2


def test_silent_holder_stays_holder_while_pinned_and_is_overdue(endpoint, db):
    endpoint.claim(db, "db/0", 30)
    endpoint.pin(db)
    endpoint.pass_time(90)
    lease = endpoint.lease(db)
    assert (lease["holder"], lease["term"], lease["overdue"]) == ("db/0", 1, True)
    assert -61 < lease["expires_in"] < -59
    assert endpoint.claim(db, "db/1").kind == "denied"
    assert endpoint.renew(db, "db/0", 1, 30).body["lease"]["overdue"] is False


def test_pin_and_unpin_twice_is_success_without_change(endpoint, db):
    endpoint.claim(db, "db/0")
    assert [endpoint.pin(db)["changed"] for _each in "12"] == [True, False]
    assert [endpoint.unpin(db)["changed"] for _each in "12"] == [True, False]


def test_pin_records_the_leadership_it_found_and_who_asked(endpoint, db):
    endpoint.claim(db, "db/0")
    pin = endpoint.pin(db, "to-trixie", who="alice", session="s1")["lease"]["pins"][0]
    assert (pin["pinner"], pin["identity"], pin["run"], pin["session"]) == ("alice/to-trixie", "alice", "to-trixie", "s1")
    assert (pin["holder"], pin["term"], pin["reason"]) == ("db/0", 1, "test")
    assert 599 < pin["until_in"] <= 600


def test_unpin_by_a_stranger_changes_nothing(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice")
    assert endpoint.unpin(db, who="bob")["changed"] is False
    body = {"items": [{"application": db}], "pinner": "alice/r1", "reason": "mine now"}
    assert endpoint.call("POST", "/v1/unpin", body, "bob").kind == "forbidden"
    assert endpoint.lease(db)["pinned"] is True


def test_operator_removes_a_strangers_pin_with_a_reason(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice")
    body = {"items": [{"application": db}], "pinner": "alice/r1"}
    assert endpoint.call("POST", "/v1/unpin", body).kind == "invalid"
    assert endpoint.call("POST", "/v1/unpin", {**body, "reason": "controller burnt"}).body["results"][0]["changed"] is True
    newest = endpoint.call("GET", f"/v1/history?application={db}").body["history"][0]
    assert "controller burnt" in newest["msg"] and newest["identity"] == "admin"


def test_pin_without_a_live_holder_is_no_leader_unless_asked_for(endpoint, db):
    assert endpoint.pin(db)["kind"] == "no_leader"
    endpoint.claim(db, "db/0", 10)
    endpoint.pass_time(11)
    assert endpoint.pin(db)["kind"] == "no_leader"
    allowed = endpoint.pin(db, allow_no_leader=True)
    assert allowed["ok"] and allowed["lease"]["holder"] is None
    assert endpoint.claim(db, "db/1", 10).body["lease"]["term"] == 2
    assert endpoint.claim(db, "db/0", 10).kind == "denied"


def test_second_pinner_is_refused_while_the_holder_is_overdue(endpoint, db):
    endpoint.claim(db, "db/0", 10)
    endpoint.pin(db, who="alice")
    endpoint.pass_time(20)
    assert endpoint.pin(db, who="bob")["kind"] == "no_leader"
    assert endpoint.pin(db, who="alice")["ok"] is True


def test_exclusive_pin_names_the_other_run(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, "first", who="alice", exclusive=True)
    refused = endpoint.pin(db, "second", who="alice", exclusive=True)
    assert (refused["kind"], refused["pinners"]) == ("pinned", ["alice/first"])
    assert "alice/first" in refused["msg"]


def test_second_session_of_a_run_waits_until_the_first_is_silent(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, session="s1", exclusive=True)
    endpoint.pass_time(50)
    refused = endpoint.pin(db, session="s2", exclusive=True)
    assert refused["kind"] == "pinned" and "s1" in refused["msg"] and "r1" in refused["msg"] and "50 s" in refused["msg"]
    endpoint.pass_time(11)
    assert endpoint.pin(db, session="s2", exclusive=True)["changed"] is False
    assert endpoint.lease(db)["pins"][0]["session"] == "s2"


def test_session_that_says_it_is_over_lets_the_next_in_at_once(endpoint, db):
    endpoint.claim(db, "db/0")
    assert endpoint.pin(db, session="s1", session_over=True)["kind"] == "not_held"
    endpoint.pin(db, session="s1", exclusive=True)
    assert endpoint.pin(db, session="s2", session_over=True)["kind"] == "not_held"
    pin = endpoint.pin(db, session="s1", exclusive=True, session_over=True)["lease"]["pins"][0]
    assert (pin["session"], pin["session_seen_in"]) == ("s1", None)
    assert endpoint.pin(db, session="s2", exclusive=True)["lease"]["pins"][0]["session"] == "s2"


def test_resign_while_pinned_names_the_pinners(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice")
    refused = endpoint.resign(db, "db/0", 1)
    assert (refused.kind, refused.body["pinners"]) == ("pinned", ["alice/r1"])
    assert endpoint.lease(db)["holder"] == "db/0"


def test_transfer_while_pinned_is_the_only_pinners_right_and_moves_its_pin(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.claim(db, "db/1")
    endpoint.pin(db, "r1", who="alice")
    for who, run in (("bob", "r1"), ("alice", "r2"), ("alice", None)):
        refused = endpoint.transfer(db, "db/1", who, run=run)
        assert (refused.kind, refused.body["pinners"]) == ("pinned", ["alice/r1"])
    lease = endpoint.transfer(db, "db/1", "alice", run="r1").body["lease"]
    assert (lease["holder"], lease["term"]) == ("db/1", 2)
    assert (lease["pins"][0]["holder"], lease["pins"][0]["term"]) == ("db/1", 2)


def test_lapse_releases_with_one_duration_and_halts_until_a_person_clears_it(endpoint, db):
    endpoint.claim(db, "db/0", 30)
    endpoint.pin(db, who="alice", duration=60)
    endpoint.pass_time(61)
    lease = endpoint.lease(db)
    assert lease["pinned"] is False and lease["holder"] == "db/0" and lease["expires_in"] > 29
    assert lease["halted"]["pinner"] == "alice/r1"
    listed = endpoint.call("GET", "/v1/pins").body
    assert any(stone["application"] == db and stone["pinner"] == "alice/r1" for stone in listed["tombstones"])
    assert any(halt["application"] == db for halt in listed["halts"])
    assert endpoint.pin(db, who="alice")["kind"] == "halted"
    assert endpoint.pin(db, who="bob")["kind"] == "halted"
    clear = {"items": [{"application": db}], "reason": "looked at it"}
    assert endpoint.call("POST", "/v1/clear-halt", clear, "alice").kind == "forbidden"
    cleared = endpoint.call("POST", "/v1/clear-halt", clear).body["results"][0]
    assert cleared["changed"] is True and cleared["lease"]["halted"] is None
    assert endpoint.pin(db, who="alice")["ok"] is True


def test_renewed_pin_does_not_lapse_and_is_never_shortened(endpoint, db):
    endpoint.claim(db, "db/0")
    for _each in range(4):
        endpoint.pin(db, duration=60)
        endpoint.pass_time(50)
    endpoint.pin(db, duration=60)
    endpoint.pin(db, duration=5)
    assert endpoint.lease(db)["pins"][0]["until_in"] > 59


def test_lapse_of_one_pinner_leaves_the_others(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice", duration=60)
    endpoint.pin(db, who="bob", duration=600)
    endpoint.pass_time(61)
    lease = endpoint.lease(db)
    assert [pin["pinner"] for pin in lease["pins"]] == ["bob/r1"] and lease["halted"] is not None
    assert endpoint.pin(db, who="bob")["changed"] is False


def test_pin_decided_on_an_older_revision_or_term_is_stale(endpoint, db):
    revision = endpoint.claim(db, "db/0").body["lease"]["revision"]
    assert endpoint.pin(db, "r1", {"revision": revision, "term": 1})["ok"] is True
    assert endpoint.pin(db, "r2", {"revision": revision})["kind"] == "stale"
    assert endpoint.pin(db, "r2", {"term": 0})["kind"] == "stale"


def test_renewals_do_not_move_the_revision(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db)
    revision = endpoint.lease(db)["revision"]
    endpoint.renew(db, "db/0", 1)
    endpoint.pin(db)
    assert endpoint.lease(db)["revision"] == revision


def test_of_a_hundred_leases_three_fail_and_are_named(endpoint, db):
    names = [f"{db}-{number}" for number in range(100)]
    wrong = {names[3], names[50], names[99]}
    for name in names:
        if name not in wrong:
            endpoint.claim(name, "u/0")
    results = endpoint.pin_all([{"application": name} for name in names])
    assert [result["application"] for result in results] == names
    assert {result["application"] for result in results if not result["ok"]} == wrong
    assert {result["kind"] for result in results if not result["ok"]} == {"no_leader"}
    pinned = {pin["application"] for pin in endpoint.call("GET", "/v1/pins").body["pins"]}
    assert set(names) - wrong <= pinned and not wrong & pinned


def test_reading_is_not_destructive(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, duration=60)
    endpoint.pass_time(61)
    first, second = (endpoint.call("GET", "/v1/pins", who="reader").body for _each in "12")
    assert first["tombstones"] == second["tombstones"] and first["halts"] == second["halts"]


@pytest.mark.parametrize(
    "change", [{"duration": 1}, {"duration": 10**7}, {"run": "a b"}, {"reason": "two\nlines"}, {"reason": ""}, {"items": []}, {"pinner": "root/x"}])
def test_malformed_pin_is_invalid_and_pins_nothing(endpoint, db, change):
    endpoint.claim(db, "db/0")
    body = {"items": [{"application": db}], "run": "r1", "reason": "test", "duration": 60, **change}
    refused = endpoint.call("POST", "/v1/pin", body)
    assert (refused.status, refused.kind) == (422, "invalid") and refused.body["msg"]
    assert endpoint.lease(db)["pinned"] is False
