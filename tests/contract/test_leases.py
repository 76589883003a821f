# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases: claim, renew, resign, transfer, terms."""

from __future__ import annotations

import concurrent.futures

import pytest


def test_claim_is_held_for_the_asked_time_and_denied_to_others(endpoint, db):
    granted = endpoint.claim(db, "db/0", 60).body["lease"]
    assert (granted["holder"], granted["term"]) == ("db/0", 1)
    assert granted["expires_in"] >= 60
    endpoint.pass_time(59)
    denied = endpoint.claim(db, "db/1")
    assert (denied.status, denied.kind, denied.body["holder"]) == (409, "denied", "db/0")


def test_claim_repeated_by_the_holder_keeps_the_term(endpoint, db):
    endpoint.claim(db, "db/0")
    assert endpoint.claim(db, "db/0").body["lease"]["term"] == 1


def test_renewal_never_shortens(endpoint, db):
    endpoint.claim(db, "db/0", 100)
    assert endpoint.renew(db, "db/0", 1, 5).body["lease"]["expires_in"] > 99


def test_expired_lease_shows_its_true_expiry_and_no_holder(endpoint, db):
    endpoint.claim(db, "db/0", 10)
    endpoint.pass_time(25)
    lease = endpoint.lease(db)
    assert lease["holder"] is None and lease["last_holder"] == "db/0"
    assert -16 < lease["expires_in"] < -14
    assert endpoint.renew(db, "db/0", 1).kind == "not_held"


@pytest.mark.parametrize("again", ["db/0", "db/1"])
def test_term_grows_at_each_change_of_holder(endpoint, db, again):
    endpoint.claim(db, "db/0", 10)
    endpoint.pass_time(11)
    assert endpoint.claim(db, again, 10).body["lease"]["term"] == 2


def test_only_the_holder_may_resign_and_only_in_its_term(endpoint, db):
    endpoint.claim(db, "db/0")
    assert endpoint.resign(db, "db/1", 1).kind == "not_held"
    assert endpoint.resign(db, "db/0", 7).kind == "stale"
    assert endpoint.resign(db, "db/0", 1).status == 200
    assert endpoint.resign(db, "db/0", 1).kind == "not_held"
    assert endpoint.claim(db, "db/1").body["lease"]["term"] == 2


def test_older_term_is_refused(endpoint, db):
    endpoint.claim(db, "db/0", 10)
    endpoint.pass_time(11)
    endpoint.claim(db, "db/0", 10)
    assert endpoint.renew(db, "db/0", 1).kind == "stale"


@pytest.mark.parametrize("duration", [0.5, 301, -1, "soon"])
def test_duration_out_of_bounds_is_invalid(endpoint, db, duration):
    refused = endpoint.claim(db, "db/0", duration)
    assert refused.kind == "invalid" and refused.status in (400, 422)
    assert endpoint.call("GET", "/v1/leases?application=" + db).body["unknown"] == [db]


def test_transfer_waits_for_what_the_earlier_holder_was_promised(endpoint, db):
    endpoint.claim(db, "db/0", 30)
    endpoint.claim(db, "db/1", 30)
    moved = endpoint.transfer(db, "db/1", term=1).body["lease"]
    assert (moved["holder"], moved["term"], moved["handover"]["from"]) == ("db/1", 2, "db/0")
    assert endpoint.renew(db, "db/0", 1).kind == "not_held"
    assert endpoint.claim(db, "db/1").kind == "denied"
    assert endpoint.resign(db, "db/1", 2).kind == "denied"
    endpoint.pass_time(31)
    assert endpoint.claim(db, "db/1").body["lease"]["term"] == 2


def test_transfer_is_done_when_the_earlier_holder_says_it_has_stopped(endpoint, db):
    endpoint.claim(db, "db/0")
    endpoint.claim(db, "db/1")
    endpoint.transfer(db, "db/1")
    assert endpoint.resign(db, "db/0", 1).status == 200
    assert endpoint.lease(db)["handover"] is None
    assert endpoint.claim(db, "db/1").status == 200


def test_transfer_only_to_a_unit_that_takes_part(endpoint, db):
    endpoint.claim(db, "db/0", 10)
    assert endpoint.transfer(db, "db/9").kind == "no_leader"
    endpoint.claim(db, "db/1", 10)
    endpoint.pass_time(11)
    assert endpoint.transfer(db, "db/1").kind == "no_leader"


def test_transfer_of_an_unknown_application_is_no_leader(endpoint, db):
    assert endpoint.transfer(db, "db/1").kind == "no_leader"


def test_of_two_operators_on_one_revision_one_wins(endpoint, db):
    for unit in ("db/0", "db/1", "db/2"):
        endpoint.claim(db, unit)
    revision = endpoint.lease(db)["revision"]
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda to: endpoint.transfer(db, to, revision=revision), ["db/1", "db/2"]))
    assert sorted(answer.kind or "ok" for answer in answers) == ["ok", "stale"]


def test_of_many_claimants_one_wins(endpoint, db):
    with concurrent.futures.ThreadPoolExecutor(8) as many:
        answers = list(many.map(lambda number: endpoint.claim(db, f"db/{number}"), range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert endpoint.lease(db)["term"] == 1
