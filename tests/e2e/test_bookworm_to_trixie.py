"""The real thing: three Debian machines, two applications with real elections, and every way there and back.

One fleet goes through it all. Each step is a fixture, so that a step that failed names itself and is not repeated.
"""

from __future__ import annotations

import json
import subprocess
import time
import typing as t

import pytest

from tests.fleet import NativeFleet, Sampler, changes, ending

from .conftest import ILL

STEPS = ("upgraded", "rolled_back", "resumed")


class Step(t.NamedTuple):
    """What a playbook said, what an onlooker saw of leadership meanwhile, and what it left."""

    done: subprocess.CompletedProcess
    seen: Sampler
    began: float      # s since the epoch
    ended: float
    before: dict      # {machine: boot id}
    after: dict       # the same
    series: dict      # {machine: codename} after it
    pins: list        # those left after it

    def histories(self) -> dict:
        """Return {application: samples}."""
        return {application: self.seen.history(application) for application in ("db", "cache")}


def boots(native: NativeFleet) -> dict:
    """Return {machine: boot id}."""
    return {machine.name: machine.boot_id() for machine in native.fleet.machines}


def play(native: NativeFleet, name: str, *command: str) -> Step:
    """Run a playbook and watch leadership once a second."""
    before = boots(native)
    with Sampler(native.endpoint, name) as seen:
        began = time.time()
        done = native.play(*command)
        ended = time.time()
    print(done.stdout)
    return Step(done, seen, began, ended, before, boots(native), native.series(), native.endpoint.ask("/v1/pins")["pins"])


@pytest.fixture(name="upgraded", scope="module")
def _upgraded(bookworm):
    """The first run, with m1 ill as soon as it is on trixie. m1 carries db's leader and so goes last."""
    bookworm.fleet["m1"].ssh(f"touch {ILL}")
    return play(bookworm, "upgraded", "upgrade_series")


@pytest.fixture(name="rolled_back", scope="module")
def _rolled_back(bookworm, upgraded):    # pylint: disable=unused-argument
    return play(bookworm, "rolled-back", "rollback", "-e", "series_upgrade_rollback=m2")


@pytest.fixture(name="resumed", scope="module")
def _resumed(bookworm, rolled_back):    # pylint: disable=unused-argument
    bookworm.fleet["m1"].ssh(f"rm {ILL}")
    return play(bookworm, "resumed", "upgrade_series")


def test_the_run_takes_machines_to_trixie_and_reboots_them(upgraded):
    for name in ("m2", "m3"):
        assert upgraded.series[name] == "trixie", ending(upgraded.done)
        assert upgraded.after[name] != upgraded.before[name]


def test_an_upgraded_machine_is_a_whole_trixie_with_its_units_running(bookworm, upgraded):    # pylint: disable=unused-argument
    question = "dpkg-query -W -f '${Version} ' libc6; systemctl is-system-running --wait; systemctl is-active db-2 cache-1; dpkg --audit"
    libc, *rest = bookworm.fleet["m3"].ssh(question, check=False).stdout.split()
    assert libc.startswith("2.41")
    assert rest == ["running", "active", "active"]


def test_the_preflight_foretold_which_packages_come_and_go(bookworm, upgraded):    # pylint: disable=unused-argument
    report = json.loads((bookworm.fleet.state / "reports/to-trixie-preflight.json").read_text(encoding="utf-8"))
    (told,) = [finding["data"] for finding in report["findings"] if finding["id"] == "predicted" and finding["machine"] == "m3"]
    here = set(bookworm.fleet["m3"].ssh("dpkg-query -f '${Package} ${db:Status-Status}\n' -W | sed -n 's/ installed$//p'").stdout.split())
    assert told["new"] and set(told["new"]) <= here
    assert not set(told["removed"]) & here


def test_the_machine_that_is_ill_on_trixie_rolls_itself_back_and_the_run_says_so(upgraded):
    assert upgraded.series["m1"] == "bookworm", ending(upgraded.done)
    assert upgraded.done.returncode != 0
    assert "m1 is not ill" in upgraded.done.stdout
    assert "m1" in upgraded.done.stdout.split("What to do next:")[1], "the report names the machine to look at"


@pytest.mark.parametrize("step", STEPS)
def test_leadership_is_sampled_every_second(step, request, record_property):
    played = request.getfixturevalue(step)
    for application, history in played.histories().items():
        assert history[0][0] <= played.began and history[-1][0] >= played.ended, "before, and after"
        seconds = history[-1][0] - history[0][0]
        record_property(f"{application}: samples of {step} in {seconds:.0f} s", len(history))
        assert len(history) > 0.9 * seconds
    assert not played.seen.failures


def test_applications_are_pinned_while_their_machines_go(upgraded):
    for application, history in upgraded.histories().items():
        assert any(pinned for _time, _holder, _term, pinned in history), application


def test_only_the_halted_application_stays_pinned(upgraded):
    assert [pin["application"] for pin in upgraded.pins] == ["db"]


def test_rollback_brings_the_named_machine_back(rolled_back):
    assert rolled_back.done.returncode == 0, ending(rolled_back.done)
    assert rolled_back.series == {"m1": "bookworm", "m2": "bookworm", "m3": "trixie"}


def test_a_rerun_takes_the_rest_to_trixie_and_leaves_no_pin(resumed):
    assert resumed.done.returncode == 0, ending(resumed.done)
    assert resumed.series == {"m1": "trixie", "m2": "trixie", "m3": "trixie"}
    assert resumed.pins == []
    assert resumed.after["m3"] == resumed.before["m3"], "m3 was there already and must be left alone"


def test_the_run_reports_its_proof(resumed):
    assert resumed.done.stdout.count("leadership changes while pinned: 0") >= 2, ending(resumed.done)


@pytest.mark.parametrize("step", STEPS)
def test_no_leader_and_no_term_changes(step, request):
    for application, history in request.getfixturevalue(step).histories().items():
        assert changes(history) == [], f"{application} in {step}"
