"""The role lease_endpoint as an operator applies it to machines of a fleet, TLS and all."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

from tests.testbed import Fleet, Machine

from .authority import Authority
from .controller import ANSIBLE, CHECKOUT, ending
from .endpoint import ASK, PORT

REQUIREMENTS = CHECKOUT / "roles/lease_endpoint/files/requirements.txt"
WHEELS = "/root/wheels"


class Role:
    """``variables`` are the role's, and may be changed before the next ``apply``; ``token`` is the file of the token to ask with."""

    def __init__(self, fleet: Fleet, machines: list, place: pathlib.Path, token: pathlib.Path, **variables: object) -> None:
        self.fleet, self.machines, self.place, self.token = fleet, machines, place, token
        authority = Authority(place / "tls")
        self.ca = authority.ca
        certificate, key = authority.issue("lease", *(machine.ip for machine in machines))
        self.variables = {
            "lease_endpoint_listen": "{{ ansible_host }}:%d" % PORT,
            **variables,
            "lease_endpoint_tls_cert": str(certificate),
            "lease_endpoint_tls_key": str(key),
            # The machines have no way out but apt's.
            "lease_endpoint_pip_args": ["--no-index", "--find-links", WHEELS],
        }

    def carry_the_libraries(self) -> None:
        """Put onto the machines what pip would fetch there."""
        wheels, packed = self.place / "wheels", self.place / "wheels.tar"
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS),
                        "-d", str(wheels)], check=True, capture_output=True, timeout=240)
        subprocess.run(["tar", "-C", str(wheels), "-cf", str(packed), "."], check=True)
        for machine in self.machines:
            with open(packed, "rb") as stream:
                self.fleet.run(["ssh", *self.fleet.ssh_options, f"root@{machine.ip}", f"mkdir -p {WHEELS} && tar -C {WHEELS} -xf -"], check=True, stdin=stream)

    def apply(self, *words: str) -> dict:
        """Apply the role; return {machine: its recap as {ok, changed, failures, ...}}."""
        play, names = self.place / "play.yml", [machine.name for machine in self.machines]
        role = {"role": "leasehold.series_upgrade.lease_endpoint", **self.variables}
        play.write_text(json.dumps([{"hosts": names, "gather_facts": False, "roles": [role]}]), encoding="utf-8")
        played = self.fleet.run(
            [f"{ANSIBLE}-playbook", "-i", str(self.fleet.inventory_path), str(play), *words], env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, cwd=CHECKOUT)
        recaps = {line.split()[0]: line.split(":", 1)[1] for line in played.stdout.splitlines() if " ok=" in line}
        assert played.returncode == 0 and set(recaps) >= set(names), ending(played)
        return {name: {key: int(value) for key, value in (word.split("=") for word in recaps[name].split())} for name in names}

    def question(self, machine: Machine, path: str) -> list:
        """Return the command that asks the endpoint of a machine: see ask.py."""
        return [sys.executable, str(ASK), f"https://{machine.ip}:{PORT}", str(self.ca), str(self.token), path]

    def ask(self, machine: Machine, path: str) -> dict:
        """Return what the endpoint of a machine answers, over TLS, to a question from the control node."""
        return json.loads(self.fleet.run(self.question(machine, path), check=True, stdout=subprocess.PIPE, timeout=60).stdout)

    def answers(self, machine: Machine) -> bool:
        """Tell whether the endpoint of a machine answers at present."""
        return self.fleet.run(self.question(machine, "/v1/whoami"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode == 0
