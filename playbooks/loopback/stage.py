# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A stage on loopback, for the demo and for tests: a lease endpoint, units that really elect their leaders, and machines that
are directories. Nothing needs root, and nothing outlives the stage, however its maker ends.

    with Stage(directory, {"db": {"units": {"db/0": "m1", "db/1": "m2"}}}) as stage:
        subprocess.run(["ansible-playbook", "-i", stage.inventory, ...], env=stage.env)
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ENDPOINT = HERE.parents[1] / "roles" / "lease_endpoint" / "files"
# Every process that belongs to a stage carries this variable, whoever started it and however it was detached.
MARK = "LEASEHOLD_STAGE"
OLD, NEW = "bookworm", "trixie"
# Told to the guard at the end; a maker that dies cannot say it, and leaves nothing behind.
KEEP = b"keep"
# The shortest the lease contract allows is 5 s; twice that survives a busy machine.
LEASE = 10
# Fast enough to watch, and above (allowed_misses + 1) x interval.
PACE = {"series_upgrade_grace": 3, "series_upgrade_interval": 1, "series_upgrade_allowed_misses": 1}


class Stage:
    """
    APPLICATIONS is `series_upgrade_applications` without drain, resume and checks, which the stage adds. The first unit of each
    application becomes its leader. VARIABLES are added to the inventory; PYTHON must be able to import fastapi and uvicorn.
    KEEP says whether the directory stays when the stage has gone; setting the attribute changes that until the end.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        applications: t.Mapping[str, t.Any],
        python: str = sys.executable,
        variables: t.Mapping[str, t.Any] | None = None,
        lease: int = LEASE,
        keep: bool = True,
    ) -> None:
        self.directory = directory
        self.keep = keep
        self.python = python
        self.lease = lease
        self.units = {unit: (name, host) for name, rules in applications.items() for unit, host in rules["units"].items()}
        self.machines = sorted(set(host for name, host in self.units.values()))
        self.ports = {unit: free_port() for unit in self.units}
        self.endpoint_port = free_port()
        self.url = "http://127.0.0.1:%d" % self.endpoint_port
        self.tokens: dict[str, str] = {}
        self.applications = {name: {**rules, **self._unit_rules()} for name, rules in applications.items()}
        self.variables = {"series_upgrade_target": NEW, **PACE, **(variables or {})}
        self.env = {**os.environ, MARK: str(directory)}
        self.inventory = directory / "inventory.json"
        self._guard: subprocess.Popen[bytes] | None = None

    # -- up and down ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Stage:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._guard = subprocess.Popen([sys.executable, __file__, "guard", str(self.directory)], stdin=subprocess.PIPE, start_new_session=True)
        try:
            self.start_endpoint()
            self._make_tokens({"operator": ["read", "pin"], "boss": ["read", "pin", "admin"], "units": ["read", "hold"]})
            self._build_machines()
            self.write_inventory()
            self.start_units()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *dummy: object) -> None:
        self.close()

    def close(self) -> None:
        """Returns when every process of the stage has ended. The guard does it, so that a killed maker makes no difference."""
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            if self.keep:
                guard.stdin.write(KEEP)
            guard.stdin.close()
            guard.wait()

    # -- the endpoint --------------------------------------------------------------------------------------------------------

    def start_endpoint(self) -> None:
        self._endpoint_process = self._spawn(
            self._lease_endpoint("serve", "--data-dir", self.directory / "endpoint", "--listen", "127.0.0.1:%d" % self.endpoint_port),
            self.directory / "endpoint.log",
        )
        try:
            until(self.endpoint_answers, "the lease endpoint answers at %s" % self.url)
        except TimeoutError as late:
            log = (self.directory / "endpoint.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError("%s. It said: %s" % (late, log[-2000:])) from None

    def endpoint_answers(self) -> bool:
        """False while it starts. Raises TimeoutError when it has ended instead."""
        if self._endpoint_process.poll() is not None:
            raise TimeoutError("the lease endpoint ended with %d" % self._endpoint_process.returncode)
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path: str, token: str = "operator") -> t.Any:
        """What the endpoint answers to GET /v1/PATH, decoded."""
        return self._call(path, token, None)

    def post(self, path: str, body: t.Mapping[str, t.Any], token: str = "operator") -> t.Any:
        """What the endpoint answers to POST /v1/PATH, decoded."""
        return self._call(path, token, json.dumps(body).encode())

    def _call(self, path: str, token: str, body: bytes | None) -> t.Any:
        headers = {"Lease-Protocol": "1", "Authorization": "Bearer " + self.tokens[token], "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request("%s/v1/%s" % (self.url, path), body, headers), timeout=10) as answer:
            return json.load(answer)

    def leases(self) -> dict[str, t.Any]:
        return {lease["application"]: lease for lease in self.ask("leases")["leases"]}

    # -- machines and units --------------------------------------------------------------------------------------------------

    def home(self, machine: str) -> pathlib.Path:
        return self.directory / machine

    def series(self, machine: str) -> str:
        return dict(line.split("=", 1) for line in (self.home(machine) / "os-release").read_text(encoding="utf-8").split())["VERSION_CODENAME"]

    def break_on(self, machine: str, series: str = NEW) -> pathlib.Path:
        """Makes the units of MACHINE ill on SERIES, until the returned file is removed."""
        path = self.home(machine) / ("broken-on-" + series)
        path.touch()
        return path

    def start_units(self) -> None:
        """The first unit of each application first, and the others when it leads: the demo's plan is the same every time."""
        for name, rules in self.applications.items():
            first, *others = rules["units"]
            self.unit(first, "start")
            until(lambda name=name, first=first: self.leases().get(name, {}).get("holder") == first, "%s leads %s" % (first, name))
            for unit in others:
                self.unit(unit, "start")

    def unit(self, unit: str, verb: str) -> None:
        subprocess.run(self._unit_command(unit, verb), env=self.env, check=True)

    def write_inventory(self, **variables: t.Any) -> None:
        hosts = {machine: self._host(machine) for machine in self.machines}
        shared = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "lease_endpoint_url": self.url,
            "lease_endpoint_token": self.tokens["operator"],
            "series_upgrade_applications": self.applications,
            "series_upgrade_method": "command",
            "series_upgrade_reboot": False,
            "series_upgrade_report_dir": str(self.directory / "reports"),
            "upgrade_watcher_service": "process",
            **self.variables,
            **variables,
        }
        self.inventory.write_text(json.dumps({"all": {"vars": shared, "hosts": hosts}}, indent=1), encoding="utf-8")
        self.inventory.chmod(0o600)

    def _host(self, machine: str) -> dict[str, t.Any]:
        home = self.home(machine)
        return {
            "upgrade_watcher_state_dir": str(home / "state"),
            "upgrade_watcher_runtime_dir": str(home / "run"),
            "upgrade_watcher_series_file": str(home / "os-release"),
            "series_upgrade_command": {"upgrade": self._rewrite(home, NEW), "rollback": self._rewrite(home, OLD)},
        }

    def _rewrite(self, home: pathlib.Path, series: str) -> str:
        text = os_release(series).replace("\n", "\\n")
        return "sleep 0.5; printf '%s' > %s/os-release.new && mv %s/os-release.new %s/os-release" % (text, home, home, home)

    def _build_machines(self) -> None:
        for machine in self.machines:
            self.home(machine).mkdir()
            (self.home(machine) / "os-release").write_text(os_release(OLD), encoding="utf-8")
        token_file = self.directory / "units.token"
        token_file.touch(0o600)
        token_file.write_text(self.tokens["units"], encoding="utf-8")
        for unit, (name, machine) in self.units.items():
            said = {
                "application": name,
                "unit": unit,
                "port": self.ports[unit],
                "url": self.url,
                "token_file": str(token_file),
                "hold": str(ENDPOINT / "lease_endpoint" / "hold.py"),
                "duration": self.lease,
                "series_file": str(self.home(machine) / "os-release"),
                "directory": str(self.home(machine)),
            }
            self._unit_file(unit).write_text(json.dumps(said), encoding="utf-8")

    def _unit_file(self, unit: str) -> pathlib.Path:
        return self.home(self.units[unit][1]) / (unit.replace("/", "-") + ".json")

    def _unit_command(self, unit: str, verb: str) -> list[str]:
        return [sys.executable, str(HERE / "unit.py"), verb, str(self._unit_file(unit))]

    def _unit_rules(self) -> dict[str, t.Any]:
        """The unit's own file knows its port, so one command serves as check for all units of an application."""
        command = "%s %s %%s %s/{machine}/{unit_name}.json" % (sys.executable, HERE / "unit.py", self.directory)
        check = {"name": "health of {unit}", "kind": "command", "command": command % "well", "timeout": 10}
        return {"drain": command % "stop", "resume": command % "start", "checks": [check]}

    # -- processes -----------------------------------------------------------------------------------------------------------

    def _lease_endpoint(self, *arguments: object) -> list[str]:
        return [self.python, "-m", "lease_endpoint"] + [str(argument) for argument in arguments]

    def _endpoint_env(self) -> dict[str, str]:
        return {**self.env, "PYTHONPATH": str(ENDPOINT)}

    def _make_tokens(self, scopes: t.Mapping[str, t.Sequence[str]]) -> None:
        """One process each, side by side: every one of them loads the endpoint's libraries first."""
        making = {}
        for name, wanted in scopes.items():
            command = self._lease_endpoint("token", "create", name, "--data-dir", self.directory / "endpoint")
            command += [word for scope in wanted for word in ("--scope", scope)]
            making[name] = subprocess.Popen(command, env=self._endpoint_env(), stdout=subprocess.PIPE, text=True)
        for name, process in making.items():
            self.tokens[name] = process.communicate()[0].strip()
            if process.returncode or not self.tokens[name]:
                raise RuntimeError("the lease endpoint made no token for %s" % name)

    def _spawn(self, command: list[str], log: pathlib.Path) -> subprocess.Popen[bytes]:
        with open(log, "ab") as stream:
            return subprocess.Popen(
                command, env=self._endpoint_env(), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )


def os_release(series: str) -> str:
    number = {OLD: 12, NEW: 13}[series]
    return "ID=debian\nVERSION_ID=%d\nVERSION_CODENAME=%s\n" % (number, series)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(seen: t.Callable[[], bool], what: str, patience: float = 30.0) -> None:
    """Returns when SEEN() is true. Raises TimeoutError saying WHAT did not come about."""
    end = time.monotonic() + patience
    while not seen():
        if time.monotonic() > end:
            raise TimeoutError("not within %d s: %s" % (patience, what))
        time.sleep(0.1)


def processes_of(directory: str) -> list[int]:
    """Processes, other than this one, that carry the mark of the stage in DIRECTORY, or of one below it."""
    mark = ("\0%s=%s" % (MARK, directory)).encode()
    found = []
    for path in pathlib.Path("/proc").iterdir():
        try:
            if path.name.isdigit() and int(path.name) != os.getpid() and mark in b"\0" + (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def end_processes(directory: str) -> None:
    """TERM, five seconds, KILL; again until none is left, for one may have been starting another."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0), (signal.SIGKILL, 5.0)):
        for pid in processes_of(directory):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        try:
            until(lambda: not processes_of(directory), "every process of the stage has ended", patience)
            return
        except TimeoutError:
            continue


def guard(directory: str) -> None:
    """Waits for the maker of the stage to close the pipe or to die, whichever comes first, and clears the stage away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keep = sys.stdin.buffer.read() == KEEP
    end_processes(directory)
    if not keep:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "guard":
        guard(sys.argv[2])
