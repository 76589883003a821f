# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.server
import socket
import threading

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.probes import probe
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.programs import run
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path[1:4]))
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def port():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("path, status, outcome", [
    ("200", None, "ok"), ("302", None, "ok"), ("503", None, "failed"), ("404", None, "failed"), ("429", None, "busy"),
    ("404", 404, "ok"), ("200", "204", "failed"),
])
def test_http(port, path, status, outcome):
    assert probe({"kind": "http", "url": "http://127.0.0.1:%d/%s?x=1" % (port, path), "status": status, "timeout": 5}, run)[0] == outcome


def test_http_that_nobody_answers(closed_port):
    assert probe({"kind": "http", "url": "http://127.0.0.1:%d/" % closed_port, "timeout": 5}, run)[0] == "unreachable"


def test_tcp(port, closed_port):
    assert probe({"kind": "tcp", "host": "localhost", "port": port, "timeout": 5}, run)[0] == "ok"
    assert probe({"kind": "tcp", "host": "127.0.0.1", "port": closed_port, "timeout": 5}, run)[0] == "unreachable"


@pytest.mark.parametrize("command, outcome", [("true", "ok"), ("echo no such table >&2; exit 2", "failed"), ("sleep 9", "unreachable")])
def test_command(command, outcome):
    found = probe({"kind": "command", "command": command, "timeout": 0.3}, run)
    assert found[0] == outcome
    assert outcome != "failed" or found[1] == "ended with status 2: no such table"


@pytest.mark.parametrize("state, rc, outcome", [
    ("active", 0, "ok"), ("failed", 0, "failed"), ("inactive", 0, "failed"), ("activating", 0, "unreachable"), ("", 1, "unreachable"),
])
def test_systemd(state, rc, outcome):
    def systemctl(argv, timeout):
        assert argv[-1] == "db.service"
        return Result(rc, "ActiveState=%s\nSubState=so\n" % state, "")

    assert probe({"kind": "systemd", "unit": "db.service", "timeout": 5}, systemctl)[0] == outcome
