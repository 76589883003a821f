# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what, why and from where, as a real endpoint writes it down."""

from __future__ import annotations

import json
import os

import pytest

from tests.contract.endpoint import Endpoint


@pytest.fixture
def told(endpoint, db):
    """The lines about the applications of this test."""
    def read():
        text = (endpoint.directory / "data/audit.jsonl").read_text(encoding="utf-8")
        return [line for line in map(json.loads, text.splitlines()) if line.get("application", "").startswith(db)]
    return read


def test_pin_and_unpin_are_told_with_who_why_and_from_where(endpoint, db, told):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice")
    endpoint.unpin(db, who="alice")
    claimed, pinned, unpinned = told()
    assert (claimed["verb"], claimed["identity"], claimed["holder"]) == ("claim", "admin", "db/0")
    public = endpoint.tokens["alice"].split("_")[1]
    assert {key: pinned[key] for key in ("outcome", "verb", "application", "identity", "token", "address", "run", "reason")} == {
        "outcome": "done", "verb": "pin", "application": db, "identity": "alice", "token": public, "address": "127.0.0.1", "run": "r1", "reason": "test"}
    assert (unpinned["verb"], unpinned["pinner"], unpinned["identity"]) == ("unpin", "alice/r1", "alice")


def test_what_changes_nothing_is_not_told(endpoint, db, told):
    term = endpoint.claim(db, "db/0").body["lease"]["term"]
    endpoint.pin(db)
    before = len(told())
    endpoint.renew(db, "db/0", term)
    endpoint.claim(db, "db/1")
    endpoint.pin(db)
    endpoint.call("GET", "/v1/pins")
    assert len(told()) == before


def test_operator_who_takes_anothers_pin_off_is_told_with_the_reason(endpoint, db, told):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice")
    endpoint.call("POST", "/v1/unpin", {"items": [{"application": db}], "pinner": "alice/r1", "reason": "alice is on holiday"})
    last = told()[-1]
    assert (last["identity"], last["pinner"], last["reason"]) == ("admin", "alice/r1", "alice is on holiday")


def test_lapse_and_the_clearing_of_its_halt_are_told(endpoint, db, told):
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="alice", duration=5)
    endpoint.pass_time(6)
    endpoint.call("POST", "/v1/clear-halt", {"items": [{"application": db}], "reason": "looked at it"})
    lapsed, cleared = told()[-2:]
    assert (lapsed["verb"], lapsed["identity"], "address" in lapsed) == ("lapse", "endpoint", False)
    assert (cleared["verb"], cleared["identity"], cleared["reason"], cleared["address"]) == ("clear-halt", "admin", "looked at it", "127.0.0.1")


def test_refusals_are_told_for_each_item(endpoint, db, told):
    endpoint.claim(db, "db/0")
    endpoint.pin_all([{"application": db}, {"application": db + "-nobody"}], who="alice")
    refused = told()[-1]
    assert (refused["outcome"], refused["verb"], refused["kind"], refused["application"]) == ("refused", "pin", "no_leader", db + "-nobody")
    endpoint.claim(db, "db/0", who="reader")
    refused = told()[-1]
    assert (refused["outcome"], refused["verb"], refused["kind"], refused["identity"]) == ("refused", "claim", "forbidden", "reader")


def test_address_of_one_for_whom_a_replica_asks_is_told_beside_the_replicas(endpoint, db, told):
    endpoint.claim(db, "db/0", headers={"Lease-Protocol": "1", "Content-Type": "application/json", "Lease-Forwarded-For": "192.0.2.7"})
    assert told()[-1]["address"] == "192.0.2.7 via 127.0.0.1"
    endpoint.claim(db + "-2", "db/0", headers={"Lease-Protocol": "1", "Content-Type": "application/json", "Lease-Forwarded-For": "nonsense"})
    assert told()[-1]["address"] == "127.0.0.1"


def test_audit_log_that_cannot_be_written_lets_nothing_change_and_renewals_go_on(tmp_path):
    room = tmp_path / "log"
    room.mkdir()
    endpoint = Endpoint(tmp_path, "--audit-log", str(room / "audit.jsonl"))
    endpoint.start()
    try:
        term = endpoint.claim("db", "db/0").body["lease"]["term"]
        os.rename(room, tmp_path / "gone")
        refused = endpoint.call("POST", "/v1/pin", {"items": [{"application": "db"}], "run": "r1", "reason": "test"})
        assert (refused.status, refused.kind) == (507, "not_durable") and "audit log" in refused.body["msg"]
        assert endpoint.lease("db")["pinned"] is False
        assert endpoint.renew("db", "db/0", term).status == 200
        os.rename(tmp_path / "gone", room)
        assert endpoint.pin("db")["changed"] is True
    finally:
        assert endpoint.stop() == 0


def test_acknowledged_pin_is_in_the_audit_log_after_a_kill(endpoint, db, told):
    endpoint.claim(db, "db/0")
    for number in range(20):
        endpoint.pin(db, run="r%d" % number)
    endpoint.restart()
    assert [line["run"] for line in told() if line["verb"] == "pin"] == ["r%d" % number for number in range(20)]


def test_no_secret_comes_into_the_audit_log(endpoint, db):
    endpoint.tokens["forged-" + db] = endpoint.tokens["alice"][:-3] + "AAA"
    assert endpoint.call("GET", "/v1/whoami", who="forged-" + db).status == 401
    text = (endpoint.directory / "data/audit.jsonl").read_text(encoding="utf-8")
    for shown in endpoint.tokens.values():
        assert shown.split("_", 2)[2][:-3] not in text
