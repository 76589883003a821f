"""A real machine that loses its Python in the middle of an upgrade, and comes back all the same."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet import Endpoint, NativeFleet
from tests.testbed import Fleet

ILL = "/srv/data/ill"
CHECK = {"name": "the machine is not ill", "kind": "command", "command": f"test ! -e {ILL}"}
APPLICATIONS = {"db": {"units": {"db/0": "m1"}, "checks": []}}
TAKE_PYTHON_AWAY = "rm -rf /usr/bin/python3* /usr/lib/python3* && ! command -v python3"
STATUS = "python3 /var/lib/series-upgrade/watcher.pyz status"


@pytest.fixture(name="stage", scope="module")
def _stage():
    """One machine. Its unit is a Python program and will not outlive Python, so its own checks would decide too early: it has none."""
    with Fleet.up(f"pythonless-{os.getpid()}", machines=1, image="two-series", owner=os.getpid()) as fleet:
        native = NativeFleet(fleet, Endpoint(fleet).start(), APPLICATIONS, series_upgrade_checks=[CHECK],
                             series_upgrade_grace=150, series_upgrade_pin=False)
        yield native.install()


@pytest.fixture(name="watched")
def _watched(stage):
    """The machine on trixie, being watched by upgrade_series.yml and by its watcher, and without Python. Yields (fleet, machine)."""
    machine = stage.fleet["m1"]
    machine.ssh(f"rm -f {ILL}")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(stage.play, "upgrade_series")
        stage.until(lambda: run.done() or "WATCHING" in machine.ssh(STATUS, check=False).stdout, "m1 is watched", 240)
        assert not run.done(), run.result().stdout
        assert machine.series() == "trixie"
        machine.ssh(TAKE_PYTHON_AWAY)
        yield stage, machine
        print(run.result().stdout)
    assert run.result().returncode != 0, "a machine that went back is no success"


def is_back(machine) -> bool:
    """Whether the machine runs the old series, and its watcher says that this is the end of a rollback."""
    said = machine.ssh(f". /etc/os-release; echo $VERSION_CODENAME; {STATUS}", check=False).stdout
    return said.startswith("bookworm") and "ROLLED_BACK" in said


def test_rollback_yml_takes_a_machine_without_python_back(watched):
    stage, machine = watched
    done = stage.play("rollback", "-e", "series_upgrade_rollback=m1")
    print(done.stdout)
    assert done.returncode == 0
    assert is_back(machine)


def test_a_machine_without_python_that_turns_ill_goes_back_by_itself(watched):
    stage, machine = watched
    machine.ssh(f"touch {ILL}")
    stage.until(lambda: "bookworm" in machine.ssh("cat /etc/os-release", check=False).stdout, "m1 runs bookworm", 180)
    machine.ssh(f"rm -f {ILL}")
    stage.until(lambda: is_back(machine), "m1 is rolled back", 120)


def test_a_machine_that_reboots_without_python_comes_back_rolled_back(watched):
    stage, machine = watched
    machine.ssh("systemctl --no-block reboot", check=False)
    stage.until(lambda: is_back(machine), "m1 is rolled back", 240)
    assert "Python was gone after the reboot" in machine.ssh(STATUS).stdout
