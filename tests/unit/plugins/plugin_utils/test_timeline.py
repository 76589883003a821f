# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import html.parser
import re
import shutil

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _report, _timeline, _timeline_spans

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
ILL = "health of db/2 is failed: it answers 503"


def turn(at, machine, state, msg=""):
    return {"at": at, "event": "turn", "machine": machine, "state": state, "msg": msg}


def state(at, machine, name, msg="", **more):
    return {"at": at, "event": "state", "machine": machine, "state": name, "msg": msg, **more}


def phase(at, machine, name, percent=0, of="UPGRADING", msg=""):
    return {"at": at, "event": "phase", "machine": machine, "state": of, "phase": name, "percent": percent, "msg": msg or name}


def lease(at, application, event="pinned", holder="db/0", term=3, msg=""):
    return {"at": at, "event": event, "application": application, "holder": holder, "term": term, "msg": msg}


def upgrade(at, machine):
    """The events of a machine on its way to WATCHING, in 400 s from AT."""
    return [
        turn(at, machine, "running"), state(at + 5, machine, "ARMED"), state(at + 6, machine, "UPGRADING"), phase(at + 6, machine, "drain"),
        phase(at + 16, machine, "drain", 100), phase(at + 16, machine, "snapshot"), phase(at + 20, machine, "full-upgrade"),
        phase(at + 300, machine, "full-upgrade", 100), state(at + 300, machine, "REBOOTING"), state(at + 360, machine, "WATCHING"),
    ]


EVENTS = sorted([
    turn(1, "m3", "waiting", "m2 is away already, and db can spare one unit"), turn(1, "m1", "waiting", "m2 and m3 go first"), lease(1, "db"),
    *upgrade(1, "m2"), state(420, "m2", "COMMITTING"), state(421, "m2", "COMMITTED", "healthy for 60 s"), turn(421, "m2", "done"),
    *upgrade(422, "m3"), {"at": 800, "event": "check", "machine": "m3", "outcome": "failed", "msg": ILL},
    state(810, "m3", "ROLLBACK_REQUESTED", ILL), state(811, "m3", "ROLLING_BACK", ILL), phase(811, "m3", "revert", of="ROLLING_BACK"),
    phase(830, "m3", "rollback-reboot", 50, of="ROLLING_BACK"), state(900, "m3", "ROLLED_BACK", ILL), turn(900, "m3", "failed", ILL),
    turn(900, "m1", "halted", "db is halted, because m3 did not get through"),
], key=lambda event: event["at"])
PLAN = {"run": "to-trixie", "session": "ctl:1:aa", "purpose": "upgrade", "target": "trixie", "hash": "abc", "hosts": ["m2", "m3", "m1"]}
BOOK = {"pin": True, "plan": {"applications": {"db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}}}}}
OUTCOME = {
    "machines": {"m2": {"state": "done", "why": ""}, "m3": {"state": "failed", "why": ILL}, "m1": {"state": "halted", "why": "db is halted"}},
    "applications": {"db": {"state": "pinned", "pinned": True, "holder": "db/0", "term": 3, "leadership_changes": 0, "halted": None}},
}
STATUS = {"m2": {"status": {"state": "COMMITTED", "series": "trixie"}}, "m3": {"status": {"state": "ROLLED_BACK", "series": "bookworm", "reason": ILL}}}


def report(events=tuple(EVENTS), seconds=905.0, outcome=None, machines=None, pin=True, **plan):
    chronicle = {"began": 1795848662.0, "seconds": seconds, "events": [dict(event) for event in events]}
    return _report.of_run({**PLAN, **plan}, outcome or OUTCOME, STATUS if machines is None else machines, 1795849567.0, chronicle, {**BOOK, "pin": pin})


def spans(found, name):
    lanes = [*_timeline_spans.machines(found), *_timeline_spans.applications(found)]
    return [(span.kind, span.begin, span.end) for lane in lanes if lane.name == name for span in lane.spans]


def test_a_machine_is_drawn_as_what_it_did_from_its_turn_to_its_commit():
    assert spans(report(), "m2") == [
        ("waiting", 0, 1), ("preparing", 1, 7), ("draining", 7, 17), ("upgrading", 17, 21), ("upgrading", 21, 301), ("rebooting", 301, 361),
        ("watching", 361, 421)]


def test_a_machine_that_only_fetches_is_not_drawn_as_away():
    events = [turn(1, "m1", "running"), state(2, "m1", "UPGRADING"), phase(2, "m1", "fetch"), phase(9, "m1", "fetch", 100), phase(9, "m1", "drain"),
              state(20, "m1", "ABORTED")]
    assert spans(report(events), "m1") == [("waiting", 0, 1), ("preparing", 1, 2), ("preparing", 2, 9), ("draining", 9, 20)]


def test_machines_stand_in_the_order_in_which_they_went():
    assert [lane.name for lane in _timeline_spans.machines(report())] == ["m2", "m3", "m1"]


def test_a_rollback_is_one_span_and_ends_with_a_mark():
    assert spans(report(), "m3")[-1] == ("back", 810, 900)
    lane = _timeline_spans.machines(report())[1]
    assert [(moment.kind, moment.at) for moment in lane.moments] == [("ill", 800), ("back", 900)] and ILL in lane.moments[-1].note


def test_a_machine_that_was_never_let_in_waits_until_that_was_clear():
    assert spans(report(), "m1") == [("waiting", 0, 1), ("waiting", 1, 900)]


def test_an_application_is_pinned_until_the_end_unless_it_was_unpinned():
    assert spans(report(), "db") == [("pinned", 1, 905)]
    assert spans(report([*EVENTS, lease(902, "db", "unpinned")]), "db") == [("pinned", 1, 902)]
    found = report()
    assert _timeline_spans.frozen(found, "m1", _timeline_spans.applications(found)) == [(1, 905)]
    assert _timeline_spans.frozen(found, "m9", _timeline_spans.applications(found)) == []


def test_what_nobody_knows_is_never_drawn_as_if_the_last_known_thing_went_on():
    cut = [event for event in EVENTS if event.get("machine") == "m2" and event["at"] < 300]
    for last in ({"at": 200, "event": "lost", "machine": "m2", "msg": "m2 cannot be reached"}, turn(200, "m2", "failed", "it never gave its turn back")):
        found = report([*[event for event in cut if event["at"] < 200], last])
        assert spans(found, "m2")[-1] == ("unknown", 200, 905)


def test_a_machine_that_is_heard_again_is_known_again():
    found = report([*upgrade(0, "m2"), {"at": 370, "event": "lost", "machine": "m2", "msg": ""}, state(380, "m2", "HELD", "no new boot")])
    assert spans(found, "m2")[-2:] == [("unknown", 370, 380), ("held", 380, 905)]


def test_a_way_back_sets_out_from_committed():
    found = report([turn(1, "m2", "running"), state(3, "m2", "COMMITTED"), state(4, "m2", "ROLLBACK_REQUESTED"), state(9, "m2", "ROLLED_BACK")],
                   purpose="rollback")
    assert spans(found, "m2") == [("waiting", 0, 1), ("preparing", 1, 4), ("back", 4, 9)]
    assert [moment.kind for moment in _timeline_spans.machines(found)[0].moments] == ["good"], "it was asked for"


def test_a_machine_that_had_committed_before_a_rerun_only_gets_its_mark():
    lane = _timeline_spans.machines(report([turn(1, "m2", "running"), state(3, "m2", "COMMITTED")]))[0]
    assert [span.kind for span in lane.spans] == ["waiting", "preparing"] and [moment.kind for moment in lane.moments] == ["good"]


def test_a_leader_that_changed_while_pinned_is_marked_and_counted():
    changed = {**OUTCOME, "applications": {"db": {**OUTCOME["applications"]["db"], "leadership_changes": 1}}}
    found = report([lease(1, "db"), lease(50, "db", "leader", "db/1", 4)], outcome=changed)
    lane = _timeline_spans.applications(found)[0]
    assert [moment.kind for moment in lane.moments] == ["change"] and [span.label for span in lane.spans] == ["★ db/0 leads, term 3", "★ db/1 leads, term 4"]
    assert "1 leadership change" in _timeline.page(found)


def test_a_planned_handover_is_shown_and_is_no_change():
    found = report([lease(1, "db"), lease(50, "db", "leader", "db/1", 4)])
    assert _timeline_spans.applications(found)[0].moments == [] and "0 leadership changes, 1 planned handover" in _timeline.page(found)


def test_without_pins_a_new_leader_is_told_and_is_nobodys_failure():
    changed = {**OUTCOME, "applications": {"db": {**OUTCOME["applications"]["db"], "leadership_changes": 1, "pinned": False}}}
    changed["machines"] = {host: {"state": "done", "why": ""} for host in ("m1", "m2", "m3")}
    found = report([lease(1, "db", "leader"), lease(50, "db", "leader", "db/1", 4)], outcome=changed, pin=False)
    lanes = _timeline_spans.applications(found)
    assert [(span.kind, span.begin) for span in lanes[0].spans] == [("led", 1), ("led", 50)] and [moment.at for moment in lanes[0].moments] == [50]
    assert _timeline_spans.frozen(found, "m1", lanes) == [] and found["succeeded"] and found["next"] == []
    assert "leadership changes (not pinned): 1" in _report.text_of_run(found) and "1 leadership change, not pinned" in _timeline.page(found)


def test_the_page_asks_for_nothing_and_runs_nothing():
    page = _timeline.page(report())
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|https?:|\bsrc=", page)
    assert "default-src 'none'" in page


def test_what_machines_and_inventories_say_is_text():
    evil = "<script>alert(1)</script>\"'"
    outcome = {"machines": {evil: {"state": "failed", "why": evil}}, "applications": {evil: {"leadership_changes": 0, "pinned": True, "holder": evil}}}
    events = [turn(1, evil, "running", evil), lease(2, evil, holder=evil, msg=evil), state(3, evil, evil, evil)]
    page = _timeline.page(report(events, outcome=outcome, hosts=[evil]))
    assert "<script" not in page and "&lt;script&gt;" in page


class Balance(html.parser.HTMLParser):
    """Fails unless every element is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("found", [
    report(), report(()), report((), seconds=None, outcome={}, machines={}),
    report(outcome={"machines": {}, "applications": {}}, hosts=[], skipped={"m1": "is already on trixie"}), report(purpose="rollback"),
], ids=["whole", "no events", "nothing known", "nothing to do", "rollback"])
def test_whatever_is_known_makes_a_whole_page(found):
    reader = Balance()
    reader.feed(_timeline.page(found))
    assert reader.open == []


@pytest.mark.parametrize("seconds, last", [(0.4, "0:00"), (35, "0:30"), (905, "14:00"), (4000, "1:00:00"), (400000, "96:00:00")])
def test_the_axis_has_a_few_round_ticks_whatever_the_run_lasted(seconds, last):
    ticks = re.findall(r"<time [^>]*>([^<]*)</time>", _timeline.page(report((), seconds=seconds)))
    assert 1 <= len(ticks) <= 10 and ticks[-1] == last


@pytest.mark.skipif(BROWSER is None, reason="needs the package chromium")
def test_a_browser_shows_it_without_a_complaint_and_nothing_sticks_out(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "to-trixie.html"
    path.write_text(_timeline.page(report()), encoding="utf-8")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            view = browser.new_page(viewport={"width": 1200, "height": 800})
            complaints = []
            view.on("console", lambda said: complaints.append(said.text))
            view.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith("file:") else None)
            view.goto(path.as_uri())
            assert view.locator(".verdict").inner_text() == "not finished"
            assert [name.split("\n")[0] for name in view.locator(".machine .name").all_inner_texts()] == ["m2", "m3", "m1"]
            assert view.locator(".machine .leads").inner_text() == "★ db/0"
            lane, back = view.locator(".machine .lane").nth(1).bounding_box(), view.locator(".span.back").first.bounding_box()
            # The rollback is drawn from 810 s to 900 s of 905.
            assert abs((back["x"] - lane["x"]) / lane["width"] - 810 / 905) < 0.01 and abs(back["width"] / lane["width"] - 90 / 905) < 0.01
            for width in (1200, 480):
                view.set_viewport_size({"width": width, "height": 800})
                assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert complaints == []
        finally:
            browser.close()
