# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signal to roll back, from the playbook to many watchers until each has it on its disk, beside one `command` task on the same machines."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import sys
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming, client, program
from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import NEW, OLD, os_release, until
from tests.bench.playing import play
from tests.bench.table import Table


def measure(directory: pathlib.Path, quick: bool) -> Table:
    count = 10 if quick else 100
    machines = ["m%03d" % number for number in range(count)]
    image = program.build()
    with concurrent.futures.ThreadPoolExecutor(4) as hands:
        list(hands.map(lambda machine: arm(directory / machine, machine, image), machines))
    inventory = directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        "hosts": {machine: {"upgrade_watcher_runtime_dir": str(directory / machine)} for machine in machines},
    }}), encoding="utf-8")
    played = play(directory, [{"hosts": "all", "gather_facts": False, "tasks": [
        {"name": "Warm", "ansible.builtin.debug": {"msg": ""}},
        {"name": "Command", "ansible.builtin.command": "true"},
        {"name": "Signal", "leasehold.series_upgrade.watcher_call": {"do": "rollback", "until": "answered", "reason": "bench"}},
    ]}], "-i", str(inventory))
    for machine in machines:
        until(lambda machine=machine: state(directory / machine) == "ROLLED_BACK", "%s has rolled back" % machine)
    table = Table("Signal of %d watchers to roll back, until every one has it on its disk" % count)
    table.add("watcher_call", played.tasks["Signal"], "s")
    table.add("ansible -m command", played.tasks["Command"], "s")
    table.notes = ["Connection local for both, so neither pays for SSH; the machines are directories and share the controller's cores."]
    return table


def arm(home: pathlib.Path, machine: str, image: bytes, **more: t.Any) -> None:
    """A machine whose watcher watches a finished upgrade. MORE goes into what it is armed with."""
    home.mkdir()
    for series in (OLD, NEW):
        (home / series).write_text(os_release(series), encoding="utf-8")
    here = home / "os-release"
    here.write_text(os_release(OLD), encoding="utf-8")
    spec = arming.checked({
        "upgrade_id": "bench/%s/1" % machine, "run": "bench", "machine": machine, "source_series": OLD, "target_series": NEW, "method": "command",
        "command": {"upgrade": "cp %s/%s %s" % (home, NEW, here), "rollback": "cp %s/%s %s" % (home, OLD, here)},
        "reboot": False, "grace": 86400, "interval": 60, "series_file": str(here),
        **more,
    })
    how = arming.settings("process", str(home / "state"), str(home), sys.executable)
    arming.arm(arming.look(how), spec, how, image)
    with client.Client(str(home)) as watcher:
        watcher.ask("upgrade", request_id="bench")
    until(lambda: state(home) == "WATCHING", "%s is being watched" % machine)


def state(home: pathlib.Path) -> str:
    with client.Client(str(home)) as watcher:
        return str(watcher.ask("status").get("state"))
