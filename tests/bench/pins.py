# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pin, verify and unpin many applications: one task for all of them, beside one `uri` task for each."""

from __future__ import annotations

import pathlib
import sys
import typing as t

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import Stage
from tests.bench.playing import Failed, play
from tests.bench.table import Table

VERBS = ("Pin", "Verify", "Unpin")


def measure(directory: pathlib.Path, quick: bool) -> Table:
    count = 10 if quick else 100
    names = ["app-%03d" % number for number in range(count)]
    with Stage(directory / "s", {}) as stage:
        token = stage.tokens["operator"]
        for name in names:
            stage.post("claim", {"application": name, "holder": name + "/0", "duration": 300}, token="units")
        ours = play(directory, ours_(stage.url, token, names))
        for name in names:
            stage.post("claim", {"application": name, "holder": name + "/0", "duration": 300}, token="units")
        rival = play(directory, rival_(stage.url, token, names))
        if stage.ask("pins")["pins"]:
            raise Failed("pins were left")
    table = Table("Freezing %d applications, seconds of the tasks" % count)
    table.add("pin + verify + unpin: lease_pin, lease_info, lease_pin", sum(ours.tasks[verb] for verb in VERBS), "s")
    table.add("pin + verify + unpin: %d uri tasks each" % count, sum(rival.tasks[verb] for verb in VERBS), "s")
    table.add("three empty module tasks (ping)", 3 * ours.tasks["Empty"], "s")
    table.add("controller and modules, start-up included: one task for all", ours.cpu, "CPU-s")
    table.add("controller and modules, start-up included: %d uri tasks" % count, rival.cpu, "CPU-s")
    for verb in VERBS:
        table.add("  %s alone: one task" % verb.lower(), ours.tasks[verb], "s (%s)" % verb.lower())
        table.add("  %s alone: %d uri tasks" % (verb.lower(), count), rival.tasks[verb], "s (%s)" % verb.lower())
    return table


def _play(tasks: list[dict[str, t.Any]], **more: t.Any) -> list[dict[str, t.Any]]:
    return [{"hosts": "localhost", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}, "tasks": tasks, **more}]


def ours_(url: str, token: str, names: list[str]) -> list[dict[str, t.Any]]:
    connection = {"endpoint_url": url, "endpoint_token": token}
    pin = {"applications": names, "run": "bench", "reason": "bench"}
    return _play([
        {"name": "Warm", "ansible.builtin.ping": {}},
        {"name": "Empty", "ansible.builtin.ping": {}},
        {"name": "Pin", "leasehold.series_upgrade.lease_pin": pin},
        {"name": "Verify", "leasehold.series_upgrade.lease_info": {"applications": names}, "register": "found",
         "failed_when": "found.leases.values() | rejectattr('pinned') | list != []"},
        {"name": "Unpin", "leasehold.series_upgrade.lease_pin": {**pin, "state": "absent"}},
    ], module_defaults={"group/leasehold.series_upgrade.endpoint": connection})


def rival_(url: str, token: str, names: list[str]) -> list[dict[str, t.Any]]:
    asked = {"headers": {"Lease-Protocol": "1", "Authorization": "Bearer " + token}, "return_content": True}
    item = {"items": [{"application": "{{ item }}"}], "run": "bench", "reason": "bench"}

    def each(name: str, path: str, **more: t.Any) -> dict[str, t.Any]:
        return {"name": name, "ansible.builtin.uri": {"url": url + path, **asked, **more}, "loop": names, "register": "found"}

    return _play([
        {"name": "Warm", "ansible.builtin.ping": {}},
        {**each("Pin", "/v1/pin", method="POST", body_format="json", body=item), "failed_when": "not found.json.results[0].ok"},
        {**each("Verify", "/v1/leases?application={{ item }}"), "failed_when": "not found.json.leases[0].pinned"},
        {**each("Unpin", "/v1/unpin", method="POST", body_format="json", body=item), "failed_when": "not found.json.results[0].ok"},
    ])
