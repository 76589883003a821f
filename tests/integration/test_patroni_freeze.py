# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The crash table of a freeze, and deadlines that mean it: a real endpoint, killed -9 at each place, a real Patroni cluster behind gates."""

from __future__ import annotations

import json
import os
import shutil
import threading
import urllib.request
from contextlib import ExitStack

import pytest

from tests.contract.endpoint import Endpoint, cli, until
from tests.gate import Gate
from tests.patroni_cluster import PatroniCluster, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Scene:
    """The endpoint reaches each Patroni through a gate of its own."""

    def __init__(self, cluster, gates, endpoint):
        self.cluster, self.gates, self.endpoint = cluster, gates, endpoint

    def shut(self):
        for gate in self.gates:
            gate.shut()

    def open(self):
        for gate in self.gates:
            gate.open()

    def drop(self):
        for gate in self.gates:
            gate.drop()

    def killed_when_held(self, work, after):
        """The endpoint dies of SIGKILL while its next PATCH stands at a gate: before the deed, or with its answer."""
        held = [gate.hold("PATCH", after) for gate in self.gates]
        asking = threading.Thread(target=self._ask, args=[work])
        asking.start()
        until(lambda: any(one.is_set() for one in held), 20)
        self.endpoint.kill()
        asking.join()
        self.drop()
        for gate in self.gates:
            gate._hold = None

    @staticmethod
    def _ask(work):
        try:
            work()
        except Exception:  # the connection is cut by the kill
            pass

    @property
    def lease(self):
        return self.endpoint.lease("db")

    @property
    def shown(self):
        """As the page shows it, which waits for nobody."""
        return json.loads(next(line[6:] for line in self._events() if line.startswith("data: ")))["leases"][0]

    def _events(self):
        request = urllib.request.Request(self.endpoint.url + "/v1/events", headers={
            "Lease-Protocol": "1", "Authorization": "Bearer " + self.endpoint.tokens["admin"]})
        with urllib.request.urlopen(request, timeout=20) as stream:
            for raw in stream:
                yield raw.decode().rstrip("\n")


@pytest.fixture(scope="module")
def _scene(tmp_path_factory):
    directory = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        cluster = stack.enter_context(PatroniCluster(("3.0", "4.0")))
        gates = [stack.enter_context(Gate(member.url, cluster.context)) for member in cluster.members]
        members = {member.unit: {"url": gate.url, "name": member.name} for member, gate in zip(cluster.members, gates)}
        options = {**cluster.options(timeout=2), "members": members}
        del options["ca_file"]
        file = directory / "applications.json"
        file.write_text(json.dumps({"db": options}), encoding="utf-8")
        endpoint = Endpoint(directory, "--applications", str(file))
        endpoint.start()
        endpoint.token("run", "pin")
        stack.callback(endpoint.stop)
        yield Scene(cluster, gates, endpoint)


@pytest.fixture
def scene(_scene):
    until(lambda: not _scene.cluster.paused() and _scene.cluster.whole() and _scene.lease["freeze"] is None, 60)
    yield _scene
    _scene.open()
    if _scene.endpoint._process is None:
        _scene.endpoint.start()
    until(lambda: _scene.endpoint.call("GET", "/v1/leases?application=db").body["leases"], 30)
    for pin in _scene.lease["pins"]:
        _scene.endpoint.call("POST", "/v1/unpin", {"items": [{"application": "db"}], "pinner": pin["pinner"], "reason": "the test is over"})
    _scene.endpoint.call("POST", "/v1/clear-halt", {"items": [{"application": "db"}], "reason": "the test is over"})


def test_killed_between_intent_and_freeze_it_freezes_when_it_is_back_and_the_run_gets_its_pin(scene):
    scene.killed_when_held(lambda: scene.endpoint.pin("db"), after=False)
    assert not scene.cluster.paused()
    scene.endpoint.start()
    until(lambda: scene.lease["freeze"] and scene.lease["freeze"]["confirmed"], 20)
    assert scene.cluster.paused() and scene.endpoint.pin("db")["changed"] is False
    scene.endpoint.unpin("db")
    assert not scene.cluster.paused()


def test_killed_between_freeze_and_confirmation_it_confirms_when_it_is_back_and_remembers_that_nothing_was_paused_before(scene):
    term = scene.lease["term"]
    scene.killed_when_held(lambda: scene.endpoint.pin("db"), after=True)
    assert scene.cluster.paused()
    scene.endpoint.start()
    found = scene.endpoint.pin("db")
    assert found["ok"] and found["lease"]["freeze"]["confirmed"] and found["lease"]["pins"][0]["term"] == term
    scene.endpoint.unpin("db")
    assert not scene.cluster.paused()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_the_thaw_it_thaws_when_it_is_back(scene, after):
    scene.endpoint.pin("db")
    scene.killed_when_held(lambda: scene.endpoint.unpin("db"), after=after)
    assert scene.cluster.paused() is not after
    scene.endpoint.start()
    until(lambda: scene.lease["freeze"] is None, 20)
    assert not scene.cluster.paused() and not scene.lease["pinned"]


def test_run_that_never_comes_back_after_the_kill_has_its_pin_lapsed_and_patroni_resumes(scene):
    scene.killed_when_held(lambda: scene.endpoint.pin("db", duration=60), after=True)
    scene.endpoint.start()
    until(lambda: scene.lease["freeze"]["confirmed"], 20)
    scene.endpoint.pass_time(120)
    until(lambda: not scene.cluster.paused(), 20)
    assert scene.lease["halted"] is not None


def test_dead_controllers_pin_lapses_before_a_shut_gate_is_retried_shown_and_thawed_when_it_opens(scene):
    scene.endpoint.pin("db", "r7", who="run", duration=60)
    scene.shut()
    scene.endpoint.pass_time(61)
    until(lambda: scene.shown["freeze"] and scene.shown["freeze"]["tries"] >= 2, 60)
    shown = scene.shown
    assert shown["freeze"]["wanted"] is False and shown["freeze"]["next_try_in"] > 0 and "did not answer" in shown["freeze"]["error"]
    assert shown["halted"]["pinner"] == "run/r7" and shown["pinned"] is False
    until(lambda: "holder" not in scene.shown and scene.shown["unreadable"]["kind"] == "unreachable", 30)
    assert 'lease_thaw_owed{application="db"} 1.0' in scene.endpoint.figures()
    assert scene.cluster.paused()
    scene.open()
    until(lambda: not scene.cluster.paused(), 30)
    until(lambda: scene.lease["freeze"] is None, 10)
    told = [entry["verb"] for entry in scene.endpoint.call("GET", "/v1/history?application=db&limit=10").body["history"]]
    assert told[:3] == ["thaw", "trouble", "lapse"]


def test_dead_run_that_is_resumed_finds_out_and_only_a_person_lets_it_go_on(scene):
    scene.endpoint.pin("db", "r8", who="run", duration=60)
    scene.endpoint.pass_time(61)
    until(lambda: not scene.cluster.paused(), 20)
    refused = scene.endpoint.pin("db", "r8", who="run")
    assert refused["kind"] == "halted" and "a person must look" in refused["msg"] and not scene.cluster.paused()
    scene.endpoint.call("POST", "/v1/clear-halt", {"items": [{"application": "db"}], "reason": "looked at it"})
    assert scene.endpoint.pin("db", "r8", who="run")["ok"] and scene.cluster.paused()


def status(scene):
    token = scene.endpoint.directory / "token"
    token.write_text(scene.endpoint.tokens["run"], encoding="ascii")
    return cli("status", "--url", scene.endpoint.url, "--token-file", str(token))


def test_status_in_a_terminal_tells_what_is_frozen_and_fails_for_what_it_cannot_find_out(scene):
    scene.endpoint.pin("db", "r5", who="run")
    told = status(scene)
    assert told.returncode == 0 and "by patroni" in told.stdout and "\n    frozen\n" in told.stdout and "pinned by run/r5" in told.stdout
    scene.shut()
    told = status(scene)
    assert told.returncode == 1 and "who leads db could not be found out" in told.stderr and "no application" not in told.stdout


def test_pin_of_a_shut_gate_is_answered_and_leaves_nothing_behind(scene):
    scene.shut()
    assert scene.endpoint.pin("db")["kind"] == "unreachable"
    scene.open()
    assert not scene.lease["pinned"] and scene.lease["freeze"] is None and not scene.cluster.paused()


def test_page_shows_members_the_freeze_and_a_thaw_that_is_owed(scene):
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs the package chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.goto(f"{scene.endpoint.url}/#token={scene.endpoint.tokens['run']}")
        card = page.locator("li[data-application='db']")
        look = playwright.expect
        look(card.locator(".provider")).to_have_text("patroni")
        look(card.locator(".members li")).to_have_count(2, timeout=20_000)
        scene.endpoint.pin("db", "r9", who="run", duration=60)
        look(card.locator(".badge")).to_have_text(["pinned", "frozen"], timeout=20_000)
        look(card).to_contain_text("a pin pauses the whole cluster")
        _picture(page, "frozen")
        scene.shut()
        scene.endpoint.pass_time(61)
        look(card.locator(".badge")).to_have_text(["halted", "thaw owed"], timeout=20_000)
        look(card).to_contain_text("frozen still, though nobody wants that", timeout=30_000)
        look(card).to_contain_text("Who leads is not known", timeout=30_000)
        _picture(page, "owed")
        scene.open()
        look(card.locator(".badge")).to_have_text(["halted"], timeout=30_000)
        browser.close()


def _picture(page, name):
    if os.environ.get("PAGE_PICTURES"):
        page.screenshot(path=f"{os.environ['PAGE_PICTURES']}/{name}.png", full_page=True)
