# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report says how every machine ended, claims success only when all of it is known, and names the next step."""

from __future__ import annotations

import json

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _report

PLAN = {"run": "to-trixie", "session": "s", "purpose": "upgrade", "target": "trixie", "hash": "abc", "hosts": ["m2", "m1"], "skipped": {}, "failed": {}}
DONE = {
    "machines": {"m1": {"state": "done", "why": ""}, "m2": {"state": "done", "why": ""}},
    "applications": {"db": {"pinned": False, "leadership_changes": 0, "halted": None}},
}
BACK = {
    "machines": {"m1": {"state": "halted", "why": "db is halted, because m2 failed"}, "m2": {"state": "failed", "why": ""}},
    "applications": {"db": {"pinned": True, "leadership_changes": 0, "halted": None}},
}
ROLLED_BACK = {"m2": {"status": {"state": "ROLLED_BACK", "series": "bookworm", "reason": "db/1 answers 503"}}}


def made(outcome, machines=None, **plan):
    return _report.of_run({**PLAN, **plan}, outcome, machines or {}, 0.0)


def test_a_run_in_which_every_machine_is_done_succeeded_and_leaves_nothing_to_do():
    report = made(DONE)
    assert report["succeeded"] and report["next"] == []
    assert "finished" in _report.text_of_run(report) and "leadership changes while pinned: 0" in _report.text_of_run(report)


def test_a_run_whose_end_could_not_be_read_did_not_succeed():
    report = made({})
    assert not report["succeeded"]
    assert {end["state"] for end in report["machines"].values()} == {"running"}


def test_a_leader_that_changed_while_pinned_is_a_failure_even_when_every_machine_is_done():
    report = made({**DONE, "applications": {"db": {"pinned": False, "leadership_changes": 1}}})
    assert not report["succeeded"] and "changed its leader" in report["next"][0]


def test_a_machine_that_went_back_is_named_with_its_reason_and_the_next_step():
    report = made(BACK, ROLLED_BACK)
    text = _report.text_of_run(report, "/reports/to-trixie.json", "http://127.0.0.1:8470")
    assert report["machines"]["m2"]["why"] == "db/1 answers 503"
    assert "m2 went back to bookworm by itself" in report["next"][0] and "upgrade_series.yml" in report["next"][0]
    assert "rolled back" in text and "did not go" in text and "still pinned" in text
    assert "/reports/to-trixie.json" in text and "http://127.0.0.1:8470/" in text


def test_a_machine_that_failed_before_the_plan_is_told_with_its_problem():
    report = made({**DONE, "machines": {}}, hosts=[], failed={"m3": "the disk has 10 MB free"})
    assert not report["succeeded"] and any("the disk has 10 MB free" in step for step in report["next"])


def test_machines_that_were_skipped_do_not_spoil_the_run():
    report = made({"machines": {}, "applications": {}}, hosts=[], skipped={"m1": "is already on trixie"})
    assert report["succeeded"] and "is already on trixie" in _report.text_of_run(report)


def test_a_halted_application_is_told_with_what_clears_it():
    report = made({**DONE, "applications": {"db": {"halted": {"since": 1, "reason": "the pin lapsed"}}}})
    assert any("db is halted (the pin lapsed)" in step for step in report["next"])


def test_the_report_is_plain_json():
    assert json.loads(json.dumps(made(BACK, ROLLED_BACK)))["machines"]["m2"]["watcher"] == "ROLLED_BACK"


@pytest.mark.parametrize("run, name", [("to-trixie", "to-trixie.json"), ("../../etc/x", "-..-etc-x.json"), ("...", "run.json")])
def test_the_name_of_a_run_cannot_leave_the_directory(run, name):
    assert _report.file_name(made(DONE, run=run)) == name


def test_the_fleet_tells_pins_halts_and_what_is_not_known():
    lease = {"application": "db", "holder": "db/0", "term": 3, "overdue": True, "halted": {"since": 0, "reason": "lapsed"}}
    lease["pins"] = [{"pinner": "operator/to-trixie", "until_in": 60, "reason": "upgrade"}]
    watching = {"status": {
        "state": "WATCHING", "series": "trixie", "grace_remaining": 12.0, "now": 5000.0, "not_after": None,
        "last_health": [{"name": "db answers", "class": "failed", "msg": "it says 503", "misses": 2}, {"name": "series", "class": "ok", "msg": "runs trixie"}],
        "history": [{"event": "state", "ts": 4990.0, "state": "WATCHING", "msg": "new boot"}]}}
    text = _report.text_of_fleet({"db": lease}, {"m1": watching, "m2": {"msg": "nobody answers"}}, 0.0)
    for words in ("db/0", "term 3", "operator/to-trixie until 1970-01-01T00:01:00Z", "HALTED",
                  "not renewed", "grace 12 s", "nobody answers", "it says 503 (missed 2 times)",
                  "10 s ago  WATCHING            new boot"):
        assert words in text
    assert "runs trixie" not in text and "runs trixie" in _report.text_of_fleet({}, {"m1": watching}, 0.0, everything=True)


def test_a_machine_at_rest_is_one_line_and_all_of_it_only_when_asked_for():
    past = [{"event": "state", "ts": 100.0, "state": "COMMITTED", "msg": "healthy for 60 s"}]
    rests = {"status": {"state": "COMMITTED", "series": "trixie", "reason": "healthy for 60 s", "since": 100.0, "now": 400.0, "history": past}}
    text = _report.text_of_fleet({}, {"m1": rests}, 0.0)
    assert text.splitlines()[-1] == "  m1           COMMITTED    trixie    healthy for 60 s (5 min ago)"
    assert "5 min ago  COMMITTED           healthy" in _report.text_of_fleet({}, {"m1": rests}, 0.0, everything=True)


def test_leases_that_could_not_be_read_are_not_told_as_none():
    assert "not known" in _report.text_of_fleet(None, {}, 0.0)
    assert "knows none" in _report.text_of_fleet({}, {}, 0.0)


def test_when_one_machine_refuses_beforehand_the_report_says_who_and_why_and_that_nobody_went():
    plan = {**PLAN, "purpose": "rollback"}
    outcome = _report.of_refusals(plan, {"m1": {"failed": True, "msg": "web is past its point of no return: r"}, "m2": {"failed": False}})
    report = _report.of_run(plan, outcome, {}, 0.0)
    assert not report["succeeded"] and not report["nothing_to_do"]
    assert report["machines"]["m1"] == {"state": "failed", "why": "web is past its point of no return: r"}
    assert report["machines"]["m2"] == {"state": "waiting", "why": "it is all of them or none, and m1 cannot go"}
    assert report["next"][0] == "m1 has to be looked at: web is past its point of no return: r"
    assert "m2           did not go" in _report.text_of_run(report)


def test_what_a_machine_tells_of_its_upgrade_is_shown_in_short_and_kept_whole():
    depending = [{"kind": "index", "name": "i"}]
    told = {
        "conffiles": [{"file": "/etc/%s" % name, "kept": "yours", "beside": "x"} for name in "abcd"] + [{"file": "/etc/n", "kept": "new", "beside": "y"}],
        "sources": [{"uri": "https://apt.example.org", "action": "disabled"}, {"uri": "x", "action": "moved"}],
        "spare_ssh": {"problem": "nobody logged in"}, "obsolete": ["python3.11"], "residual": None, "unneeded": [],
        "postgresql": [{"cluster": "15/main", "databases": [{"name": "app", "recorded": "2.36", "actual": "2.41", "depending": depending}]}],
    }
    assert _report.notes(told) == [
        "kept your version of /etc/a, /etc/b, /etc/c and 1 more; the new one lies beside", "switched off: https://apt.example.org",
        "went without a spare sshd: nobody logged in", "packages left over: 1 obsolete",
        "PostgreSQL 15/main, database app: its collations have changed (2.36 to 2.41), and 1 of its indexes is in the old order."]
    plan = {"run": "r", "hosts": ["m1"], "target": "trixie"}
    made = _report.of_run(plan, {"applications": {}, "machines": {"m1": {"state": "done", "why": ""}}}, {"m1": {"status": {"report": told}}}, 0.0)
    assert made["machines"]["m1"]["report"] == told
    assert "                 switched off: https://apt.example.org" in _report.text_of_run(made)


def test_leadership_elsewhere_is_told_with_its_provider_what_is_owed_and_what_could_not_be_read():
    lease = {"application": "db", "holder": "db/0", "term": 3, "provider": "patroni", "pins": [], "overdue": True,
             "freeze": {"wanted": False, "error": "no member answered"}, "members": [{"unit": "db/1", "healthy": False, "msg": "PostgreSQL is stopped"}]}
    text = _report.text_of_fleet({"db": lease}, {}, 0.0, unreadable={"pg": "pg cannot be read: nobody answers"})
    assert "not pinned, its holder is away or not well, by patroni" in text and "db/1 is not well: PostgreSQL is stopped" in text
    assert "frozen still though nobody wants that: no member answered" in text and "not known    pg cannot be read: nobody answers" in text
    assert "knows none" not in _report.text_of_fleet({}, {}, 0.0, unreadable={"pg": "nobody answers"})
