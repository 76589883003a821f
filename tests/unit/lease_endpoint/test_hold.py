# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hold.py as it is used: real processes, a real endpoint, short leases."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time

import pytest

from lease_endpoint.tokens import Tokens, write_secret
from tests.contract.endpoint import HOLD, Endpoint, environment, until

DURATION = 2.0


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    running = Endpoint(tmp_path_factory.mktemp("hold"))
    running.start()
    yield running
    running.stop()


class Units:
    """The hold processes of one application. COMMAND takes a lock that only one may have, so two leaders are seen at once."""

    def __init__(self, endpoint, application, directory):
        self.endpoint, self.application, self.directory = endpoint, application, directory
        self.running = []
        self.duration = DURATION

    def start(self, unit, *command, keep=False, token_file=None):
        command = command or ("flock", "-n", "-F", str(self.directory / "leading"), "sh", "-c", f"echo {unit} $LEASE_TERM >> led; exec sleep 60")
        argv = [sys.executable, str(HOLD), self.application, "--holder", unit, "--url", self.endpoint.url, "--duration", str(self.duration)]
        argv += ["--state-file", str(self.directory / ("state-" + unit.replace("/", "-")))] if keep else []
        argv += ["--token-file", str(token_file)] if token_file else []
        env = dict(environment(), **({} if token_file else {"LEASE_ENDPOINT_TOKEN": self.endpoint.tokens["admin"]}))
        with open(self.directory / "said", "a", encoding="utf-8") as said:
            process = subprocess.Popen([*argv, "--", *command], env=env, stderr=said, stdout=said, cwd=self.directory)
        self.running.append(process)
        return process

    def led(self):
        path = self.directory / "led"
        return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []

    def leads(self, line, seconds=10.0):
        until(lambda: line in self.led(), seconds)

    def said(self):
        return (self.directory / "said").read_text(encoding="utf-8")

    def free(self):
        """Whether no COMMAND of any unit runs."""
        return subprocess.run(["flock", "-n", str(self.directory / "leading"), "true"], check=False).returncode == 0

    def end(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.fixture
def units(endpoint, tmp_path, request):
    made = Units(endpoint, request.node.name.replace("[", "-").replace("]", "")[:100], tmp_path)
    yield made
    made.end()
    assert until(made.free), "a COMMAND outlived its hold"


def test_hold_is_one_file_that_python_3_8_reads():
    tree = ast.parse(HOLD.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.split(".")[0] not in sys.stdlib_module_names]


def test_only_the_leader_runs_and_a_resignation_hands_on_at_once(units):
    first = units.start("u/0")
    units.leads("u/0 1")
    second = units.start("u/1")
    until(lambda: "u/1 waits" in units.said())
    first.terminate()
    assert first.wait(10) == 0
    units.leads("u/1 2")
    second.terminate()
    assert second.wait(10) == 0
    history = units.endpoint.call("GET", f"/v1/history?application={units.application}").body["history"]
    assert [entry["verb"] for entry in history] == ["resign", "claim", "resign", "claim"]
    assert units.led() == ["u/0 1", "u/1 2"]


def test_command_dies_with_its_killed_hold(units):
    process = units.start("u/0")
    units.leads("u/0 1")
    process.kill()
    until(units.free, DURATION)


@pytest.mark.parametrize("hangs", ["endpoint", "hold"])
def test_command_that_ignores_sigterm_is_ended_in_time_when_something_hangs(units, hangs):
    units.duration = 4.0  # a busy box may be some tenths of a second late
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('led', 'a').write('u/0 1\\n'); time.sleep(60)"
    process = units.start("u/0", "flock", "-n", "-F", str(units.directory / "leading"), sys.executable, "-c", stubborn)
    units.leads("u/0 1")
    renewed = units.endpoint.lease(units.application)["renewed_at"]
    until(lambda: units.endpoint.lease(units.application)["renewed_at"] > renewed)
    pid = units.endpoint.pid if hangs == "endpoint" else process.pid
    os.kill(pid, signal.SIGSTOP)
    silent = time.monotonic()
    try:
        until(units.free, units.duration + 1)
        assert time.monotonic() - silent < units.duration
    finally:
        os.kill(pid, signal.SIGCONT)


def test_pinned_unit_resumes_its_own_term_after_a_restart(units):
    first = units.start("u/0", keep=True)
    units.leads("u/0 1")
    units.start("u/1")
    units.endpoint.pin(units.application)
    first.terminate()
    assert first.wait(10) == 0
    assert "keeps the leadership" in units.said()
    until(lambda: units.endpoint.lease(units.application)["overdue"])
    units.start("u/0", keep=True)
    until(lambda: units.led() == ["u/0 1", "u/0 1"])
    assert units.endpoint.unpin(units.application)["changed"] is True
    assert units.endpoint.lease(units.application)["term"] == 1


def test_transfer_stops_the_earlier_leader_before_the_next_starts(units):
    units.start("u/0")
    units.leads("u/0 1")
    units.start("u/1")
    until(lambda: "u/1 waits" in units.said())
    assert units.endpoint.transfer(units.application, "u/1").status == 200
    units.leads("u/1 2", DURATION * 2)
    assert units.endpoint.lease(units.application)["handover"] is None


def test_never_two_leaders_while_everything_is_killed(units):
    names = ("u/0", "u/1", "u/2")
    running = {unit: units.start(unit) for unit in names}
    for done in range(4):
        leader = until(lambda seen=done: units.led()[seen:], 15)[-1].split()[0]
        if done == 1:
            units.endpoint.restart()
        running[leader].kill()
        running[leader].wait(10)
        if done % 2:  # the others must find out by themselves; else it comes back before its lease has passed
            until(lambda seen=done: units.led()[seen + 1:], 15)
        running[leader] = units.start(leader)
    until(lambda: len(units.led()) >= 5, 15)
    assert [process.poll() for process in running.values()] == [None] * 3, "a COMMAND found the lock taken: " + units.said()
    terms = [int(line.split()[1]) for line in units.led()]
    assert terms == sorted(terms) and terms[-1] >= 3


@pytest.mark.parametrize("command, code", [(("sh", "-c", "exit 7"), 7), (("no-such-command",), 127), (("sh", "-c", "kill -9 $$"), 137)])
def test_command_that_ends_by_itself_gives_its_code_and_the_leadership_up(units, command, code):
    assert units.start("u/0", *command).wait(10) == code
    assert units.endpoint.lease(units.application)["holder"] is None


def test_wrong_token_and_wrong_use_end_with_one_sentence(units, endpoint):
    env = dict(environment(), LEASE_ENDPOINT_TOKEN="nonsense")
    argv = [sys.executable, "-m", "lease_endpoint", "hold", "db", "--holder", "u/0", "--url", endpoint.url]
    wrong = subprocess.run([*argv, "--", "true"], env=env, capture_output=True, text=True, timeout=20, check=False)
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1 and "not known here" in wrong.stderr
    assert "-- COMMAND" in subprocess.run(argv, env=env, capture_output=True, text=True, timeout=20, check=False).stderr


def test_hold_leads_on_while_its_token_is_rotated(units, endpoint):
    tokens = Tokens(endpoint.directory / "data/tokens.json", endpoint.wall)
    token_file = units.directory / "token"
    write_secret(token_file, tokens.create("machine", ["hold"], units=[units.application + "=u/0"]) + "\n")
    process = units.start("u/0", token_file=token_file)
    units.leads("u/0 1")
    write_secret(token_file, tokens.rotate("machine", overlap=60) + "\n")
    endpoint.step_wall_clock(61)
    try:
        worthless = time.monotonic()
        until(lambda: time.monotonic() > worthless + DURATION and endpoint.lease(units.application)["expires_in"] > DURATION / 2)
        assert process.poll() is None and units.led() == ["u/0 1"]
    finally:
        endpoint.step_wall_clock(-61)


@pytest.mark.parametrize("url", ["http://192.0.2.1:8470", "http://leases.example:8470", "http://[2001:db8::1]:8470", "http://127.example"])
def test_hold_sends_no_token_in_the_clear(url):
    argv = [sys.executable, str(HOLD), "db", "--holder", "db/0", "--url", url, "--", "true"]
    refused = subprocess.run(argv, env=dict(environment(), LEASE_ENDPOINT_TOKEN="x"), text=True, capture_output=True, timeout=30, check=False)
    assert refused.returncode == 2 and "in the clear" in refused.stderr and len(refused.stderr.splitlines()) == 1
