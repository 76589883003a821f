# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation outlives its connections, and an errand asks before it acts. Clock and channels are made up."""

from __future__ import annotations

import json

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._control_channel import ChannelError, Denied, NoWatcher, Unreachable, Untrusted
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._conversation import Conversation, Deadline, Refused, Telling
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._errand import Errand

FAR = 1e6


class Clock:
    """Time passes only when somebody waits."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += max(seconds, 0.01)


class Machine:
    """A watcher whose state is written down here: `script` maps verbs to the states that follow, one at each look."""

    def __init__(self, clock, state="ARMED", **script):
        self.clock = clock
        self.state = state
        self.script = {verb: list(states) for verb, states in script.items()}
        self.more = {"series": "bookworm", "source_series": "bookworm", "target_series": "trixie", "upgrade_id": "u1", "machine": "m1"}
        self.heard = []
        self.events = []
        self.coming = []
        self.faults = []       # raised, one at each connection
        self.refusals = []     # answered, one at each changing request
        self.answered = {}

    def link(self):
        return self

    def open(self, path):
        if self.faults:
            fault = self.faults.pop(0)
            if fault is not None:
                raise fault
        return Wire(self)

    def close(self):
        pass

    def becomes(self, state, msg=""):
        self.state = state
        self.note("state", state=state, msg=msg)

    def note(self, event, **more):
        self.events.append({"seq": len(self.events) + 1, "event": event, **more})

    def answer(self, request):
        do = request["do"]
        if do == "status":
            if self.coming:
                self.becomes(self.coming.pop(0))
            told = {"state": self.state, "generation": 7, "seq": len(self.events), "history": self.events[-20:], **self.more}
            return {"v": 1, "ok": True, "result": "status", **told}
        if request.setdefault("request_id", do) in self.answered:
            return self.answered[request["request_id"]]
        self.heard.append(request)
        if self.refusals:
            return {"v": 1, "ok": False, **self.refusals.pop(0)}
        states = self.script[do]
        self.becomes(states[0])
        self.coming = states[1:]
        self.answered[request["request_id"]] = {"v": 1, "ok": True, "result": "accepted"}
        return self.answered[request["request_id"]]


class Wire:
    def __init__(self, machine):
        self.machine, self.lines = machine, []

    def send(self, line):
        request = json.loads(line)
        if request["do"] == "subscribe":
            self.lines = [{"v": 1, "ok": True, "result": "subscribed"}] + [event for event in self.machine.events if event["seq"] > request["since"]]
        else:
            self.lines = [self.machine.answer(request)]

    def readline(self, timeout):
        if self.lines:
            line = self.lines.pop(0)
            if line == "cut":
                raise Unreachable("m1: the connection was cut.")
            return json.dumps(line).encode()
        self.machine.clock.sleep(timeout)
        return None

    def close(self):
        pass


@pytest.fixture
def clock():
    return Clock()


def conversation(machine, clock, **more):
    return Conversation("m1", machine.link, "/run/x.sock", clock=clock, sleep=clock.sleep, **more)


def test_a_request_keeps_its_id_when_it_is_sent_again(clock):
    machine = Machine(clock, rollback=["ROLLBACK_REQUESTED"])
    machine.faults = [Unreachable("gone."), Unreachable("gone."), None]
    answer = conversation(machine, clock).ask("rollback", FAR)
    assert answer["result"] == "accepted" and len(machine.heard) == 1


def test_an_answer_lost_on_the_way_does_not_repeat_the_request(clock):
    machine = Machine(clock, rollback=["ROLLBACK_REQUESTED"])
    lost = [True]
    answer = machine.answer

    def lose_once(request):
        told = answer(request)
        return "cut" if lost and lost.pop() else told

    machine.answer = lose_once
    assert conversation(machine, clock).ask("rollback", FAR)["result"] == "accepted"
    assert len(machine.heard) == 1


def test_a_machine_out_of_reach_is_waited_for_no_longer_than_patience(clock):
    machine = Machine(clock)
    machine.faults = [Unreachable("gone.")] * 1000
    with pytest.raises(Unreachable):
        conversation(machine, clock, patience=60).status(FAR)
    assert 60 <= clock.now < 70


def test_a_socket_that_never_answered_is_given_up_soon(clock):
    machine = Machine(clock)
    machine.faults = [NoWatcher("nobody.")] * 1000
    with pytest.raises(NoWatcher):
        conversation(machine, clock, patience=900, first=5).status(FAR)
    assert clock.now < 15


def test_a_socket_that_has_answered_is_waited_for_as_after_a_reboot(clock):
    machine = Machine(clock)
    spoken = conversation(machine, clock, patience=900, first=5)
    spoken.status(FAR)
    machine.faults = [NoWatcher("nobody.")] * 20
    assert spoken.status(FAR)["state"] == "ARMED"


@pytest.mark.parametrize("problem", [Untrusted("key."), Denied("login.")])
def test_what_does_not_pass_is_not_tried_again(clock, problem):
    machine = Machine(clock)
    machine.faults = [problem]
    with pytest.raises(type(problem)):
        conversation(machine, clock).status(FAR)
    assert clock.now == 0


def test_a_busy_watcher_is_asked_again(clock):
    machine = Machine(clock, "UPGRADING", rollback=["ROLLBACK_REQUESTED"])
    machine.refusals = [{"kind": "busy", "msg": "dpkg is running"}] * 3
    assert conversation(machine, clock).ask("rollback", FAR)["ok"]
    assert len({request["request_id"] for request in machine.heard}) == 1


def test_a_refusal_names_what_the_watcher_said(clock):
    machine = Machine(clock, rollback=["ROLLBACK_REQUESTED"])
    machine.refusals = [{"kind": "no_artifact", "msg": "there is no snapshot"}]
    with pytest.raises(Refused, match="there is no snapshot") as refused:
        conversation(machine, clock).ask("rollback", FAR)
    assert refused.value.answer["kind"] == "no_artifact"


def test_a_stranger_is_denied_and_told_which_group_is_let_in(clock):
    machine = Machine(clock, rollback=["ROLLBACK_REQUESTED"])
    machine.refusals = [{"kind": "forbidden", "msg": "only root"}]
    with pytest.raises(Denied, match="upgrade_watcher_allowed_group"):
        conversation(machine, clock).ask("rollback", FAR)


def test_something_else_at_the_socket_is_no_answer(clock):
    machine = Machine(clock)
    machine.answer = lambda request: ["not", "a", "watcher"]
    with pytest.raises(Unreachable, match="not a watcher"):
        conversation(machine, clock, patience=1).status(FAR)


def test_following_ends_when_the_status_says_so_and_beats_meanwhile(clock):
    machine = Machine(clock, upgrade=["UPGRADING", "UPGRADING", "WATCHING", "COMMITTED"])
    beats, told = [], []
    spoken = conversation(machine, clock, beat=lambda: beats.append(clock.now), tell=told.append)
    spoken.ask("upgrade", FAR)
    assert spoken.follow(lambda status: status["state"] == "COMMITTED", FAR)["state"] == "COMMITTED"
    assert len(beats) > 1
    assert [event["state"] for event in told] == ["UPGRADING", "UPGRADING", "WATCHING", "COMMITTED"], "each once, in order"


def test_following_survives_a_reboot(clock):
    machine = Machine(clock, upgrade=["UPGRADING", "REBOOTING", "WATCHING", "COMMITTED"])
    spoken = conversation(machine, clock, patience=300)
    spoken.ask("upgrade", FAR)
    machine.faults = [None, Unreachable("down."), Unreachable("down."), NoWatcher("up, but no watcher yet."), None]
    assert spoken.follow(lambda status: status["state"] == "COMMITTED", FAR)["state"] == "COMMITTED"


def test_following_ends_at_the_deadline_with_the_state(clock):
    machine = Machine(clock, "WATCHING")
    with pytest.raises(Deadline, match="m1 is still WATCHING"):
        conversation(machine, clock).follow(lambda status: False, clock.now + 60)


def test_percentages_are_told_no_oftener_than_a_person_reads(clock):
    said = []
    telling = Telling("m1", said.append, clock=clock)
    for percent in range(0, 101):
        telling({"event": "progress", "phase": "full-upgrade", "percent": percent})
    assert said[:2] == ["m1: full-upgrade 0 %", "m1: full-upgrade 10 %"] and len(said) == 11


def test_slow_progress_is_told_after_a_while(clock):
    said = []
    telling = Telling("m1", said.append, clock=clock)
    telling({"event": "progress", "phase": "full-upgrade", "percent": 1})
    telling({"event": "progress", "phase": "full-upgrade", "percent": 2})
    clock.sleep(20)
    telling({"event": "progress", "phase": "full-upgrade", "percent": 3})
    assert said == ["m1: full-upgrade 1 %", "m1: full-upgrade 3 %"]


def test_states_phases_and_checks_are_always_told_and_logs_only_whispered(clock):
    said, whispered = [], []
    telling = Telling("m1", said.append, whispered.append, clock=clock)
    telling({"event": "state", "state": "WATCHING", "msg": "grace begins"})
    telling({"event": "phase", "phase": "drain", "msg": ""})
    telling({"event": "check", "msg": "db answers: failed"})
    telling({"event": "log", "msg": "a line of apt"})
    telling({"event": "gap", "seq": 3})
    assert said == ["m1: WATCHING: grace begins", "m1: drain", "m1: check: db answers: failed", "m1: journal: some events were trimmed before they were read"]
    assert whispered == ["m1: a line of apt"]


def run(machine, clock, do, **more):
    errand = Errand("m1", do, **more)
    try:
        return errand.run(conversation(machine, clock, patience=60), FAR)
    except ChannelError as problem:
        return errand.failure(problem)


def test_an_upgrade_ends_well_when_committed(clock):
    machine = Machine(clock, upgrade=["UPGRADING", "WATCHING", "COMMITTED"])
    result = run(machine, clock, "upgrade")
    assert result["changed"] and result["state"] == "COMMITTED" and "failed" not in result
    assert result["status"]["machine"] == "m1" and "ok" not in result["status"]


@pytest.mark.parametrize("state", ["UPGRADING", "REBOOTING", "WATCHING", "COMMITTING"])
def test_an_upgrade_under_way_is_followed_and_not_sent_again(clock, state):
    machine = Machine(clock, state)
    machine.coming = [state, "COMMITTED"]
    result = run(machine, clock, "upgrade")
    assert result["state"] == "COMMITTED" and not machine.heard and not result["changed"]


def test_an_upgrade_that_was_rolled_back_is_a_failure_with_its_reason(clock):
    machine = Machine(clock, upgrade=["UPGRADING", "ROLLING_BACK", "ROLLED_BACK"])
    machine.more["reason"] = "db answers: failed 3 times"
    result = run(machine, clock, "upgrade")
    assert result["failed"] and result["kind"] == "rolled_back" and "db answers: failed 3 times" in result["msg"]
    assert result["status"]["state"] == "ROLLED_BACK"


def test_watching_is_enough_when_asked_for(clock):
    machine = Machine(clock, upgrade=["UPGRADING", "WATCHING"])
    assert run(machine, clock, "upgrade", until="watching")["state"] == "WATCHING"


def test_a_held_machine_is_not_pushed_on_by_a_repetition(clock):
    machine = Machine(clock, "HELD")
    result = run(machine, clock, "upgrade")
    assert result["failed"] and result["kind"] == "held" and "resume, commit or roll it back" in result["msg"] and not machine.heard


@pytest.mark.parametrize("state", ["WATCHING", "HELD", "COMMITTED", "UPGRADING"])
def test_a_rollback_is_sent_from_wherever_there_is_something_to_go_back_from(clock, state):
    machine = Machine(clock, state, rollback=["ROLLBACK_REQUESTED", "ROLLING_BACK", "ROLLED_BACK"])
    assert run(machine, clock, "rollback", reason="by request")["state"] == "ROLLED_BACK"
    assert machine.heard[0]["reason"] == "by request"


def test_a_rollback_of_an_armed_machine_disarms_it(clock):
    machine = Machine(clock, "ARMED", abort=["ABORTED"])
    result = run(machine, clock, "rollback")
    assert result["state"] == "ABORTED" and "failed" not in result


def test_a_rollback_done_already_changes_nothing(clock):
    machine = Machine(clock, "ROLLED_BACK")
    assert not run(machine, clock, "rollback")["changed"] and not machine.heard


def test_a_failed_rollback_needs_a_person(clock):
    machine = Machine(clock, "WATCHING", rollback=["ROLLBACK_REQUESTED", "ROLLBACK_FAILED"])
    assert "needs a person" in run(machine, clock, "rollback")["msg"]


def test_a_commit_names_the_generation_it_was_decided_on(clock):
    machine = Machine(clock, "WATCHING", commit=["COMMITTING", "COMMITTED"])
    assert run(machine, clock, "commit")["state"] == "COMMITTED"
    assert machine.heard[0]["if_generation"] == 7


def test_an_abort_that_is_accepted_is_not_done_yet(clock):
    machine = Machine(clock, "ARMED", abort=["ARMED", "ARMED", "ABORTED"])
    machine.more["aborting"] = True
    assert run(machine, clock, "abort")["state"] == "ABORTED"


def test_another_upgrade_is_refused(clock):
    result = run(Machine(clock), clock, "upgrade", upgrade_id="u2")
    assert result["kind"] == "other_upgrade" and "u1" in result["msg"]


def test_an_unreachable_machine_is_a_failure_that_says_so_with_what_was_known(clock):
    machine = Machine(clock, upgrade=["UPGRADING"])
    spoken = conversation(machine, clock, patience=30)
    errand = Errand("m1", "upgrade")
    seen = machine.answer

    def vanish(request):
        told = seen(request)
        if request["do"] == "upgrade":
            machine.faults = [Unreachable("m1 is gone.")] * 1000
        return told

    machine.answer = vanish
    with pytest.raises(Unreachable) as gone:
        errand.run(spoken, FAR)
    result = errand.failure(gone.value)
    assert result["kind"] == "unreachable" and result["changed"] and result["state"] == "ARMED"


def test_a_rehearsal_sends_nothing_and_says_what_would_be_sent(clock):
    machine = Machine(clock)
    result = Errand("m1", "upgrade").rehearse(conversation(machine, clock), FAR)
    assert result["changed"] and "would be asked to upgrade" in result["msg"] and not machine.heard


def test_a_rehearsal_before_arming_is_no_failure(clock):
    machine = Machine(clock)
    machine.faults = [NoWatcher("nobody.")] * 1000
    result = Errand("m1", "upgrade").rehearse(conversation(machine, clock, first=0), FAR)
    assert result["changed"] and "no watcher yet" in result["msg"]


def test_a_rehearsal_of_a_finished_upgrade_changes_nothing(clock):
    assert not Errand("m1", "upgrade").rehearse(conversation(Machine(clock, "COMMITTED"), clock), FAR)["changed"]


def test_events_are_recorded_when_they_happened_on_our_clock_however_wrong_the_machines_is(clock):
    machine = Machine(clock, "WATCHING")
    recorded = []
    spoken = conversation(machine, clock, record=lambda event, at: recorded.append((event["state"], round(at, 1))))
    clock.now, machine.more["now"] = 100.0, 5000.0
    # Out of reach for half a minute; what happened meanwhile is told afterwards.
    spoken.status(FAR)
    clock.now, machine.more["now"] = 140.0, 5040.0
    machine.more["history"] = [
        {"event": "state", "seq": 1, "ts": 5010.0, "state": "COMMITTING"}, {"event": "state", "seq": 2, "ts": 9999.0, "state": "COMMITTED"}]
    spoken.follow(lambda status: True, FAR)
    assert recorded == [("WATCHING", 100.0), ("COMMITTING", 110.0), ("COMMITTED", 140.0)], "and nothing happens in the future"


def test_only_a_rollback_is_forced_and_by_name(clock):
    back, held = Machine(clock, "WATCHING", rollback=["ROLLBACK_REQUESTED", "ROLLED_BACK"]), Machine(clock, "WATCHING", hold=["HELD"])
    run(back, clock, "rollback", force=["db"])
    run(held, clock, "hold", force=["db"])
    assert (back.heard[0]["force"], held.heard[0].get("force")) == (["db"], None)


def test_a_rehearsed_rollback_is_asked_and_not_sent(clock):
    machine = Machine(clock, "WATCHING", may_roll_back=["WATCHING"])
    assert Errand("m1", "rollback", force=["db"]).rehearse(conversation(machine, clock), FAR)["changed"]
    assert [(request["do"], request["force"]) for request in machine.heard] == [("may_roll_back", ["db"])]


def test_machine_that_waits_at_its_spare_sshd_is_logged_in_to_until_it_has_seen_it(clock):
    machine, tries = Machine(clock, state="UPGRADING"), []
    machine.more.update(phase="spare-login", report={"spare_ssh": {"port": 1022, "waiting": True}})

    def log_in(port):
        tries.append(port)
        if len(tries) < 2:
            raise Unreachable("m1: no login at port 1022: refused.")
        machine.more["report"] = {"spare_ssh": {"port": 1022, "waiting": False, "login": "Accepted publickey for root"}}
        machine.coming = ["COMMITTED"]

    told = []
    status = conversation(machine, clock, log_in=log_in, note=told.append).follow(lambda seen: seen["state"] == "COMMITTED", FAR)
    assert status["state"] == "COMMITTED" and tries == [1022, 1022]
    assert told == ["m1: no login at port 1022: refused. Trying again while the machine waits."]


def test_nobody_is_logged_in_where_no_machine_waits_for_it(clock):
    machine = Machine(clock, state="UPGRADING")
    machine.more.update(phase="upgrade", report={"spare_ssh": {"port": 1022, "waiting": True}})
    with pytest.raises(Deadline):
        conversation(machine, clock, log_in=lambda port: pytest.fail("logged in")).follow(lambda seen: False, 30)
