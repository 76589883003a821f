# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook and tells how long each of its tasks took and how much processor time the controller needed."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import typing as t

FORKS = 20
CLOCK = pathlib.Path(__file__).with_name("callbacks")
INTERPRETER = """#!%s -SE
import os, sys
child = os.posix_spawn(%r, [%r] + sys.argv[1:], os.environ)
status, used = os.wait4(child, 0)[1:]
own = os.times()
with open(%r, "a") as log:
    log.write("%%s %%f\\n" %% (os.path.basename(sys.argv[0]), used.ru_utime + used.ru_stime + own.user + own.system))
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Failed(Exception):
    """The playbook did not do what was to be measured, so there is no figure."""


@dataclasses.dataclass(frozen=True)
class Played:
    """``tasks``: name to wall seconds from its start to its last result. ``cpu``: of ansible-playbook and all it waited for, modules included."""

    tasks: dict[str, float]
    cpu: float
    wall: float


class Modules:
    """Interpreters, one a machine, that write down every module they run: how many there were, and what they cost their machine."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory / "interpreters"
        self.directory.mkdir()
        self.log = directory / "modules"
        self.log.touch()
        script = self.directory / "script"
        script.write_text(INTERPRETER % (sys.executable, sys.executable, sys.executable, str(self.log)), encoding="utf-8")
        script.chmod(0o755)

    def variable(self, machines: t.Iterable[str]) -> str:
        """What ansible_python_interpreter is to be."""
        for machine in machines:
            (self.directory / machine).symlink_to("script")
        return "%s/{{ inventory_hostname }}" % self.directory

    def count(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for name, seconds in self._lines():
            counted[name] = counted.get(name, 0) + 1
        return counted

    def cpu(self) -> float:
        return sum(seconds for name, seconds in self._lines())

    def forget(self) -> None:
        self.log.write_text("", encoding="utf-8")

    def _lines(self) -> list[tuple[str, float]]:
        return [(line.split()[0], float(line.split()[1])) for line in self.log.read_text(encoding="utf-8").splitlines()]


def play(directory: pathlib.Path, playbook: str | list[t.Any], *arguments: str, env: t.Mapping[str, str] | None = None, forks: int = FORKS) -> Played:
    """PLAYBOOK: a name, or plays as data. Raises Failed with what it said when it does not end well."""
    if not isinstance(playbook, str):
        book = directory / "play.json"
        book.write_text(json.dumps(playbook), encoding="utf-8")
        playbook = str(book)
    clock, said = directory / "times", directory / "said"
    clock.write_text("", encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "LEASE_ENDPOINT_"))}
    with open(said, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ansible", "playbook", "--forks", str(forks), *arguments, playbook], cwd=directory, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
            env={**kept, **(env or {}), "ANSIBLE_CALLBACK_PLUGINS": str(CLOCK), "ANSIBLE_CALLBACKS_ENABLED": "bench_clock", "BENCH_CLOCK": str(clock),
                 "ANSIBLE_NOCOLOR": "1"})
        status, used = os.wait4(process.pid, 0)[1:]
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed("ansible-playbook ended with %d:\n%s" % (process.returncode, said.read_text(encoding="utf-8")[-4000:]))
    lines = [json.loads(line) for line in clock.read_text(encoding="utf-8").splitlines()]
    begun: dict[str, float] = {}
    tasks: dict[str, float] = {}
    for line in lines:
        begun.setdefault(line["task"], line["at"])
        tasks[line["task"]] = line["at"] - begun[line["task"]]
    return Played(tasks, used.ru_utime + used.ru_stime, lines[-1]["at"] - lines[0]["at"] if lines else 0.0)
