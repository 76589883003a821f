# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease modules as a person meets them: the examples of their documentation, run by ansible-playbook against a real endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from ansible_collections.leasehold.series_upgrade.plugins.modules import lease_info, lease_pin, lease_transfer
from tests.contract.endpoint import Endpoint

PATIENCE = 120


@pytest.fixture(name="endpoint", scope="module")
def endpoint_(tmp_path_factory):
    running = Endpoint(tmp_path_factory.mktemp("endpoint"))
    running.start()
    running.token("control1", "pin")
    running.token("reader", "read")
    yield running
    assert running.stop() == 0


@pytest.fixture(name="leases")
def leases_(endpoint):
    """db is led by db/0, db/1 would like to, queue is led by queue/0, and nobody has pinned them."""
    holders = {"db": "db/0", "queue": "queue/0"}
    for pin in endpoint.call("GET", "/v1/pins").body["pins"]:
        endpoint.call("POST", "/v1/unpin", {"items": [{"application": pin["application"]}], "pinner": pin["pinner"], "reason": "next test"})
    endpoint.pass_time(1000)   # longer than any lease lasts here, so that all are free again
    for application, holder in holders.items():
        assert endpoint.claim(application, holder, 300).status == 200
    assert endpoint.claim("db", "db/1", 300).kind == "denied"
    return holders


@pytest.fixture(name="play")
def play_(endpoint, tmp_path):
    """Runs tasks on localhost, in one play, with the connection given once; returns what each task answered, in order."""
    def play(*tasks, arguments=(), fails=False):
        book = tmp_path / "play.yml"
        connection = {"endpoint_url": endpoint.url, "endpoint_token": endpoint.tokens["control1"]}
        book.write_text(yaml.safe_dump([{
            "hosts": "localhost", "gather_facts": False, "module_defaults": {"group/leasehold.series_upgrade.endpoint": connection},
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}, "tasks": list(tasks),
        }]), encoding="utf-8")
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LEASE_ENDPOINT_", "ANSIBLE_"))}
        ran = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", str(book), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False,
            env={**env, "ANSIBLE_STDOUT_CALLBACK": "leasehold_answers", "ANSIBLE_CALLBACK_PLUGINS": str(tmp_path / "callbacks"),
                 "ANSIBLE_LOCALHOST_WARNING": "False"})
        assert (ran.returncode == 0) is not fails, ran.stdout + ran.stderr
        assert endpoint.tokens["control1"] not in ran.stdout + ran.stderr, "a token was shown"
        return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]

    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks/leasehold_answers.py").write_text(CALLBACK, encoding="utf-8")
    return play


CALLBACK = """
import json
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = '''
name: leasehold_answers
type: stdout
short_description: One line of JSON for each task
description: For tests.
'''


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "leasehold_answers"

    def v2_runner_on_ok(self, result):
        print(json.dumps(result.result, default=str))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result)
"""


def examples(module):
    return yaml.safe_load(module.EXAMPLES)


def foretell(tasks):
    """The same tasks in check mode."""
    return [{**task, "check_mode": True} for task in tasks]


def pinners(endpoint, application):
    return [pin["pinner"] for pin in endpoint.lease(application)["pins"]]


def test_examples_of_lease_info_run(play, leases):
    found, proved = play(*examples(lease_info))
    assert found["leases"]["db"]["holder"] == "db/0" and not found["changed"] and proved["msg"] == "All assertions passed"


def test_examples_of_lease_pin_freeze_and_let_go(play, leases, endpoint):
    freeze, let_go = examples(lease_pin)
    again, over = dict(freeze, name="Again"), dict(let_go, name="Again")
    answers = play(freeze, again, let_go, over)
    assert [answer["changed"] for answer in answers] == [True, False, True, False]
    for application in leases:
        assert [pin["pinner"] for pin in answers[1]["leases"][application]["pins"]] == ["control1/rack-move"]
        assert pinners(endpoint, application) == []
    assert answers[0]["leases"]["db"]["pins"][0]["reason"] == "Moving racks 3 and 4"


def test_examples_of_lease_transfer_move_the_leader_once(play, leases, endpoint):
    before = endpoint.lease("db")["term"]
    first, second = play(*examples(lease_transfer), dict(examples(lease_transfer)[0], name="Again"))
    assert (first["changed"], second["changed"]) == (True, False)
    lease = endpoint.lease("db")
    assert (lease["holder"], lease["term"]) == ("db/1", before + 1)


def test_check_mode_and_diff_foretell_what_is_done_then(play, leases, endpoint):
    tasks = [examples(lease_pin)[0], *examples(lease_transfer)]
    tasks[1]["leasehold.series_upgrade.lease_transfer"]["run"] = "rack-move"
    answers = play(*foretell(tasks), *tasks, *foretell(tasks), arguments=["--diff"])
    foretold, done, after = answers[:2], answers[2:4], answers[4:]
    assert [answer["changed"] for answer in done] == [True, True], "what was foretold was not done before its time"
    assert [(answer["changed"], answer["diff"]) for answer in foretold] == [(answer["changed"], answer["diff"]) for answer in done]
    assert [answer["changed"] for answer in after] == [False, False]


def test_refusals_in_check_mode_are_those_of_the_endpoint(play, leases, endpoint):
    endpoint.pin("db", "other")
    tasks = [
        {"name": "Pin alone", "leasehold.series_upgrade.lease_pin": {"applications": ["db"], "run": "move", "exclusive": True}},
        {"name": "Pin what nobody leads", "leasehold.series_upgrade.lease_pin": {"applications": ["queue", "nobody-knows"], "run": "move"}},
        {"name": "Move to a stranger", "leasehold.series_upgrade.lease_transfer": {"application": "queue", "to": "queue/7", "run": "move"}},
        {"name": "Move what is pinned", "leasehold.series_upgrade.lease_transfer": {"application": "db", "to": "db/2"}},
    ]
    tasks = [{**task, "ignore_errors": True} for task in tasks]
    answers = play(*foretell(tasks), *tasks)
    foretold, done = answers[:4], answers[4:]
    assert [answer["kind"] for answer in foretold] == [answer["kind"] for answer in done] == ["pinned", "no_leader", "no_leader", "pinned"]
    assert done[0]["refused"]["db"]["pinners"] == ["admin/other"] == foretold[0]["refused"]["db"]["pinners"]
    assert done[1]["changed"] and list(done[1]["leases"]) == ["queue"], "what worked stays and is named"
    assert endpoint.lease("db")["holder"] == "db/0"


def test_wrong_token_and_missing_right_are_told_apart_from_silence(play, leases, endpoint):
    options = examples(lease_pin)[0]["leasehold.series_upgrade.lease_pin"]
    reader, forged, silent = play(*({"name": "Pin", "leasehold.series_upgrade.lease_pin": {**options, **connection}, "ignore_errors": True} for connection in (
        {"endpoint_token": endpoint.tokens["reader"]}, {"endpoint_token": "not-a-token"}, {"endpoint_url": "http://127.0.0.1:9"})))
    assert reader["kind"] == forged["kind"] == "forbidden"
    assert silent["kind"] == "unreachable" and "is the endpoint running there" in silent["msg"] and "leases" not in silent
