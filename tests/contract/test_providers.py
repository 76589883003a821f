# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract, held by every provider with its own system. What one cannot do its capabilities say, and the test claims just that."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.contract.endpoint import Endpoint, until
from tests.contract.providers import WORLDS

_runs = itertools.count(1)


class Stage:
    """One system, one endpoint beside it, one application."""

    def __init__(self, name, tmp_path):
        self.world = WORLDS[name](tmp_path)
        self.name, self.application = name, "db"
        self.world.start()
        self.options = self.world.options()
        file = tmp_path / "applications.json"
        file.write_text(json.dumps({} if self.options is None else {"db": self.options}), encoding="utf-8")
        self.endpoint = Endpoint(tmp_path, "--applications", str(file))
        self.endpoint.start()
        for who in ("alice", "bob"):
            self.endpoint.token(who, "pin")

    @property
    def native(self):
        return self.options is None

    @property
    def frozen(self):
        return self.world.frozen(self.endpoint, "db")

    @property
    def lease(self):
        return self.endpoint.lease("db")

    def is_frozen(self, wanted):
        """Whether the system says so, or does not say."""
        return self.frozen in (wanted, None)

    def reset(self):
        for pin in self.endpoint.call("GET", "/v1/pins").body["pins"]:
            self.endpoint.call("POST", "/v1/unpin", {"items": [{"application": "db"}], "pinner": pin["pinner"], "reason": "the test is over"})
        self.endpoint.call("POST", "/v1/clear-halt", {"items": [{"application": "db"}], "reason": "the test is over"})
        until(lambda: self.endpoint.call("GET", "/v1/leases?application=db").body["leases"] == [] or self.lease["freeze"] is None, 60)

    def stop(self):
        try:
            assert self.endpoint.stop() == 0
        finally:
            self.world.stop()


@pytest.fixture(scope="module", params=sorted(WORLDS), ids=lambda name: name + ("-double" if WORLDS[name].double else ""))
def _stage(request, tmp_path_factory):
    if WORLDS[request.param].missing():
        pytest.skip(WORLDS[request.param].missing())
    stage = Stage(request.param, tmp_path_factory.mktemp(request.param))
    yield stage
    stage.stop()


@pytest.fixture
def stage(_stage):
    _stage.world.settle(_stage.endpoint, "db")
    yield _stage
    _stage.reset()


@pytest.fixture
def run():
    return f"r{next(_runs)}"


def silent(stage):
    if not stage.world.can_be_silenced:
        pytest.skip(f"{stage.name} cannot be silent apart from the endpoint")


def test_lease_names_leader_term_provider_and_what_a_pin_means(stage):
    lease = stage.lease
    assert lease["provider"] == stage.name and lease["holder"] == stage.world.leader(stage.endpoint, "db")
    assert (lease["term"] > 0) is lease["capabilities"]["terms"]
    assert lease["capabilities"]["scope"] in ("lease", "cluster") and set(stage.world.units) >= set(lease["units"]) >= {lease["holder"]}
    assert lease["freeze"] is None and lease["pinned"] is False


def test_pin_freezes_and_names_the_leadership_that_it_froze(stage, run):
    before = stage.lease
    found = stage.endpoint.pin("db", run)
    assert found["ok"] and found["changed"] and stage.is_frozen(True)
    pin = found["lease"]["pins"][0]
    assert (pin["holder"], pin["term"]) == (before["holder"], before["term"]) == (found["lease"]["holder"], found["lease"]["term"])
    assert stage.native or found["lease"]["freeze"]["confirmed"]


def test_pins_are_counted_by_pinner_and_the_last_unpin_thaws(stage, run):
    for who in ("alice", "bob"):
        assert stage.endpoint.pin("db", run, who=who)["changed"] is True
    assert stage.endpoint.unpin("db", run, who="alice")["changed"] is True
    assert stage.lease["pinned"] and stage.is_frozen(True)
    assert stage.endpoint.unpin("db", run, who="bob")["changed"] is True
    assert not stage.lease["pinned"] and stage.is_frozen(False)


def test_pin_twice_and_unpin_twice_are_successes_that_change_nothing_the_second_time(stage, run):
    assert [stage.endpoint.pin("db", run)["changed"] for _again in range(2)] == [True, False]
    assert [stage.endpoint.unpin("db", run)["changed"] for _again in range(2)] == [True, False]


def test_pinner_cannot_take_away_anothers_pin(stage, run):
    stage.endpoint.pin("db", run, who="alice")
    assert stage.endpoint.unpin("db", run, who="bob")["changed"] is False
    assert stage.lease["pinned"] and stage.is_frozen(True)


def test_leadership_is_the_same_after_the_unpin(stage, run):
    pin = stage.endpoint.pin("db", run)["lease"]["pins"][0]
    after = stage.endpoint.unpin("db", run)["lease"]
    assert (after["holder"], after["term"]) == (pin["holder"], pin["term"])


def test_decision_on_an_older_term_is_stale_and_freezes_nothing(stage, run):
    if not stage.lease["capabilities"]["terms"]:
        pytest.skip(f"{stage.name} has no terms")
    assert stage.endpoint.pin("db", run, {"term": stage.lease["term"] + 1})["kind"] == "stale"
    assert not stage.lease["pinned"] and stage.is_frozen(False)


def test_lapse_thaws_halts_and_refuses_the_dead_run_until_a_person_clears_it(stage, run):
    stage.endpoint.pin("db", run, who="alice", duration=60)
    stage.endpoint.pass_time(61)
    assert stage.lease["halted"]["pinner"] == f"alice/{run}" and not stage.lease["pinned"]
    until(lambda: stage.is_frozen(False) and stage.lease["freeze"] is None, 30)
    assert stage.endpoint.pin("db", run, who="alice")["kind"] == "halted"
    cleared = {"items": [{"application": "db"}], "reason": "looked at it"}
    assert stage.endpoint.call("POST", "/v1/clear-halt", cleared, who="alice").status == 403
    assert stage.endpoint.call("POST", "/v1/clear-halt", cleared).body["results"][0]["changed"] is True
    stage.world.settle(stage.endpoint, "db")
    assert stage.endpoint.pin("db", run, who="alice")["ok"]


def test_pin_outlives_the_death_of_the_endpoint(stage, run):
    before = stage.endpoint.pin("db", run)["lease"]
    stage.endpoint.restart()
    assert stage.lease["pinned"] and stage.is_frozen(True) and stage.lease["term"] == before["term"]
    stage.endpoint.unpin("db", run)
    assert stage.is_frozen(False)


def test_units_of_a_foreign_application_do_not_claim_it_here(stage):
    if stage.native:
        pytest.skip("native units do")
    for refused in (stage.endpoint.claim("db", stage.world.units[0]), stage.endpoint.renew("db", stage.world.units[0], 1),
                    stage.endpoint.resign("db", stage.world.units[0], 1)):
        assert (refused.status, refused.kind) == (501, "unsupported") and stage.name in refused.body["msg"]


def test_handover_under_the_own_pin_takes_the_pin_along_or_is_unsupported(stage, run):
    pin = stage.endpoint.pin("db", run)["lease"]["pins"][0]
    to = next(unit for unit in stage.lease["units"] if unit != pin["holder"])
    answer = stage.endpoint.transfer("db", to, run=run, term=pin["term"])
    if not stage.native and not stage.lease["capabilities"]["transfer"]:
        assert (answer.status, answer.kind) == (501, "unsupported") and stage.lease["holder"] == pin["holder"]
        return
    assert answer.status == 200, answer
    lease = answer.body["lease"]
    assert lease["holder"] == to == stage.world.leader(stage.endpoint, "db") and lease["term"] > pin["term"]
    assert (lease["pins"][0]["holder"], lease["pins"][0]["term"]) == (to, lease["term"]) and stage.is_frozen(True)


def test_handover_past_somebody_elses_pin_is_refused(stage, run):
    holder = stage.endpoint.pin("db", run, who="bob")["lease"]["holder"]
    to = next(unit for unit in stage.world.units if unit != holder)
    assert stage.endpoint.transfer("db", to, run=run).kind in ("pinned", "unsupported")
    assert stage.world.leader(stage.endpoint, "db") == holder


def test_silent_system_is_unreachable_never_without_leader_and_nothing_is_pinned(stage, run):
    silent(stage)
    stage.world.silence()
    try:
        asked = stage.endpoint.call("GET", "/v1/leases?application=db").body
        assert asked["leases"] == [] and asked["unknown"] == [] and asked["unreadable"][0]["kind"] == "unreachable"
        assert stage.endpoint.pin("db", run)["kind"] == "unreachable"
        refused = stage.endpoint.transfer("db", stage.world.units[1], run=run)
        assert (refused.status, refused.kind) in ((504, "unreachable"), (501, "unsupported"))
    finally:
        stage.world.speak()
    until(lambda: stage.endpoint.call("GET", "/v1/leases?application=db").body["leases"], 30)
    assert not stage.lease["pinned"] and stage.is_frozen(False)


def test_thaw_of_a_silent_system_is_owed_shown_and_done_when_it_speaks(stage, run):
    silent(stage)
    stage.endpoint.pin("db", run)
    stage.world.silence()
    try:
        found = stage.endpoint.unpin("db", run)
        assert found["ok"] and found["changed"] and found["lease"] is None and found["unreadable"]["kind"] == "unreachable"
        assert found["freeze"]["wanted"] is False and found["freeze"]["tries"] >= 1 and found["freeze"]["error"]
        stage.endpoint.restart()
        figures = stage.endpoint.figures()
        assert 'lease_thaw_owed{application="db"} 1.0' in figures and 'lease_held{application="db"}' not in figures
    finally:
        stage.world.speak()
    until(lambda: stage.frozen is False, 60)
    until(lambda: stage.lease["freeze"] is None, 10)


def test_freeze_of_somebody_else_stays_in_place_at_the_unpin(stage, run):
    if not stage.world.others_can_freeze:
        pytest.skip(f"{stage.name} has no freeze that others could have set")
    stage.world.freeze_as_somebody_else()
    try:
        stage.endpoint.pin("db", run)
        stage.endpoint.unpin("db", run)
        assert stage.frozen is True and stage.lease["freeze"] is None
    finally:
        stage.world.thaw_as_somebody_else()


def test_freeze_that_somebody_takes_away_is_made_again_and_told(stage, run):
    if not stage.world.others_can_freeze:
        pytest.skip(f"{stage.name} has no freeze that others could take away")
    stage.endpoint.pin("db", run)
    stage.world.thaw_as_somebody_else()
    told = until(lambda: [entry for entry in stage.endpoint.call("GET", "/v1/history?application=db").body["history"] if "frozen again" in entry["msg"]], 20)
    assert told and stage.is_frozen(True)
