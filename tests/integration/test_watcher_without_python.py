# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watcher that was started, and whose Python has then gone from the disk: an upgrade does that for a while, and a broken one for good."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys
import time

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import client, daemon, record as records, spool
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Marker
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.spec import checked

DEV = pathlib.Path(__file__).resolve().parents[2] / ".dev"
WITHOUT_PYTHON = """
import sys
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import command, daemon

# Now nothing can be loaded any more: neither a module nor a codec.
sys.path[:], sys.meta_path[:], sys.path_hooks[:] = [], [], []
sys.exit(daemon.serve(daemon.Options(*sys.argv[1:])))
"""


@pytest.fixture
def watcher(tmp_path_factory):
    place = tmp_path_factory.mktemp("w")
    (place / "series").write_text("VERSION_CODENAME=bookworm\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        spec = checked({
            "upgrade_id": "u/1", "run": "u", "machine": "m1", "source_series": "bookworm", "target_series": "trixie", "method": "command",
            "command": {"upgrade": "sed -i s/bookworm/trixie/ %s" % (place / "series"), "rollback": "sed -i s/trixie/bookworm/ %s" % (place / "series")},
            "checks": [{"name": "port", "kind": "tcp", "port": listener.getsockname()[1], "host": "localhost"},
                       {"name": "is", "kind": "command", "command": "true"},
                       {"name": "web", "kind": "http", "url": "http://localhost:1/", "required": False}],
            "drain": [{"unit": "db/0", "command": "true", "resume": "true"}],
            "no_return": [{"application": "db", "command": "test -e %s" % (place / "passed"), "reason": "r"}],
            "reboot": False, "grace": 1, "interval": 0.2, "series_file": str(place / "series"),
        })
        Marker(str(place)).write(records.fresh(spec, time.time(), daemon.read_boot_id("/proc/sys/kernel/random/boot_id"), {}, None))
        process = subprocess.Popen([sys.executable, "-c", WITHOUT_PYTHON, str(place), str(place / "run")], cwd=DEV, stderr=subprocess.PIPE, text=True)
        try:
            yield place, process
        finally:
            process.kill()
            process.communicate()


def test_watcher_that_has_lost_its_python_upgrades_watches_and_rolls_back(watcher):
    """L6"""
    place, process = watcher
    run = str(place / "run")
    assert client.await_status(run, 30) is not None, process.poll()
    assert client.ask(run, "upgrade", request_id="up")["ok"]
    with client.Client(run, timeout=60) as connection:
        assert connection.ask("wait", **{"for": "settled", "timeout": 50})["state"] == "COMMITTED"
        (place / "passed").write_text("")
        assert connection.ask("rollback", request_id="back")["kind"] == "too_late"
        # Also a request that lies in the spool is heard.
        spool.leave(str(place), {"do": "rollback", "request_id": "forced", "force": ["db"]})
        assert connection.ask("wait", **{"for": "ROLLED_BACK", "timeout": 50})["state"] == "ROLLED_BACK"
        assert connection.ask("shutdown")["ok"]
    said = process.communicate(timeout=30)[1]
    assert process.returncode == daemon.EXIT["ROLLED_BACK"]
    assert "Traceback" not in said and "unknown encoding" not in said
    assert (place / "series").read_text() == "VERSION_CODENAME=bookworm\n"
