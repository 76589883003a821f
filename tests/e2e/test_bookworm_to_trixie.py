"""The real thing: three Debian machines, two applications with real elections, and every way there and back.

One fleet goes through it all. Each step is a fixture, so that a step that failed names itself and is not repeated.
"""

from __future__ import annotations

import subprocess
import typing as t

import pytest

from tests.fleet import NativeFleet, Sampler, changes

from .conftest import ILL


class Step(t.NamedTuple):
    """What a playbook said, and what an onlooker saw of leadership meanwhile."""

    done: subprocess.CompletedProcess
    seen: Sampler
    boots: dict       # {machine: boot id} before

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
        done = native.play(*command)
    print(done.stdout)
    return Step(done, seen, before)


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


def test_the_run_takes_machines_to_trixie_and_reboots_them(bookworm, upgraded):
    after = boots(bookworm)
    for name in ("m2", "m3"):
        assert bookworm.fleet[name].series() == "trixie", upgraded.done.stdout
        assert after[name] != upgraded.boots[name]
        question = "dpkg-query -W -f '${Version}' libc6; systemctl is-system-running; systemctl is-active 'db-*' 'cache-*'"
        said = bookworm.fleet[name].ssh(question, check=False).stdout
        assert said.startswith("2.41"), said
        assert "inactive" not in said and "failed" not in said, said


def test_the_machine_that_is_ill_on_trixie_rolls_itself_back_and_the_run_says_so(bookworm, upgraded):
    assert bookworm.fleet["m1"].series() == "bookworm", upgraded.done.stdout
    assert upgraded.done.returncode != 0
    assert "m1 is not ill" in upgraded.done.stdout
    assert bookworm.fleet["m1"].ssh("systemctl is-active db-0", check=False).stdout == "active\n"


def test_leadership_is_sampled_every_second(upgraded, record_property):
    for application, history in upgraded.histories().items():
        seconds = history[-1][0] - history[0][0]
        record_property(f"{application}: samples in {seconds:.0f} s", len(history))
        assert len(history) > 0.9 * seconds
    assert not upgraded.seen.failures


@pytest.mark.parametrize("step", ("upgraded", "rolled_back", "resumed"))
def test_no_leader_and_no_term_changes(step, request):
    for application, history in request.getfixturevalue(step).histories().items():
        assert changes(history) == [], f"{application} in {step}"


def test_applications_are_pinned_while_their_machines_go(upgraded):
    for application, history in upgraded.histories().items():
        assert any(pinned for _time, _holder, _term, pinned in history), application


def test_only_the_halted_application_stays_pinned(bookworm, upgraded):
    last = {application: history[-1] for application, history in upgraded.histories().items()}
    assert not last["cache"][3]
    assert last["db"][3]
    assert bookworm.fleet["m1"].series() == "bookworm"


def test_rollback_brings_the_named_machine_back(bookworm, rolled_back):
    assert rolled_back.done.returncode == 0, rolled_back.done.stdout
    assert bookworm.series() == {"m1": "bookworm", "m2": "bookworm", "m3": "trixie"}


def test_a_rerun_takes_the_rest_to_trixie_and_leaves_no_pin(bookworm, resumed):
    assert resumed.done.returncode == 0, resumed.done.stdout
    assert bookworm.series() == {"m1": "trixie", "m2": "trixie", "m3": "trixie"}
    assert bookworm.endpoint.ask("/v1/pins")["pins"] == []
    assert boots(bookworm)["m3"] == resumed.boots["m3"], "m3 was there already and must be left alone"


def test_the_run_reports_its_proof(resumed):
    assert resumed.done.stdout.count("leadership changes while pinned: 0") >= 2, resumed.done.stdout
