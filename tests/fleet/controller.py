"""Playbooks run from a fleet's control node, against an inventory that knows what runs where."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

from tests.testbed import Fleet

from .endpoint import Endpoint

CHECKOUT = pathlib.Path(__file__).parents[2]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible")


def ending(done: subprocess.CompletedProcess, lines: int = 80) -> str:
    """Return the last lines that a playbook said, where it tells what went wrong: a message for an assertion that somebody is going to read."""
    return "\n".join(done.stdout.splitlines()[-lines:])


class Controller:
    """What every fleet with applications shares: ``inventory`` is the file that ``describe`` writes."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint, inventory: str) -> None:
        self.fleet = fleet
        self.endpoint = endpoint
        self.inventory = fleet.state / inventory

    def describe(self, variables: dict) -> None:
        """Write the inventory's variables, beside those that are the same everywhere."""
        same = {
            "lease_endpoint_url": self.endpoint.url,
            "lease_endpoint_ca_file": str(self.endpoint.ca),
            "lease_endpoint_token": self.endpoint.token_file("operator").read_text(encoding="utf-8").strip(),
            "series_upgrade_target": "trixie",
            "series_upgrade_snapshot": {"kind": "btrfs"},
            "series_upgrade_report_dir": str(self.fleet.state / "reports"),
        }
        self.inventory.write_text(json.dumps({"all": {"vars": {**same, **variables}}}, indent=1), encoding="utf-8")

    def play(self, playbook: str, *extra: str, timeout: float = 1800) -> subprocess.CompletedProcess:
        """Run one of the collection's playbooks from the control node; its whole output is in ``stdout``."""
        command = [f"{ANSIBLE}-playbook", "-i", str(self.fleet.inventory_path), "-i", str(self.inventory),
                   f"leasehold.series_upgrade.{playbook}", *extra]
        log = self.fleet.state / f"{time.strftime('%H%M%S')}-{playbook}.log"      # there to be read while it runs
        with open(log, "w", encoding="utf-8") as out:
            done = self.fleet.run(command, cwd=CHECKOUT, timeout=timeout, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env)
        done.stdout = log.read_text(encoding="utf-8")
        return done

    @property
    def env(self) -> dict:
        """Return the environment of playbooks: nothing of them is left under the home directory."""
        home = self.fleet.state / "ansible"
        return {**os.environ, "ANSIBLE_HOME": str(home), "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}

    def series(self) -> dict:
        """Return {machine: codename of the live series}."""
        return {machine.name: machine.series() for machine in self.fleet.machines}

    @staticmethod
    def until(true, what: str, patience: float = 60) -> None:
        """Return when ``true()`` is; raise TimeoutError saying what did not come about."""
        deadline = time.monotonic() + patience
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {patience} s: {what}")
            time.sleep(0.2)
