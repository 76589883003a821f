# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doors of the three actions: options, variables, environment, results. What happens behind them is tested beside the rooms."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socketserver
import tempfile
import threading
import types

import pytest

from ansible.errors import AnsibleActionFail

from ansible_collections.leasehold.series_upgrade.plugins.action import turn, upgrade_plan, watcher_call
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _action_options
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._heartbeat import Orphaned
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._run_book import RunBook
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turn_file import TurnFile
from ansible_collections.leasehold.series_upgrade.tests.unit.plugins.plugin_utils.fake_endpoint import FakeEndpoint

APPLICATIONS = {"db": {"units": {"db/0": "m1", "db/1": "m2"}}}
OLD = {"series": "bookworm", "marker": None, "problems": []}
PROOF = {"state": "COMMITTED", "series": "trixie", "source_series": "bookworm"}


def _connection(name):
    return types.SimpleNamespace(transport=name, ansible_name=name, get_option=lambda option: None, _shell=types.SimpleNamespace(tmpdir="/tmp"))


class Play:
    """Runs actions as a playbook would: hosts with variables, and localhost's facts for all to see."""

    def __init__(self, endpoint, connection=None):
        self.endpoint = endpoint
        self.connection = connection or _connection("local")
        self.hostvars = {host: {"__preflight_facts": dict(OLD)} for host in ("m1", "m2", "spare")}
        self.hostvars["localhost"] = {}
        self.check = False

    def run(self, action, host="localhost", **args):
        task = types.SimpleNamespace(args={"endpoint_url": "http://127.0.0.1:1", **args}, check_mode=self.check, async_val=0, action="x", diff=False)
        templar = types.SimpleNamespace(template=lambda value: value)
        module = action.ActionModule(task, self.connection, types.SimpleNamespace(), None, templar, None)
        variables = {**self.hostvars[host], "inventory_hostname": host, "hostvars": self.hostvars, "groups": {"all": ["m1", "m2", "spare"]}}
        return module.run(None, variables)

    def plan(self, **args):
        result = self.run(upgrade_plan, **{"applications": APPLICATIONS, "target": "trixie", **args})
        self.hostvars["localhost"].update(result.get("ansible_facts", {}))
        return result


@pytest.fixture
def play(monkeypatch, tmp_path):
    endpoint = FakeEndpoint(db="db/0")
    monkeypatch.setattr(_action_options, "client", lambda values: endpoint)
    monkeypatch.setattr(upgrade_plan.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(upgrade_plan.context, "CLIARGS", {"subset": None})
    monkeypatch.setattr(turn.context, "CLIARGS", {"forks": 5})
    return Play(endpoint)


def test_a_plan_names_hosts_in_order_and_where_its_book_is(play, capsys):
    facts = play.plan()["ansible_facts"]["series_upgrade_plan"]
    assert facts["hosts"] == ["m2", "m1"] and facts["run"] == "to-trixie" and facts["skipped"] == {}
    assert "db/0" in capsys.readouterr().out, "the tree is shown"
    with open(facts["turn_file"], encoding="utf-8") as file:
        assert json.load(file)["session"] == facts["session"]
    assert set(play.endpoint.calls) <= {"whoami", "leases"}, "planning changes nothing"


def test_a_plan_says_what_a_pin_means_where_the_leadership_lives_elsewhere(play, capsys):
    assert play.plan()["ansible_facts"]["series_upgrade_plan"]["pins"] == {}
    elsewhere = {"scope": "cluster", "notes": ["it pauses the cluster"]}
    play.endpoint.all["db"] = dataclasses.replace(play.endpoint.all["db"], provider="patroni", capabilities=elsewhere)
    assert play.plan()["ansible_facts"]["series_upgrade_plan"]["pins"] == {"db": "led by patroni; it pauses the cluster"}
    assert "db: led by patroni; it pauses the cluster" in capsys.readouterr().out
    assert play.plan(pin=False)["ansible_facts"]["series_upgrade_plan"]["pins"] == {}


def test_no_secret_gets_into_the_book_or_the_result(play):
    facts = play.plan(endpoint_token="s3cr3t")
    with open(facts["ansible_facts"]["series_upgrade_plan"]["turn_file"], encoding="utf-8") as file:
        assert "s3cr3t" not in file.read()
    assert "s3cr3t" not in json.dumps(facts, default=str)


def test_a_machine_on_the_target_is_skipped_and_said_so(play):
    play.hostvars["m2"]["__preflight_facts"]["series"] = "trixie"
    result = play.plan()
    assert result["ansible_facts"]["series_upgrade_plan"]["skipped"] == {"m2": "is already on trixie"}
    assert result["ansible_facts"]["series_upgrade_plan"]["hosts"] == ["m1"] and "m2 is already on trixie, skipped" in result["msg"]


def test_a_machine_that_did_not_answer_fails_with_its_applications(play):
    play.hostvars["m2"]["__preflight_facts"] = {"unreachable": True}
    result = play.plan()
    assert result["failed"] and result["kind"] == "blocked" and "m2 is unreachable" in result["msg"]


@pytest.mark.parametrize("args, kind, sentence", [
    ({"target": 13}, "invalid", "no text"),
    ({"scope": ["dbb"]}, "invalid", "dbb is neither"),
    ({"applications": {"db": {"units": {"db/0": "m1", "db/1": "m9"}}}}, "invalid", "m9, which is no host of the inventory"),
    ({"applications": {"nosuch": {"units": {"n/0": "m1", "n/1": "m2"}}}}, "invalid", "nosuch has no leader"),
    ({"applications": {}}, "invalid", "series_upgrade_applications is empty, so there is nothing to plan"),
    ({"applications": {"db": {"unit": {}}}}, "invalid", "an option unit, which does not exist"),
])
def test_bad_input_is_one_sentence_and_a_kind(play, args, kind, sentence):
    result = play.plan(**args)
    assert result["failed"] and result["kind"] == kind and sentence in result["msg"]
    assert "pin" not in play.endpoint.calls


def test_an_endpoint_that_does_not_answer_refuses_the_plan(play):
    play.endpoint.silent = True
    assert play.plan()["kind"] == "unreachable"


UPGRADED = {"series": "trixie", "marker": {"state": "COMMITTED", "run": "to-trixie", "source_series": "bookworm", "target_series": "trixie"}, "problems": []}


def test_way_back_without_the_endpoint_is_refused_with_the_option_that_allows_it(play):
    play.hostvars["m1"]["__preflight_facts"] = play.hostvars["m2"]["__preflight_facts"] = UPGRADED
    play.endpoint.silent = True
    refused = play.plan(purpose="rollback")
    assert refused["kind"] == "unreachable" and refused["msg"].endswith("-e series_upgrade_pin=false.")
    assert "series_upgrade_pin" not in play.plan()["msg"], "an upgrade may wait for the endpoint"
    assert play.plan(pin=False)["kind"] == "unreachable", "and is refused whether it pins or not"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", None])
def test_machines_go_back_without_the_endpoint_when_leaders_may_change(play, url):
    play.hostvars["m1"]["__preflight_facts"] = play.hostvars["m2"]["__preflight_facts"] = UPGRADED
    play.endpoint.silent = True
    planned = play.plan(purpose="rollback", pin="false", endpoint_url=url)
    assert planned["ansible_facts"]["series_upgrade_plan"]["hosts"] == ["m1", "m2"], planned
    back = {"state": "ROLLED_BACK", "series": "bookworm", "source_series": "bookworm"}
    assert play.run(turn, "m1", state="take", endpoint_url=url)["turn"] == "go"
    assert RunBook(TurnFile(planned["ansible_facts"]["series_upgrade_plan"]["turn_file"]).read()).decide("m2").kind == "wait", "min_healthy is kept"
    for host in ("m1", "m2"):
        assert play.run(turn, host, state="take", endpoint_url=url)["turn"] == "go"
        assert play.run(turn, host, state="give", proof=back, endpoint_url=url)["turn"] == "done"
    closed = play.run(turn, state="close", endpoint_url=url)
    assert not closed.get("failed") and closed["applications"]["db"]["leadership_changes"] is None, "nobody has looked"
    assert play.endpoint.calls == []


def test_turns_pin_unpin_and_report(play):
    play.plan()
    taken = play.run(turn, "m2", state="take")
    assert taken["turn"] == "go" and taken["changed"] and taken["applications"]["db"]["pinned"] and taken["spec"]["machine"] == "m2"
    assert play.run(turn, "m2", state="give", proof={**PROOF, "machine": "m2"})["turn"] == "done"
    play.run(turn, "m1", state="take")
    given = play.run(turn, "m1", state="give", proof=PROOF)
    assert given["unpinned"] == {"db": 0} and not given.get("failed")
    closed = play.run(turn, state="close")
    assert closed["machines"] == {"m1": {"state": "done", "why": ""}, "m2": {"state": "done", "why": ""}}
    assert closed["applications"]["db"]["leadership_changes"] == 0 and not closed["applications"]["db"]["pinned"] and not closed.get("failed")


@pytest.mark.parametrize("args, why", [
    ({}, "m2 gave no proof"), ({"reason": "the drain failed"}, "the drain failed"),
    ({"proof": {"state": "HELD"}, "reason": "said"}, "m2 is HELD and not committed (said)"),
    ({"proof": {"state": "ROLLED_BACK", "reason": "ill"}, "reason": "m2 is ROLLED_BACK: ill"}, "m2 is ROLLED_BACK and not committed: ill"),
])
def test_a_turn_given_back_without_proof_fails_and_halts_the_next(play, args, why):
    play.plan()
    play.run(turn, "m2", state="take")
    given = play.run(turn, "m2", state="give", **args)
    assert given["failed"] and given["kind"] == "no_proof" and given["msg"].endswith(why) or given["msg"].startswith(why)
    halted = play.run(turn, "m1", state="take")
    assert halted["failed"] and halted["kind"] == "halted" and "m2 did not get through" in halted["msg"]
    assert not play.run(turn, "m1", state="give").get("failed"), "its failure was told already"
    assert play.endpoint.all["db"].pins


def test_machine_that_waits_for_its_turn_goes_no_more_when_its_playbook_has_died(play, monkeypatch):
    """Otherwise it would pin for a run that another controller has finished since."""
    play.plan()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(Orphaned):
        play.run(turn, "m2", state="take")
    assert not play.endpoint.all["db"].pins


def test_an_orderly_end_lets_the_next_execution_in_at_once(play):
    play.plan()
    play.run(turn, "m2", state="take")
    play.run(turn, "m2", state="give")
    play.run(turn, "m1", state="take")
    play.run(turn, "m1", state="give")
    assert "failed" not in play.plan()


def test_a_host_that_ansible_dropped_is_failed_at_the_close(play):
    play.plan()
    play.run(turn, "m2", state="take")
    closed = play.run(turn, state="close")
    assert closed["machines"]["m2"] == {"state": "failed", "why": "it never gave its turn back"} and closed["machines"]["m1"]["state"] == "halted"
    assert closed["applications"]["db"]["pinned"]


def test_pins_of_an_execution_that_died_before_its_unpin_are_taken_off(play):
    play.plan()
    play.run(turn, "m2", state="take")
    play.endpoint.now += 61
    for host in ("m1", "m2"):
        play.hostvars[host]["__preflight_facts"]["series"] = "trixie"
    assert play.plan()["ansible_facts"]["series_upgrade_plan"]["hosts"] == []
    assert play.run(turn, state="close")["unpinned"] == {"db": 0} and not play.endpoint.all["db"].pins


def test_waiting_too_long_is_told_with_the_reason(play, monkeypatch):
    play.plan()
    result = play.run(turn, "m1", state="take", timeout=0)
    assert result["kind"] == "timeout" and "m2 goes first" in result["msg"]


def test_forks_that_are_too_few_are_told(play, monkeypatch):
    monkeypatch.setattr(turn.context, "CLIARGS", {"forks": 1})
    play.plan()
    result = play.run(turn, "m1", state="take")
    assert result["kind"] == "forks" and "raise forks to 2" in result["msg"]


def test_check_mode_pins_nothing(play):
    play.check = True
    play.plan()
    for host in ("m2", "m1"):
        assert play.run(turn, host, state="take")["turn"] == "go"
        assert play.run(turn, host, state="give")["turn"] == "done"
    assert not play.run(turn, state="close")["changed"] and set(play.endpoint.calls) <= {"whoami", "leases"}


def test_a_turn_without_plan_says_what_to_run_first(play):
    assert "run upgrade_plan for localhost first" in play.run(turn, "m1", state="take")["msg"]


def test_a_host_outside_the_plan_is_told_so(play):
    play.plan()
    assert "spare has no turn in this plan" in play.run(turn, "spare", state="take")["msg"]


def test_an_unknown_option_is_refused(play):
    with pytest.raises(AnsibleActionFail):
        play.run(turn, "m1", state="borrow")


def test_the_endpoint_is_found_in_variables_before_the_environment(monkeypatch):
    monkeypatch.setenv("LEASE_ENDPOINT_URL", "http://environment")
    action = upgrade_plan.ActionModule(
        types.SimpleNamespace(args={"applications": {}, "target": "trixie"}), None, None, None, types.SimpleNamespace(template=lambda value: value), None)
    values = _action_options.options(action, upgrade_plan.OPTIONS, {"lease_endpoint_url": "http://variable"})
    assert values["endpoint_url"] == "http://variable"
    action._task.args = {"applications": {}, "target": "trixie"}
    assert _action_options.options(action, upgrade_plan.OPTIONS, {})["endpoint_url"] == "http://environment"


# -- watcher_call ------------------------------------------------------------------------------------------------------------


class Watcher(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            request = json.loads(line)
            if request["do"] == "status":
                answer = {"state": self.server.state, "series": "trixie", "machine": "m1", "upgrade_id": "u1", "seq": 0, "history": []}
            else:
                self.server.heard.append(request["do"])
                self.server.state = {"upgrade": "COMMITTED", "rollback": "ROLLED_BACK"}[request["do"]]
                answer = {"result": "accepted"}
            self.wfile.write(json.dumps({"v": 1, "ok": True, **answer}).encode() + b"\n")


@pytest.fixture
def watcher():
    directory = tempfile.mkdtemp(prefix="wc-", dir="/tmp")
    server = socketserver.ThreadingUnixStreamServer(directory + "/control.sock", Watcher)
    server.daemon_threads = True
    server.state, server.heard, server.directory = "ARMED", [], directory
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
    shutil.rmtree(directory)


def test_a_local_machine_is_reached_by_its_socket(play, watcher):
    play.hostvars["m1"]["upgrade_watcher_runtime_dir"] = watcher.directory
    assert play.run(watcher_call, "m1", do="status")["state"] == "ARMED"
    result = play.run(watcher_call, "m1", do="upgrade")
    assert result["changed"] and result["status"]["state"] == "COMMITTED" and watcher.heard == ["upgrade"]
    assert not play.run(watcher_call, "m1", do="upgrade")["changed"], "it is done"


def test_check_mode_asks_and_sends_nothing(play, watcher):
    play.check = True
    result = play.run(watcher_call, "m1", do="upgrade", control_socket=watcher.directory + "/control.sock")
    assert result["changed"] and "would be asked to upgrade" in result["msg"] and watcher.heard == []


def test_nobody_at_the_socket_is_a_failure_and_not_unreachable(play, tmp_path):
    result = play.run(watcher_call, "m1", do="status", control_socket=str(tmp_path / "none.sock"))
    assert result["failed"] and result["kind"] == "no_watcher" and "unreachable" not in result, "Ansible would drop the host and its always"


@pytest.fixture
def without_watcher(play, tmp_path, monkeypatch):
    """Asks a machine at whose socket nobody is; a stand-in of its shell keeps the scripts and says how they end."""
    def ask(do, code=0, said="", **args):
        scripts, ended = [], {"rc": code, "stdout": said}
        monkeypatch.setattr(watcher_call.ActionModule, "_low_level_execute_command", lambda self, script: scripts.append(script) or ended)
        result = play.run(watcher_call, "m1", do=do, control_socket=str(tmp_path / "none.sock"), **args)
        assert result["failed"] and result["kind"] == "no_watcher" and not result["changed"], result
        return result["msg"], scripts
    monkeypatch.setattr(watcher_call, "FIRST_ANSWER", 0.0)
    return ask


@pytest.mark.parametrize("do", ["rollback", "abort", "hold"])
@pytest.mark.parametrize("code, told", [
    (1, "no room"), (3, "not armed"), (4, "could not be left there either: no room"), (5, "may not enter /var/lib/series-upgrade"),
])
def test_brake_is_left_for_the_next_watcher_and_what_hinders_that_is_told(without_watcher, do, code, told):
    """C9"""
    said, scripts = without_watcher(do, code, "no room")
    assert told in said and len(scripts) == 1 and (do + " --state-dir=") in scripts[0]
    assert ("no room" in said) == (code in (1, 4)), "a machine that was never armed is told as that"


@pytest.mark.parametrize("do", ["upgrade", "drain", "commit", "resume", "extend", "expect_disruption", "clean"])
def test_what_lets_a_machine_go_on_is_not_left_for_a_watcher_that_nobody_has_seen(without_watcher, do):
    said, scripts = without_watcher(do, seconds=1, reason="a word")
    assert scripts == [] and "Start it and ask again; only rollback, abort, hold are left there for the next one." in said


def test_brake_whose_upgrade_must_be_compared_is_not_left(without_watcher):
    said, scripts = without_watcher("hold", upgrade_id="to-trixie/m1/1")
    assert scripts == [] and "no watcher answers" in said


def test_a_socket_path_that_is_too_long_is_told(play):
    result = play.run(watcher_call, "m1", do="upgrade", control_socket="/run/" + "x" * 120)
    assert result["kind"] == "invalid" and "shorter upgrade_watcher_runtime_dir" in result["msg"]


def test_a_connection_that_carries_no_socket_is_told(play):
    play.connection = _connection("winrm")
    assert "use ssh or local" in play.run(watcher_call, "m1", do="status")["msg"]


def test_the_connection_variables_of_the_host_make_the_target(play):
    options = {
        "host": "192.0.2.1", "port": 2222, "remote_user": "root", "private_key_file": "~/key", "ssh_executable": "ssh", "timeout": 7,
        "ssh_args": "-C -o ControlMaster=auto -o ControlPersist=60s", "ssh_common_args": "-o UserKnownHostsFile=/k -oControlPath=/x", "ssh_extra_args": "",
        "host_key_checking": True, "password": None,
    }
    play.connection = types.SimpleNamespace(transport="ssh", ansible_name="ansible.builtin.ssh", get_option=options.__getitem__)
    task = types.SimpleNamespace(args={}, check_mode=False, async_val=0)
    target, transport = watcher_call.ActionModule(task, play.connection, None, None, None, None)._target("m1", "auto")
    assert (target.host, target.port, target.user, target.timeout, transport) == ("192.0.2.1", 2222, "root", 7.0, "auto")
    assert target.ssh_args == ("-C", "-o", "UserKnownHostsFile=/k") and not target.key_file.startswith("~")
