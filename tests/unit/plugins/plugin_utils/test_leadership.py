# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns and leases together: the book of turns on disk, the heartbeat of pins, and what a machine's first and last turn do at the endpoint."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease.lease import LeaseError, Outcome
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _leadership
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._heartbeat import Heartbeat, Orphaned, trouble
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, plan
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._run_book import RunBook, missing_proof, opening
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turn_file import NoBook, TurnFile
from ansible_collections.leasehold.series_upgrade.tests.unit.plugins.plugin_utils.fake_endpoint import FakeEndpoint

DB = {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}}
WEB = {"units": {"web/0": "m4", "web/1": "m5"}}
RUN = "to-trixie"


class Room:
    """A book on disk and an endpoint in memory."""

    def __init__(self, directory, applications=None, pin=True, takeover=False, session="here:1:a", done=(), endpoint=None):
        applications = applications or {"db": DB, "web": WEB}
        leaders = {name: sorted(rules["units"])[0] for name, rules in applications.items()}
        self.endpoint = endpoint or FakeEndpoint(**leaders)
        hosts = sorted({host for rules in applications.values() for host in rules["units"].values()})
        machines = {host: MachineState(done=host in done, series="trixie" if host in done else "bookworm") for host in hosts}
        made = plan(applications, {name: lease.holder for name, lease in self.endpoint.all.items()}, machines, target="trixie")
        self.book = TurnFile.create(str(directory), opening(made, "trixie", RUN, session, "ops/" + RUN, pin, 3600, takeover, os.getppid()))
        self.said = []

    def client(self):
        return self.endpoint

    def take(self, host):
        decision, changed, words = _leadership.take(self.book, host, self.client)
        self.said += words
        return decision

    def give(self, host, done=True, why=""):
        with self.book.edit() as content:
            run = RunBook(content)
            run.give(host, done, why)
            names = run.of(host)
        return _leadership.let_go(self.book, names, self.client, say=self.said.append) if done else ({}, [])

    def go(self, *hosts):
        for host in hosts:
            assert self.take(host).kind == "go", host
            self.give(host)

    @property
    def applications(self):
        return self.book.read()["applications"]

    @property
    def machines(self):
        return {host: entry["state"] for host, entry in self.book.read()["machines"].items()}


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path / "book")


# -- the book ----------------------------------------------------------------------------------------------------------------


def _count_up(path, times):
    for dummy in range(times):
        with TurnFile(path).edit() as content:
            content["n"] += 1


def test_no_change_is_lost_between_processes(tmp_path):
    book = TurnFile.create(str(tmp_path / "book"), {"n": 0})
    writers = [multiprocessing.get_context("fork").Process(target=_count_up, args=(book.path, 50)) for dummy in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert book.read() == {"n": 200}


def test_an_edit_that_fails_changes_nothing(tmp_path):
    book = TurnFile.create(str(tmp_path / "book"), {"n": 0})
    with pytest.raises(ZeroDivisionError):
        with book.edit() as content:
            content["n"] = 1 / 0
    assert book.read() == {"n": 0}


def test_waiting_ends_at_a_change_and_not_at_an_edit_that_changed_nothing(tmp_path):
    book = TurnFile.create(str(tmp_path / "book"), {"n": 0})
    edition = book.edition()
    with book.edit():
        pass
    assert not book.wait_for_change(edition, 0.4, sleep=lambda seconds: None)
    assert book.wait_for_change(edition, 5, sleep=lambda seconds: _count_up(book.path, 1))


def test_the_book_is_nobody_elses_business(tmp_path):
    book = TurnFile.create(str(tmp_path / "book"), {"n": 0})
    assert (tmp_path / "book").stat().st_mode & 0o077 == 0 and (tmp_path / "book" / "turns.json").stat().st_mode & 0o077 == 0
    assert book.read() == {"n": 0}


def test_notes_wake_nobody(tmp_path):
    book = TurnFile.create(str(tmp_path / "book"), {"n": 0})
    edition = book.edition()
    assert book.notes() == {}
    book.note("m1", "full-upgrade 10 %")
    book.note("m1", "full-upgrade 20 %")
    assert book.notes() == {"m1": "full-upgrade 20 %"} and book.edition() == edition


def test_a_missing_book_says_what_to_run_first(tmp_path):
    with pytest.raises(NoBook, match="run upgrade_plan first"):
        TurnFile(str(tmp_path / "none")).read()


# -- turns and pins ----------------------------------------------------------------------------------------------------------


def test_the_first_turn_pins_and_the_last_one_unpins(room):
    assert room.take("m2").kind == "go"
    assert room.endpoint.all["db"].pin_of("ops/" + RUN) and not room.endpoint.all["web"].pins, "not hours before"
    room.give("m2")
    room.go("m3")
    assert room.endpoint.all["db"].pins
    assert room.take("m1").kind == "go"
    assert room.give("m1") == ({"db": 0}, [])
    assert not room.endpoint.all["db"].pins and "db: unpinned, leadership changes while pinned: 0" in room.said


def test_the_leader_goes_last(room):
    assert room.take("m1").kind == "wait"
    room.go("m2")
    assert room.take("m1").kind == "wait"
    room.go("m3", "m1")


def test_asking_again_is_answered_again(room):
    assert [room.take("m2").kind, room.take("m2").kind] == ["go", "go"]


def test_a_failure_halts_its_applications_and_no_other(room):
    room.take("m2")
    room.give("m2", False, "m2 has no proof")
    assert room.take("m3").kind == "halted" and room.take("m1").kind == "halted"
    assert room.endpoint.all["db"].pins, "they stay pinned until the deadline"
    room.go("m5", "m4")
    assert not room.endpoint.all["web"].pins


def test_a_refused_pin_halts_before_anything_is_touched(room):
    room.endpoint.refuse["db"] = "halted"
    decision = room.take("m2")
    assert decision.kind == "halted" and "db cannot be pinned" in decision.why
    assert room.machines["m2"] == "halted", "it changed nothing, so it did not fail"
    assert room.take("m5").kind == "go"


def test_a_strangers_pin_refuses_naming_them(room):
    room.endpoint.stranger_pins("db")
    assert "boss/by-hand" in room.take("m2").why


def test_an_endpoint_that_is_silent_leaves_the_turn_open(room):
    room.endpoint.silent = True
    with pytest.raises(LeaseError):
        room.take("m2")
    room.endpoint.silent = False
    assert room.take("m2").kind == "go"


def test_a_leader_that_moved_before_the_pin_gives_a_new_order(room):
    room.endpoint.move("db", "db/1")
    assert room.take("m2").kind == "wait", "m2 carries the leader now"
    assert any("planned anew" in word for word in room.said)
    room.go("m1", "m3")
    room.take("m2")
    assert room.give("m2") == ({"db": 0}, [])


def test_a_leader_that_moves_under_the_pin_is_counted_and_stops_the_application(room):
    room.go("m2")
    room.endpoint.move("db", "db/2")
    decision = room.take("m3")
    assert decision.kind == "halted" and "changed its leader 1 time while it was pinned" in decision.why
    assert room.applications["db"]["leadership_changes"] == 1


def test_a_leader_that_moves_at_the_very_end_is_a_problem_of_the_run(room):
    room.go("m2", "m3")
    room.take("m1")
    room.endpoint.move("db", "db/2")
    counts, problems = room.give("m1")
    assert counts == {"db": 1} and "changed its leader 1 time" in problems[0]


def test_a_pin_that_vanished_is_told_and_not_counted_as_nothing(room):
    room.go("m2", "m3")
    room.take("m1")
    room.endpoint.drop_pins("db")
    counts, problems = room.give("m1")
    assert counts == {} and "nobody knows how often its leader changed" in problems[0]


def test_an_unpin_that_fails_is_tried_again_at_the_end(room):
    room.go("m2", "m3")
    room.take("m1")
    room.endpoint.silent = True
    counts, problems = room.give("m1")
    assert counts == {} and "could not be unpinned" in problems[0]
    room.endpoint.silent = False
    assert _leadership.let_go(room.book, ["db"], room.client) == ({"db": 0}, [])


def test_without_pins_changes_are_counted_and_nothing_is_pinned(tmp_path):
    room = Room(tmp_path, pin=False)
    room.go("m2")
    room.endpoint.move("db", "db/2")
    assert room.take("m3").kind == "wait", "whoever leads now goes last"
    room.go("m1")
    room.take("m3")
    counts, problems = room.give("m3")
    assert counts == {"db": 1} and "pin" not in room.endpoint.calls and "unpin" not in room.endpoint.calls


def test_a_handover_moves_the_leader_under_the_pin_and_is_no_change(tmp_path):
    room = Room(tmp_path, {"db": {**DB, "leader": "handover"}})
    order = [step.machine for step in RunBook(room.book.read()).plan.steps]
    room.go(*order)
    assert room.endpoint.all["db"].holder != "db/0" and not room.endpoint.all["db"].pins
    assert any("handed over" in word for word in room.said) and "db: unpinned, leadership changes while pinned: 0" in room.said


def test_a_machine_whose_leader_was_promised_more_time_waits_for_that(tmp_path):
    room = Room(tmp_path, {"db": {**DB, "leader": "handover"}})
    *earlier, home = [step.machine for step in RunBook(room.book.read()).plan.steps]
    room.go(*earlier)
    room.endpoint.promised = True
    for dummy in range(2):
        decision = room.take(home)
        assert decision.kind == "wait" and "for 7 s at most" in decision.why
    room.endpoint.all["db"] = dataclasses.replace(room.endpoint.all["db"], handover=None)
    room.go(home)
    assert room.endpoint.calls.count("transfer") == 1


def test_a_rerun_goes_on_under_the_pin_of_the_first(tmp_path):
    first = Room(tmp_path / "1")
    first.go("m2")
    first.endpoint.now += 61
    again = Room(tmp_path / "2", session="here:2:b", done=["m2"], endpoint=first.endpoint)
    again.go("m3", "m1")
    assert not again.endpoint.all["db"].pins


def test_a_second_controller_is_refused_while_the_first_is_heard(tmp_path):
    first = Room(tmp_path / "1")
    first.go("m2")
    again = Room(tmp_path / "2", session="there:2:b", done=["m2"], endpoint=first.endpoint)
    decision = again.take("m3")
    assert decision.kind == "halted" and "still driven by session here:1:a" in decision.why


def test_a_run_that_ended_in_order_can_be_resumed_at_once(tmp_path):
    first = Room(tmp_path / "1")
    first.go("m2")
    first.take("m3")
    first.give("m3", False, "ill")
    _leadership.step_down(first.book, first.client)
    again = Room(tmp_path / "2", session="there:2:b", done=["m2"], endpoint=first.endpoint)
    assert first.endpoint.all["db"].pins, "it stays pinned meanwhile"
    assert again.take("m3").kind == "go"


def test_stepping_down_brings_no_pin_back(room):
    room.take("m2")
    room.endpoint.drop_pins("db")
    _leadership.step_down(room.book, room.client)
    assert not room.endpoint.all["db"].pins


def test_a_takeover_goes_on_at_once_and_stops_the_first(tmp_path):
    first = Room(tmp_path / "1")
    first.go("m2")
    again = Room(tmp_path / "2", session="there:2:b", done=["m2"], endpoint=first.endpoint, takeover=True)
    assert again.take("m3").kind == "go"
    assert first.take("m3").kind == "halted"


def test_a_takeover_does_not_go_over_a_strangers_pin(tmp_path):
    room = Room(tmp_path, takeover=True)
    room.endpoint.stranger_pins("db")
    assert "boss/by-hand" in room.take("m2").why


def test_check_mode_takes_turns_without_pinning(room):
    for host in ("m2", "m3", "m1"):
        assert _leadership.take(room.book, host, room.client, check=True)[0].kind == "go"
        with room.book.edit() as content:
            RunBook(content).give(host, True)
    assert _leadership.let_go(room.book, ["db"], room.client, check=True) == ({}, [])
    assert room.endpoint.calls == []


def test_forks_that_all_wait_for_someone_outside_are_told(room):
    room.take("m1")
    run = RunBook(room.book.read())
    assert run.jammed(2) == "" and "raise forks to 5" in run.jammed(1)
    room.take("m2")
    assert RunBook(room.book.read()).jammed(1) == "", "somebody is at work"


# -- the heartbeat -----------------------------------------------------------------------------------------------------------


def heart(room, said=None):
    """The clock of the machine goes with that of the endpoint."""
    with room.book.edit() as content:
        content["renewed_at"] = content["heard_at"] = room.endpoint.now
    room.endpoint.calls.clear()
    return Heartbeat(room.book, room.client, (said if said is not None else []).append, now=lambda: room.endpoint.now)


def test_a_renewal_that_cannot_tell_who_leads_stops_nothing(room):
    room.take("m2")
    outcome = Outcome("db", True, unreadable={"kind": "unreachable", "msg": "no member of db answers"})
    assert trouble(RunBook(room.book.read()), "db", outcome) == ""


def test_a_fresh_pin_that_cannot_tell_who_leads_is_no_ground_to_stand_on(room, monkeypatch):
    unknown = Outcome("db", True, True, unreadable={"kind": "unreachable", "msg": "no member of db answers"})
    monkeypatch.setattr(room.endpoint, "pin", lambda names, **more: {name: unknown for name in names})
    assert room.take("m2").kind == "halted" and "who leads db could not be read: no member of db answers" in room.said[-1]


def test_a_pin_that_holds_a_whole_cluster_is_told_so(room):
    room.endpoint.all["db"] = dataclasses.replace(room.endpoint.all["db"], provider="patroni", capabilities={"scope": "cluster", "terms": True})
    room.take("m2")
    assert any(words.startswith("db: pinned (its whole cluster), db/0 leads") for words in room.said)
    assert room.applications["db"]["whole_cluster"] is True


def test_one_renewal_in_twenty_seconds_however_many_wait(room):
    room.take("m2")
    hearts = [heart(room) for dummy in range(3)]
    for second in range(0, 61, 5):
        room.endpoint.now = second
        for one in hearts:
            one.beat()
    assert room.endpoint.calls == ["pin"] * 3


def test_nothing_is_renewed_before_anything_is_pinned(room):
    one = heart(room)
    room.endpoint.now += 100
    one.beat()
    assert room.endpoint.calls == []


@pytest.mark.parametrize("begun", [True, False])
def test_the_workers_of_a_dead_playbook_fall_silent_also_those_that_had_only_just_begun(room, monkeypatch, begun):
    room.take("m2")
    one = heart(room) if begun else None
    monkeypatch.setattr(os, "getppid", lambda: 1)
    one = one or heart(room)
    room.endpoint.now += 20
    with pytest.raises(Orphaned):
        one.beat()
    assert room.endpoint.calls == []


def test_a_pin_that_lapsed_stops_its_application(room):
    room.take("m2")
    one = heart(room)
    room.endpoint.drop_pins("db")
    room.endpoint.refuse["db"] = "halted"
    room.endpoint.now += 20
    one.beat()
    assert room.applications["db"]["state"] == "halted"
    assert room.take("m3").kind == "halted"


def test_a_pin_that_had_to_be_taken_anew_stops_its_application(room):
    said = []
    room.take("m2")
    one = heart(room, said)
    room.endpoint.drop_pins("db")
    room.endpoint.now += 20
    one.beat()
    assert room.applications["db"]["state"] == "halted" and "free in between" in said[0]


def test_controller_that_wakes_up_late_does_not_pin_what_another_one_has_finished_meanwhile(room):
    said = []
    room.take("m2")
    one = heart(room, said)
    room.endpoint.drop_pins("db")
    room.endpoint.now += 300
    one.beat()
    assert room.applications["db"]["state"] == "halted" and "silent for 300 s" in said[0]
    assert not room.endpoint.all["db"].pins


def test_silence_of_the_endpoint_is_told_and_forgiven_until_the_pins_may_have_lapsed(room):
    said = []
    room.take("m2")
    one = heart(room, said)
    room.endpoint.silent = True
    room.endpoint.now = 20
    one.beat()
    assert room.applications["db"]["state"] == "pinned" and "could not be renewed" in said[0]
    room.endpoint.now = 3600
    one.beat()
    assert "has not answered for 3600 s" in room.applications["db"]["why"]


def test_a_strangers_later_pin_does_not_cost_us_ours(room):
    room.take("m2")
    one = heart(room)
    room.endpoint.stranger_pins("db")
    room.endpoint.now += 20
    one.beat()
    assert room.applications["db"]["state"] == "pinned" and room.endpoint.calls == ["pin", "pin"]


def test_another_session_of_our_run_stops_us(room, tmp_path):
    room.take("m2")
    one = heart(room)
    Room(tmp_path / "2", session="there:2:b", endpoint=room.endpoint, takeover=True).take("m3")
    room.endpoint.now += 20
    one.beat()
    assert "still driven by session there:2:b" in room.applications["db"]["why"]


# -- proof -------------------------------------------------------------------------------------------------------------------

GOOD = {"state": "COMMITTED", "series": "trixie", "source_series": "bookworm", "machine": "m1"}


@pytest.mark.parametrize("proof, lacking", [
    (GOOD, ""),
    (None, "gave no proof"),
    ({}, "gave no proof"),
    ({**GOOD, "state": "WATCHING"}, "WATCHING and not committed"),
    ({**GOOD, "state": "ROLLED_BACK", "reason": "db is ill"}, "not committed: db is ill"),
    ({**GOOD, "series": "bookworm"}, "bookworm was seen live instead of trixie"),
    ({**GOOD, "series": None}, "no series was seen live"),
    ({**GOOD, "machine": "m2"}, "showed the record of m2"),
    ({"series": "trixie"}, "unknown state"),
])
def test_an_upgrade_is_proved_by_nothing_less(proof, lacking):
    assert lacking in missing_proof("m1", proof, "upgrade", "trixie") if lacking else missing_proof("m1", proof, "upgrade", "trixie") == ""


@pytest.mark.parametrize("proof, lacking", [
    ({**GOOD, "state": "ROLLED_BACK", "series": "bookworm"}, ""),
    ({**GOOD, "state": "ABORTED", "series": "bookworm"}, ""),
    ({**GOOD, "state": "ROLLED_BACK"}, "trixie was seen live instead of bookworm"),
    ({"state": "ROLLED_BACK", "series": None, "source_series": None}, "no series was seen live"),
    (GOOD, "COMMITTED and not rolled back"),
    (None, "gave no proof"),
])
def test_a_rollback_is_proved_by_nothing_less(proof, lacking):
    assert lacking in missing_proof("m1", proof, "rollback", "trixie") if lacking else missing_proof("m1", proof, "rollback", "trixie") == ""
