# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every bad input is refused in a sentence that names the next step, before anything is changed."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease.lease import Forbidden, Lease, Pin, Unreachable
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _inspection
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._applications import read
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._inspection import Refusal
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import plan

APPLICATIONS = read({"db": {"units": {"db/0": "m1", "db/1": "m2"}}})
HOSTS = ["m1", "m2", "spare"]
OLD = {"series": "bookworm", "marker": None, "problems": []}
RUN = "to-trixie"


def look(results, purpose="upgrade", chosen=("m1", "m2"), limited=False):
    return _inspection.machines(APPLICATIONS, HOSTS, set(chosen), {"m1": OLD, "m2": OLD, **results}, purpose, RUN, "trixie", limited)


def marker(state, **more):
    return {"state": state, "run": RUN, "upgrade_id": RUN + "/m1/1", "target_series": "trixie", "source_series": "bookworm", **more}


@pytest.mark.parametrize("given", [13, 13.1, True, None, ["trixie"], {}])
def test_a_target_that_is_no_text_is_refused(given):
    with pytest.raises(Refusal, match="which is no text; give a codename in quotes.*Nothing was changed"):
        _inspection.target(given)


@pytest.mark.parametrize("given", ["", "13", "Debian 13", "../trixie", "trixie\n"])
def test_a_target_that_is_no_codename_is_refused(given):
    with pytest.raises(Refusal, match="no codename"):
        _inspection.target(given)


def test_a_codename_is_taken():
    assert _inspection.target("trixie") == "trixie"


@pytest.mark.parametrize("names, chosen", [
    (["all"], {"m1", "m2"}), (["db"], {"m1", "m2"}), (["m1"], {"m1"}), (["m1", "spare"], {"m1", "spare"}), ([], set()),
])
def test_scope_names_machines_and_applications(names, chosen):
    assert _inspection.scope(names, APPLICATIONS, HOSTS) == chosen


def test_an_unknown_name_in_the_scope_is_refused():
    with pytest.raises(Refusal, match="dbb, m9 are neither a machine of the inventory nor an application"):
        _inspection.scope(["dbb", "m1", "m9"], APPLICATIONS, HOSTS)


def test_what_is_wrong_on_every_machine_is_said_once_after_their_names():
    small = {**OLD, "problems": ["10 MB are free for /var, and 20 MB are needed. Make room."]}
    with pytest.raises(Refusal, match=r"^m1, m2: 10 MB are free for /var, and 20 MB are needed. Make room. Nothing was changed.$"):
        look({"m1": small, "m2": small})


def test_a_machine_is_named_although_its_name_is_part_of_what_is_said():
    with pytest.raises(Refusal, match=r"^m1: /srv/m1/marker.json is damaged. m2: /srv/m2/marker.json is damaged. Nothing"):
        look({host: {**OLD, "problems": ["/srv/%s/marker.json is damaged." % host]} for host in ("m1", "m2")})


def test_a_machine_on_the_target_is_done_and_others_go():
    found = look({"m1": {**OLD, "series": "trixie"}})
    assert found["m1"].done and found["m2"].goes
    assert _inspection.why_skipped(found["m1"], "upgrade", "trixie") == "is already on trixie"


@pytest.mark.parametrize("state", ["UPGRADING", "REBOOTING", "WATCHING", "HELD", "ARMED"])
def test_a_machine_in_the_middle_of_this_run_goes_on(state):
    found = look({"m1": {"series": "trixie", "marker": marker(state), "problems": ["m1 is on trixie, which has no successor trixie"]}})
    assert found["m1"].goes and not found["m1"].problem, "what the preflight says of a fresh upgrade means nothing here"


@pytest.mark.parametrize("purpose", ["upgrade", "rollback"])
@pytest.mark.parametrize("state, serves", [
    ("ARMED", True), ("UPGRADING", False), ("REBOOTING", False), ("HELD", False), ("ROLLING_BACK", False), ("COMMITTED", True),
])
def test_a_machine_that_was_left_in_the_middle_does_not_serve(purpose, state, serves):
    assert look({"m1": {"series": "trixie", "marker": marker(state), "problems": []}}, purpose)["m1"].serves == serves


@pytest.mark.parametrize("purpose, serves", [("upgrade", False), ("rollback", True)])
def test_a_machine_that_watches_may_go_back_at_any_moment_of_an_upgrade(purpose, serves):
    assert look({"m1": {"series": "trixie", "marker": marker("WATCHING"), "problems": []}}, purpose)["m1"].serves == serves


def test_whoever_was_left_in_the_middle_finishes_before_another_goes():
    made = plan({"db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}}}, {"db": "db/0"}, _inspection.machines(
        read({"db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}}}), ["m1", "m2", "m3"], {"m1", "m2", "m3"},
        {"m1": OLD, "m2": OLD, "m3": {**OLD, "marker": marker("UPGRADING")}}, "upgrade", RUN, "trixie", False), target="trixie")
    assert made.hosts == ["m3", "m2", "m1"] and made.decide("m2", {}).kind == "wait"


def test_a_machine_in_the_middle_of_another_run_is_refused_with_its_name():
    with pytest.raises(Refusal, match="m1 is WATCHING in the run other; commit it or roll it back first"):
        look({"m1": {"series": "trixie", "marker": marker("WATCHING", run="other"), "problems": []}})


@pytest.mark.parametrize("state", ["ROLLED_BACK", "ABORTED"])
def test_a_machine_that_came_back_goes_again(state):
    assert look({"m1": {**OLD, "marker": marker(state)}})["m1"].goes


@pytest.mark.parametrize("result, sentence", [
    ({**OLD, "problems": ["m1 has 10 MB free below /var, 2048 are needed; free some."]}, "m1 has 10 MB free below /var, 2048 are needed; free some."),
    ({**OLD, "problems": ["the disk is full"]}, "m1: the disk is full."),
    ({**OLD, "marker": {"state": "INVALID"}, "problems": ["the marker of m1 cannot be read"]}, "the marker of m1 cannot be read."),
    ({**OLD, "marker": marker("ROLLBACK_FAILED", reason="no snapshot")}, "m1 has a rollback that failed (no snapshot)"),
    ({"failed": True, "msg": "no Python"}, "m1 could not be examined: no Python"),
])
def test_a_finding_on_one_machine_refuses_the_run(result, sentence):
    with pytest.raises(Refusal) as refused:
        look({"m1": result})
    assert sentence in refused.value.msg and refused.value.msg.endswith("Nothing was changed.")


def test_all_findings_are_told_at_once():
    with pytest.raises(Refusal, match="m1: one. m2: two."):
        look({"m1": {**OLD, "problems": ["one"]}, "m2": {**OLD, "problems": ["two."]}})


def test_a_finding_on_a_machine_that_does_not_go_refuses_nothing():
    assert not look({"m1": {**OLD, "problems": ["one"]}}, chosen=["m2"])["m1"].selected


@pytest.mark.parametrize("result", [{"unreachable": True}, None])
def test_a_machine_that_does_not_answer_is_for_the_plan_to_halt(result):
    found = look({"m1": result})
    assert not found["m1"].reachable and found["m1"].selected and found["m2"].goes


def test_a_machine_outside_the_limit_is_left_out_and_not_lost():
    assert not look({"m1": None}, limited=True)["m1"].selected


@pytest.mark.parametrize("state, goes", [
    (None, False), ("ROLLED_BACK", False), ("ABORTED", False), ("ARMED", True), ("UPGRADING", True), ("WATCHING", True), ("HELD", True), ("COMMITTED", True),
])
def test_a_rollback_concerns_machines_that_have_something_to_go_back_from(state, goes):
    found = look({"m1": {"series": "trixie", "marker": marker(state) if state else None, "problems": ["not the successor"]}}, "rollback")
    assert found["m1"].goes == goes


def test_a_rollback_of_others_is_not_held_up_by_a_damaged_marker():
    damaged = {**OLD, "marker": {"state": "INVALID"}, "problems": ["the marker cannot be read"]}
    found = look({"m1": damaged, "m2": {**OLD, "marker": marker("WATCHING")}}, "rollback")
    assert found["m1"].problem and found["m2"].goes and not found["m2"].problem


def lease(**more):
    return Lease("db", "db/0", term=1, **more)


MINE = Pin("ops/" + RUN, run=RUN, reason="upgrade to trixie", until_in=3000.0, session="there:1:a", session_seen_in=5.0)


@pytest.mark.parametrize("found, takeover, kind, sentence", [
    (lease(halted={"reason": "the pin of ops/x lapsed"}), False, "halted", "db is halted: the pin of ops/x lapsed. Look at the machines, then clear it"),
    (lease(pins=(dataclasses.replace(MINE, pinner="boss/by-hand"),)), False, "pinned", "db is pinned by boss/by-hand (upgrade to trixie); wait for that run"),
    (lease(pins=(dataclasses.replace(MINE, pinner="boss/by-hand"),)), True, "pinned", "db is pinned by boss/by-hand"),
    (lease(pins=(MINE,)), False, "pinned", "in another session, there:1:a, heard 5 seconds ago"),
])
def test_a_pinned_or_halted_application_is_refused(found, takeover, kind, sentence):
    with pytest.raises(Refusal) as refused:
        _inspection.free({"db": found}, ["db"], MINE.pinner, takeover)
    assert refused.value.kind == kind and sentence in refused.value.msg and "Nothing was changed" in refused.value.msg


def test_one_cause_is_told_once_for_all_its_applications():
    with pytest.raises(Refusal, match="^db and web are pinned by boss/by-hand [^.]*[.] Nothing was changed.$"):
        foreign = lease(pins=(dataclasses.replace(MINE, pinner="boss/by-hand"),))
        _inspection.free({"db": foreign, "web": foreign}, ["db", "web"], MINE.pinner, False)


@pytest.mark.parametrize("found, takeover", [
    (lease(), False), (lease(pins=(MINE,)), True), (lease(pins=(dataclasses.replace(MINE, session_seen_in=61.0),)), False),
    (lease(pins=(dataclasses.replace(MINE, session_seen_in=None),)), False),
])
def test_a_run_whose_controller_is_gone_may_be_resumed(found, takeover):
    _inspection.free({"db": found}, ["db"], MINE.pinner, takeover)


def test_applications_that_do_not_go_are_not_looked_at():
    _inspection.free({"db": lease(halted={"reason": "x"})}, [], MINE.pinner, False)


@pytest.mark.parametrize("whoami, sentence", [
    ({"identity": "ops", "scopes": ["read"], "applications": None}, "the token of ops may read, but not pin"),
    ({"identity": "ops", "scopes": ["read", "pin"], "applications": ["web*"]}, "may not pin db (only web*)"),
])
def test_a_token_that_may_not_pin_is_refused_before_anything_is_touched(whoami, sentence):
    with pytest.raises(Refusal, match="Nothing was changed") as refused:
        _inspection.pinner(whoami, RUN, ["db"])
    assert sentence in refused.value.msg


def test_our_name_is_identity_and_run():
    assert _inspection.pinner({"identity": "ops", "scopes": ["pin"], "applications": ["d*"]}, RUN, ["db"]) == "ops/to-trixie"


def test_a_holder_that_let_its_lease_pass_leads_no_more_unless_pinned():
    late = dataclasses.replace(lease(), overdue=True)
    assert _inspection.leaders({"db": late}) == {"db": None}
    assert _inspection.leaders({"db": dataclasses.replace(late, pins=(MINE,))}) == {"db": "db/0"}


@pytest.mark.parametrize("problem, step", [
    (Unreachable("no answer; is the endpoint running there?"), "running there? Check with: lease_endpoint status. Nothing was changed."),
    (Forbidden("this token is not known here."), "this token is not known here. Check endpoint_token"),
])
def test_what_the_endpoint_refuses_has_a_next_step(problem, step):
    assert step in _inspection.next_step(problem)


def test_where_the_preflight_broke_the_watchers_word_counts():
    broken = {"failed": True, "msg": "no such interpreter"}
    told = _inspection.told_by_watcher(broken, {"status": {"state": "COMMITTED", "series": "trixie"}})
    assert told["marker"]["state"] == "COMMITTED" and told["series"] == "trixie"
    assert _inspection.told_by_watcher(broken, {"failed": True, "kind": "no_watcher"}) == broken


def test_findings_of_the_preflight_are_never_replaced():
    found = {"failed": True, "problems": ["its marker is damaged"]}
    assert _inspection.told_by_watcher(found, {"status": {"state": "COMMITTED"}}) == found


ETCD = read({"etcd": {"units": {"etcd/0": "m1", "etcd/1": "m2"}, "no_return": {"rule": "last_machine", "reason": "{application} runs as 3.5."}},
             "web": {"units": {"web/0": "m1"}, "min_healthy": 0}})
UP = {"series": "trixie", "marker": marker("COMMITTED"), "problems": []}


def go_back(results, chosen=("m1",), force=()):
    machines = _inspection.machines(ETCD, ["m1", "m2"], set(chosen), results, "rollback", RUN, "trixie", False)
    _inspection.points_of_no_return(ETCD, machines, "trixie", force)


def test_nobody_goes_back_once_the_last_machine_is_on_the_target():
    said = "^etcd is past its point of no return: etcd runs as 3.5; all its machines are on trixie. .*Nothing was changed"
    with pytest.raises(Refusal, match=said) as refusal:
        go_back({"m1": UP, "m2": UP})
    assert refusal.value.kind == "too_late" and "web" not in refusal.value.msg


def test_before_the_last_machine_is_on_the_target_the_others_may_go_back():
    go_back({"m1": UP, "m2": OLD})


def test_machine_that_cannot_be_seen_counts_as_beyond_the_point_of_no_return():
    with pytest.raises(Refusal, match="all that can be seen of it is on trixie .not seen: m2."):
        go_back({"m1": UP, "m2": {"unreachable": True}})


def test_rule_of_no_return_is_overridden_by_naming_its_application_only():
    go_back({"m1": UP, "m2": UP}, force=["etcd"])
    with pytest.raises(Refusal, match="etcd is past"):
        go_back({"m1": UP, "m2": UP}, force=["web"])


def test_rule_of_no_return_is_not_asked_when_none_of_its_machines_goes_back():
    go_back({"m1": UP, "m2": UP}, chosen=())


def test_a_machines_token_pins_only_what_it_hosts():
    whoami = {"identity": "m1", "scopes": ["pin"], "units": {"db": ["db/0"]}}
    assert _inspection.pinner(whoami, RUN, ["db"]) == "m1/to-trixie"
    with pytest.raises(Refusal, match="hosts .db. and not web; use an operator's"):
        _inspection.pinner(whoami, RUN, ["db", "web"])
