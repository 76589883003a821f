# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Over a real SSH connection a machine whose watcher is dead goes back, is undone or is held: the request is left there, and a watcher started."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import MARK, until
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import client
from tests.integration.on_stage import PATIENCE, run, stage_of, variables
from tests.integration.real_sshd import SSHD, Sshd
from tests.integration.real_watcher import real_watcher

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd; make system installs it")


@contextlib.contextmanager
def sshd(directory, **more):
    daemon = Sshd(directory, **more)
    try:
        yield daemon
    finally:
        daemon.stop()


def marker(stage, machine):
    return json.loads((stage.home(machine) / "state" / "marker.json").read_text(encoding="utf-8"))


def test_rollback_of_a_machine_whose_watcher_is_dead_is_left_in_its_spool_and_done():
    """C9: by the playbook, over SSH, without a person at the machine."""
    with stage_of({"db": {"units": {"db/0": "m1"}, "min_healthy": 0}}) as stage:
        ran = run(stage, "upgrade_series")
        assert ran.code == 0, ran.said
        os.kill(client.ask(str(stage.home("m1") / "run"), "status")["pid"], signal.SIGKILL)
        room = stage.directory / "sshd"
        room.mkdir()
        # The watcher that is started by this SSH session belongs to the stage like any other.
        with sshd(room, env="%s=%s" % (MARK, stage.directory)) as daemon:
            stage.write_inventory(**daemon.variables())
            ran = run(stage, "rollback", *variables(series_upgrade_rollback="m1"))
        assert ran.code == 0, ran.said
        assert "The rollback is left on the machine" in ran.said
        assert stage.series("m1") == "bookworm" and marker(stage, "m1")["state"] == "ROLLED_BACK"
        assert stage.ask("pins")["pins"] == []
        until(lambda: list((stage.home("m1") / "state" / "spool").iterdir()) == [], "the spool has been heard")


PLAY = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - leasehold.series_upgrade.watcher_call:
        do: "{{ brake }}"
        reason: the operator pulls the brake
        until: answered
      register: pulled
    - ansible.builtin.debug:
        msg: "{{ pulled.changed }} {{ pulled.state }}"
"""


def test_every_brake_is_felt_over_ssh_by_a_machine_whose_watcher_is_dead():
    """C9: an upgrade that was only armed is aborted, one that is watched is held, and nobody has to log in for it."""
    with contextlib.ExitStack() as stack:
        room = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dead-", dir="/tmp")))
        daemon = stack.enter_context(sshd(room))
        machines = {brake: stack.enter_context(real_watcher()) for brake in ("abort", "hold")}
        hosts = {}
        for brake, machine in machines.items():
            machine.arm(grace=3600)
            hosts[brake] = {"brake": brake, "upgrade_watcher_state_dir": machine.how["state_dir"], "upgrade_watcher_runtime_dir": machine.how["runtime_dir"]}
        machines["hold"].ask("upgrade")
        machines["hold"].wait("WATCHING")
        for machine in machines.values():
            machine.kill()
        (room / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": daemon.variables()}}), encoding="utf-8")
        (room / "play.yml").write_text(PLAY, encoding="utf-8")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(room / "inventory.json"), str(room / "play.yml")]
        ran = subprocess.run(command, cwd=room, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        for brake in machines:
            assert "The %s is left on the machine, and a watcher is started." % brake in ran.stdout
        assert machines["hold"].status()["state"] == "HELD" and "True HELD" in ran.stdout
        assert machines["abort"].wait("terminal")["state"] == "ABORTED"
        reasons = {machine.status()["reason"] for machine in machines.values()}
        assert reasons == {"the operator pulls the brake"}
        assert machines["hold"].count("rollbacks") == 0 and machines["hold"].count("upgrades") == 1
