# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run is, in rows and in lines."""

from __future__ import annotations

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, plan
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._progress import LOOSE, rows
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._run_book import RunBook, opening

APPLICATIONS = {"db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}}, "web": {"units": {"web/0": "m4", "web/1": "m5"}}}


def book(pin=True, applications=None, **machines):
    applications = APPLICATIONS if applications is None else applications
    hosts = {host for rules in applications.values() for host in rules["units"].values()}
    known = {**{host: MachineState() for host in hosts}, **machines}
    made = plan(applications, {name: sorted(rules["units"])[0] for name, rules in applications.items()}, known, target="trixie")
    return RunBook(opening(made, "trixie", "to-trixie", "here:1:a", "ops/to-trixie", pin, 3600, False, 1))


def lines(run, **notes):
    return {row.application: row.line() for row in rows(run.content, notes)}


def test_before_anything_happens_everybody_is_next():
    assert lines(book())["db"] == "db: not pinned yet, db/0 leads | next m2, m3, m1"


def test_a_machine_at_work_says_what_it_is_at():
    run = book()
    run.begin("m2")
    run.pinned("db")
    run.seen("db", "db/0", 4, 4)
    assert lines(run, m2="full-upgrade 42 %")["db"] == "db: pinned, db/0 leads in term 4 | at work m2 full-upgrade 42 % | next m3, m1"
    assert lines(run)["web"] == "web: not pinned yet, web/0 leads | next m5, m4", "applications do not mix"


def test_a_failure_names_its_reason_and_whom_it_halts():
    run = book()
    run.begin("m2")
    run.give("m2", False, "db/1 is ill")
    assert "m2 failed: db/1 is ill; m3 halted: db is halted, because m2 did not get through" in lines(run)["db"]


def test_machines_done_before_are_done():
    assert "done m2 |" in lines(book(m2=MachineState(done=True)))["db"]


def test_an_application_that_an_earlier_run_has_brought_through_is_not_said_to_wait_for_its_pin():
    run = book(**{host: MachineState(done=True) for host in ("m1", "m2", "m3")})
    assert lines(run)["db"] == "db: through, db/0 leads | done m1, m2, m3" and "not pinned yet" in lines(run)["web"]
    run.applications["db"]["pinned_before"] = True
    assert lines(run)["db"].startswith("db: still pinned from before, db/0 leads"), "it is unpinned at the end of this one"


def test_a_change_of_leader_is_not_hidden():
    run = book()
    run.pinned("db")
    run.seen("db", "db/1", 6, 4)
    assert "db/1 leads in term 6, 2 leadership changes" in lines(run)["db"]


def test_a_run_without_pins_says_so():
    assert lines(book(pin=False))["db"].startswith("db: without pin, db/0 leads")


def test_machines_without_application_have_a_row_of_their_own():
    assert lines(book(lone=MachineState()))[LOOSE].endswith("next lone")


def test_many_machines_are_counted_and_not_named():
    many = {"db": {"units": {"db/%d" % number: "m%d" % number for number in range(40)}, "order": "any"}}
    assert "and 34 more" in lines(book(applications=many))["db"]
