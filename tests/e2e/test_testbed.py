"""The test bed itself: its machines are real, and nothing of them outlives their owner."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.testbed import Fleet, TestbedError
from tests.testbed.cgroups import cgroup_of
from tests.testbed.places import FLEETS

UP = """import os, sys
from tests.testbed import Fleet
Fleet.up(sys.argv[1], 1, "two-series", owner=os.getpid())
print("up", flush=True)
sys.stdin.read()
"""


def wait_until(true, what: str, patience: float = 60) -> None:
    """Return when ``true()`` is; fail the test when it is not in time."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"waited {patience} s for: {what}"
        time.sleep(0.1)


def traces(name: str) -> list:
    """Return what a fleet has left on this box: mounts, loop devices, processes, control groups, files."""
    found = [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if f"/{name}/" in line]
    for backing in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += [line for line in backing.read_text().splitlines() if f"/{name}/" in line]
        except OSError:
            continue            # taken away while we looked
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [command for command in [process.read_bytes().decode(errors="replace")] if f"/{name}" in command]
        except OSError:
            continue
    group = cgroup_of(name)
    return found + [str(path) for path in (FLEETS / name, group) if path is not None and path.exists()]


@pytest.fixture(name="owned")
def _owned():
    """Give the process that owns a fleet of one machine."""
    name = f"owned-{os.getpid()}"
    with subprocess.Popen([sys.executable, "-c", UP, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"up\n"
        yield owner, name
        owner.kill()
    wait_until(lambda: not traces(name), "nothing of the fleet to be left")


def test_a_killed_owner_leaves_no_process_mount_loop_device_or_file(owned):
    owner, name = owned
    assert len(traces(name)) > 3
    owner.kill()
    wait_until(lambda: not traces(name), "nothing of the fleet to be left")


def test_a_killed_guard_takes_its_machines_along_and_down_sweeps_the_rest(owned):
    _owner, name = owned
    fleet = Fleet(name)
    os.kill(fleet.guard, signal.SIGKILL)
    wait_until(lambda: all(str(FLEETS) in trace or "cgroup" in trace for trace in traces(name)), "only files to be left")
    fleet.down()
    assert not traces(name)


def test_a_machine_reboots_with_a_new_boot_id_and_survives_a_power_cut(owned):
    machine = Fleet(owned[1])["m1"]
    seen = [machine.boot_id()]
    for interrupt in (lambda: machine.ssh("systemctl reboot", check=False), machine.cut_power):
        interrupt()
        wait_until(lambda: machine.ssh("cat /proc/sys/kernel/random/boot_id", check=False).stdout.strip() not in ("", *seen), "another boot")
        seen.append(machine.boot_id())
    assert machine.ssh("cat /proc/1/comm").stdout == "systemd\n"
    assert machine.series() == "bookworm"


def test_a_fleet_that_is_not_up_is_said_so():
    with pytest.raises(TestbedError, match="not up: bring it up with"):
        Fleet("no-such-fleet")
