# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real playbooks against a real endpoint, real elections and real watchers, on machines that are directories."""

from __future__ import annotations

import json
import os
import pathlib
import signal

import pytest

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import processes_of, until
from tests.integration.on_stage import Leadership, end, run, stage_of, start, variables

FLEET = {
    "db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}},
    "web": {"units": {"web/0": "m4"}, "min_healthy": 0, "order": "any"},
}


def report(stage, name="to-trixie"):
    return json.loads((stage.directory / "reports" / (name + ".json")).read_text(encoding="utf-8"))


def all_series(stage):
    return {machine: stage.series(machine) for machine in stage.machines}


def everywhere(stage, series):
    return {machine: series for machine in stage.machines}


def leads(stage):
    return {name: (lease["holder"], lease["term"]) for name, lease in stage.leases().items()}


def traces(stage):
    """What an upgrade leaves behind: anything in a machine's directory but what the stage put there."""
    return [path for machine in stage.machines for path in stage.home(machine).iterdir() if path.name in ("state", "run")]


@pytest.fixture(scope="module")
def done():
    """A stage on which a whole run has ended, with what was seen meanwhile."""
    with stage_of(FLEET) as stage:
        before = leads(stage)
        checked = run(stage, "upgrade_series", "--check")
        untouched = (all_series(stage), stage.ask("pins")["pins"], traces(stage))
        with Leadership(stage) as seen:
            ran = run(stage, "upgrade_series")
        yield {"stage": stage, "before": before, "checked": checked, "untouched": untouched, "seen": seen, "ran": ran, "after": leads(stage)}


def test_check_mode_shows_the_plan_and_changes_nothing(done):
    assert done["checked"].code == 0, done["checked"].said
    assert done["untouched"] == (everywhere(done["stage"], "bookworm"), [], [])


def test_every_machine_comes_to_the_target_and_the_run_says_so(done):
    assert done["ran"].code == 0, done["ran"].said
    assert report(done["stage"])["succeeded"] is True
    assert {name: found["state"] for name, found in report(done["stage"])["machines"].items()} == {m: "done" for m in ("m1", "m2", "m3", "m4")}


def test_no_leader_and_no_term_changes_while_pinned_and_nothing_stays_pinned(done):
    assert done["ran"].code == 0, done["ran"].said
    assert done["seen"].while_pinned("db") == {done["before"]["db"]}
    assert report(done["stage"])["leadership_changes"] == {"db": 0, "web": 0}
    assert not any(pinned for dummy, dummy, pinned in done["seen"].seen[-1].values()) and done["after"] == done["before"]


def test_the_leaders_machine_went_last(done):
    started = [line for line in done["ran"].said.splitlines() if "m1" in line or "m2" in line or "m3" in line]
    assert started, done["ran"].said
    began = {machine: marker(done["stage"], machine)["since"] for machine in ("m1", "m2", "m3")}
    assert max(began, key=began.get) == "m1"


def marker(stage, machine):
    whole = json.loads((stage.home(machine) / "state" / "marker.json").read_text(encoding="utf-8"))
    return whole.get("body", whole)


def test_status_tells_every_application_and_machine(done):
    ran = run(done["stage"], "status")
    assert ran.code == 0, ran.said
    for words in ("db/0", "not pinned", "m1", "m4", "COMMITTED", "trixie"):
        assert words in ran.said


def test_a_second_run_skips_every_machine_and_changes_nothing(done):
    state = {machine: marker(done["stage"], machine) for machine in done["stage"].machines}
    told = report(done["stage"])
    ran = run(done["stage"], "upgrade_series")
    assert ran.code == 0 and ran.said.count("is already on trixie") == 4 and "changed=1" not in ran.said, ran.said
    assert report(done["stage"]) == told
    assert {machine: marker(done["stage"], machine) for machine in done["stage"].machines} == state


def without_python(stage, machine):
    inventory = json.loads(stage.inventory.read_text(encoding="utf-8"))
    inventory["all"]["hosts"][machine]["ansible_python_interpreter"] = "/nowhere/python3"
    stage.inventory.write_text(json.dumps(inventory), encoding="utf-8")


def test_rollback_takes_back_a_machine_then_an_application_then_all_with_the_leaders_kept(done):
    stage = done["stage"]
    with Leadership(stage) as seen:
        # m2 has lost its Python on the way; nobody needs it.
        without_python(stage, "m2")
        one = run(stage, "rollback", *variables(series_upgrade_rollback="m2"))
        assert one.code == 0, one.said
        stage.write_inventory()
        assert all_series(stage) == {**everywhere(stage, "trixie"), "m2": "bookworm"}
        application = run(stage, "rollback", *variables(series_upgrade_rollback="db"))
        assert application.code == 0, application.said
        assert all_series(stage) == {**everywhere(stage, "bookworm"), "m4": "trixie"}
        everything = run(stage, "rollback", *variables(series_upgrade_rollback="all"))
        assert everything.code == 0, everything.said
    assert all_series(stage) == everywhere(stage, "bookworm")
    assert seen.while_pinned("db") == {done["before"]["db"]}
    assert stage.ask("pins")["pins"] == []


def test_a_machine_that_is_not_well_goes_back_by_itself_and_only_its_application_halts_until_a_rerun():
    with stage_of(FLEET) as stage:
        before = leads(stage)
        broken = stage.break_on("m3")
        first = run(stage, "upgrade_series")
        told = report(stage)
        assert first.code != 0 and not told["succeeded"], first.said
        # m2 and m3 have no order between them; the leader's machine waits for both and so never went.
        assert stage.series("m3") == "bookworm" and stage.series("m1") == "bookworm" and stage.series("m4") == "trixie", first.said
        assert told["machines"]["m3"]["watcher"] == "ROLLED_BACK" and told["machines"]["m1"]["state"] == "halted"
        assert told["machines"]["m4"]["state"] == "done" and any("m3" in step for step in told["next"])
        assert stage.leases()["db"]["pinned"] and not stage.leases()["web"]["pinned"]

        broken.unlink()
        second = run(stage, "upgrade_series")
        assert second.code == 0, second.said
        assert all_series(stage) == everywhere(stage, "trixie") and leads(stage) == before
        assert stage.ask("pins")["pins"] == []


def test_a_run_in_which_every_machine_fails_is_reported_all_the_same_with_its_timeline():
    with stage_of({"db": {"units": {"db/0": "m1"}, "min_healthy": 0}}) as stage:
        stage.break_on("m1")
        ran = run(stage, "upgrade_series")
        told = report(stage)
        page = (stage.directory / "reports" / "to-trixie.html").read_text(encoding="utf-8")
        assert ran.code != 0 and "What to do next" in ran.said and told["machines"]["m1"]["watcher"] == "ROLLED_BACK", ran.said
        assert [event["state"] for event in told["events"] if event["event"] == "state"] == [
            "ARMED", "UPGRADING", "WATCHING", "ROLLBACK_REQUESTED", "ROLLING_BACK", "ROLLED_BACK"]
        times = [event["at"] for event in told["events"]]
        assert times == sorted(times) and 0 <= times[0] and times[-1] <= told["seconds"]
        assert all('class="span %s' % kind in page for kind in ("pinned", "draining", "upgrading", "watching", "back"))


def slow(stage):
    """Makes the upgrade of every machine wait for a file, and returns the file."""
    gate = stage.directory / "gate"
    hosts = json.loads(stage.inventory.read_text(encoding="utf-8"))
    for host in hosts["all"]["hosts"].values():
        upgrade = host["series_upgrade_command"]["upgrade"]
        host["series_upgrade_command"]["upgrade"] = "while ! test -e %s; do sleep 0.1; done; %s" % (gate, upgrade)
    stage.inventory.write_text(json.dumps(hosts), encoding="utf-8")
    return gate


def upgrades(stage, machine):
    """Whether the machine's watcher has told that its upgrade command is at work."""
    return any(path.name == "journal.jsonl" and "command" in path.read_text() for path in traces_of(stage, machine))


def test_a_second_live_run_is_refused_with_the_first_ones_name_and_disturbs_nothing():
    with stage_of({"db": {"units": {"db/0": "m1", "db/1": "m2"}}}) as stage:
        gate = slow(stage)
        first = start(stage, "upgrade_series")
        try:
            until(lambda: upgrades(stage, "m2"), "m2 upgrades")
            other = run(stage, "upgrade_series", *variables(series_upgrade_run="another"))
            twin = run(stage, "upgrade_series")
        finally:
            gate.touch()
            ran = end(first)
        assert other.code != 0 and "in the run to-trixie" in other.said, other.said
        assert twin.code != 0 and "operator/to-trixie, in another session" in twin.said, twin.said
        assert ran.code == 0, ran.said
        assert all_series(stage) == everywhere(stage, "trixie")


def test_a_killed_controller_stops_nobody_and_a_rerun_takes_over_where_the_machines_are():
    with stage_of({"db": {"units": {"db/0": "m1", "db/1": "m2"}}}) as stage:
        before = leads(stage)
        gate = slow(stage)
        first = start(stage, "upgrade_series", *variables(series_upgrade_grace=10))  # m2 still watches when the rerun finds it on trixie
        until(lambda: upgrades(stage, "m2"), "m2 upgrades")
        for pid in processes_of(str(stage.directory)):
            if b"upgrade_series" in pathlib.Path("/proc/%d/cmdline" % pid).read_bytes():
                os.kill(pid, signal.SIGKILL)
        end(first)
        gate.touch()
        until(lambda: stage.series("m2") == "trixie", "m2 went on by itself")
        with Leadership(stage) as seen:
            ran = run(stage, "upgrade_series", *variables(series_upgrade_takeover=True))
        assert ran.code == 0, ran.said
        assert all_series(stage) == everywhere(stage, "trixie")
        assert seen.while_pinned("db") == {before["db"]} and stage.ask("pins")["pins"] == []


def traces_of(stage, machine):
    return [path for path in (stage.home(machine) / "state").glob("*") if path.is_file()]


def pins(stage):
    return sorted(pin["pinner"] for pin in stage.ask("pins")["pins"])


def test_unpin_removes_this_runs_pins_and_those_of_dead_runs_only_when_asked():
    with stage_of({"db": {"units": {"db/0": "m1"}, "min_healthy": 0}}) as stage:
        for token, name, session in (("operator", "to-trixie", None), ("boss", "forgotten", "dead"), ("boss", "by-hand", None)):
            body = {"items": [{"application": "db"}], "run": name, "reason": "a test", "duration": 600}
            stage.post("pin", {**body, "session": session} if session else body, token=token)
        own = run(stage, "unpin")
        assert own.code == 0 and pins(stage) == ["boss/by-hand", "boss/forgotten"], own.said
        again = run(stage, "unpin")
        assert again.code == 0 and pins(stage) == ["boss/by-hand", "boss/forgotten"], again.said
        dead = {"series_upgrade_orphans": True, "series_upgrade_orphan_silence": 0.5}
        refused = run(stage, "unpin", *variables(**dead))
        assert refused.code != 0 and pins(stage) == ["boss/by-hand", "boss/forgotten"] and "admin" in refused.said, refused.said
        orphans = run(stage, "unpin", *variables(**dead, lease_endpoint_token=stage.tokens["boss"]))
        assert orphans.code == 0 and pins(stage) == ["boss/by-hand"] and "by hand" in orphans.said, orphans.said


def test_unpin_leaves_the_pins_of_a_run_that_is_alive():
    with stage_of({"db": {"units": {"db/0": "m1"}, "min_healthy": 0}}) as stage:
        stage.post("pin", {"items": [{"application": "db"}], "run": "to-trixie", "reason": "a test", "duration": 600, "session": "here"})
        for arguments in ([], variables(series_upgrade_orphans=True)):
            ran = run(stage, "unpin", *arguments)
            assert pins(stage) == ["operator/to-trixie"], ran.said
