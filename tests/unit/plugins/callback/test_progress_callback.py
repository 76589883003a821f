# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback prints whole lines where lines are kept, and draws only on a terminal."""

from __future__ import annotations

import io
import threading
import types

import pytest
import yaml

from ansible_collections.leasehold.series_upgrade.plugins.callback import progress
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._plan import MachineState, plan
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._run_book import RunBook, opening
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turn_file import TurnFile


@pytest.fixture
def book(tmp_path):
    made = plan({"db": {"units": {"db/0": "m1", "db/1": "m2"}}}, {"db": "db/0"}, {"m1": MachineState(), "m2": MachineState()}, target="trixie")
    return TurnFile.create(str(tmp_path / "book"), opening(made, "trixie", "to-trixie", "here:1:a", "ops/to-trixie", True, 3600, False, 1))


class Screen:
    """Takes the place of Ansible's display."""

    def __init__(self):
        self.lines = []
        self._lock = threading.RLock()

    def display(self, line, **dummy):
        self.lines.append(line)


@pytest.fixture
def callback():
    plugin = progress.CallbackModule()
    plugin._display = Screen()
    plugin.options = {"display": "lines"}
    plugin.get_option = plugin.options.get
    return plugin


def result(action, told=None):
    task = types.SimpleNamespace(resolved_action="leasehold.series_upgrade." + action, action=action)
    return types.SimpleNamespace(task=task, result=told or {"changed": False})


def planned(book, hosts=("m2", "m1")):
    return result("upgrade_plan", {"ansible_facts": {"series_upgrade_plan": {"turn_file": book.path, "hosts": list(hosts)}}})


def test_it_is_an_aggregate_that_must_be_enabled_and_draws_by_itself_unless_told_otherwise():
    documented = yaml.safe_load(progress.DOCUMENTATION)
    assert documented["type"] == progress.CallbackModule.CALLBACK_TYPE == "aggregate" and progress.CallbackModule.CALLBACK_NEEDS_ENABLED
    assert documented["options"]["display"]["default"] == "auto"


def test_a_line_is_printed_when_a_turn_has_changed_something(callback, book):
    callback.v2_runner_on_ok(planned(book))
    with book.edit() as content:
        RunBook(content).begin("m2")
    callback.v2_runner_on_ok(result("turn"))
    callback.v2_runner_on_ok(result("turn"))
    assert callback._display.lines == ["progress: db: not pinned yet, db/0 leads | at work m2 has its turn | next m1"], "once, and no more"


def test_a_failed_turn_is_told_as_well(callback, book):
    callback.v2_runner_on_ok(planned(book))
    with book.edit() as content:
        RunBook(content).begin("m2")
        RunBook(content).give("m2", False, "ill")
    callback.v2_runner_on_failed(result("turn"))
    assert "m2 failed: ill" in callback._display.lines[0]


def test_other_tasks_and_other_collections_are_none_of_its_business(callback, book):
    callback.v2_runner_on_ok(planned(book))
    callback.v2_runner_on_ok(types.SimpleNamespace(task=types.SimpleNamespace(resolved_action="ansible.builtin.debug", action="debug"), result={}))
    callback.v2_runner_on_ok(types.SimpleNamespace(task=types.SimpleNamespace(resolved_action="other.collection.turn", action="turn"), result={}))
    assert callback._display.lines == []


def test_none_is_silent(callback, book):
    callback.options["display"] = "none"
    callback.v2_runner_on_ok(planned(book))
    callback.v2_runner_on_ok(result("turn"))
    assert callback._display.lines == []


def test_a_book_that_is_gone_ends_nothing(callback, book, tmp_path):
    callback.v2_runner_on_ok(planned(TurnFile(str(tmp_path / "gone"))))
    callback.v2_runner_on_ok(result("turn"))
    assert callback._display.lines == []


@pytest.mark.parametrize("terminal, environment, live", [
    (True, {"TERM": "xterm"}, True),
    (True, {"TERM": "xterm", "ANSIBLE_STDOUT_CALLBACK": "awx_display"}, False),
    (True, {"TERM": "dumb"}, False),
    (True, {}, False),
    (False, {"TERM": "xterm"}, False),
])
def test_it_draws_on_terminals_alone_and_never_in_awx(monkeypatch, terminal, environment, live):
    for name in ("TERM", "ANSIBLE_STDOUT_CALLBACK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(progress.sys, "stdout", types.SimpleNamespace(isatty=lambda: terminal))
    assert progress._on_terminal() is live


def test_the_live_table_is_drawn_and_taken_away_again(callback, book, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(progress.sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "REDRAW", 0.01)
    callback.options["display"] = "live"
    callback.v2_runner_on_ok(planned(book))
    table = callback._table
    assert table is not None
    for dummy in range(500):
        if "db/0 leads" in screen.getvalue():
            break
        table._over.wait(0.01)
    assert "db/0 leads" in screen.getvalue()
    callback.v2_playbook_on_stats(None)
    assert not table._thread.is_alive() and callback._table is None
    assert callback._display.lines == ["progress: db: not pinned yet, db/0 leads | next m2, m1"], "what stays is a line"
