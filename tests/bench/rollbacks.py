# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a request to roll back takes: until each watcher has it on its disk, and until each has begun, beside `ansible -m command`."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import time
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import client, program
from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import until
from tests.bench.playing import FORKS, Failed
from tests.bench.signals import arm, state
from tests.bench.table import Table


def measure(directory: pathlib.Path, quick: bool) -> Table:
    table = Table("Request to roll back, from the first one sent until the last of the watchers is there")
    counts = (1, 3) if quick else (1, 10, 100)
    image = program.build()
    for count in counts:
        homes = [directory / ("m%d-%d" % (count, number)) for number in range(count)]
        with concurrent.futures.ThreadPoolExecutor(4) as hands:
            list(hands.map(lambda home: arm(home, home.name, image), homes))
        kept, begun = ask(homes)
        unit = "s (%d)" % count
        table.add("%3d asked: on disk, acknowledged" % count, kept, unit)
        table.add("%3d asked: rollback has begun" % count, begun, unit)
        table.add("%3d asked: ansible -m command -a true" % count, rival(directory, homes), unit)
        for home in homes:
            until(lambda home=home: state(home) == "ROLLED_BACK", "%s has rolled back" % home.name)
            with client.Client(str(home)) as watcher:
                watcher.ask("shutdown")
    table.notes = ["A watcher that has nothing else at hand begins before it answers, so the answer may come last.",
                   "Watchers are asked by their sockets, %d at a time; ansible starts anew and is local, with %d forks." % (FORKS, FORKS),
                   "Real daemons with real fsync in directories of one machine, so they share its cores and its disk."]
    return table


def ask(homes: t.Sequence[pathlib.Path]) -> tuple[float, float]:
    """Seconds until the last has acknowledged, which it does when the request is durable, and until the journal of the last says ROLLING_BACK."""
    sent = time.time()
    with concurrent.futures.ThreadPoolExecutor(FORKS) as hands:
        acknowledged = list(hands.map(request, homes))
    for home in homes:
        until(lambda home=home: begun_at(home) is not None, "%s has begun to roll back" % home.name)
    return last(sent, acknowledged), last(sent, [begun_at(home) for home in homes])


def request(home: pathlib.Path) -> float:
    with client.Client(str(home)) as watcher:
        answer = watcher.ask("rollback", request_id="bench-rollback", reason="bench")
    if answer.get("result") != "accepted":
        raise Failed("%s did not accept: %s" % (home.name, answer))
    return time.time()


def begun_at(home: pathlib.Path) -> float | None:
    """When the watcher began to roll back, by its journal (Unix time); None when it has not yet."""
    return moment((home / "state" / "journal.jsonl").read_text(encoding="utf-8"), "ROLLING_BACK")


def moment(journal: str, wanted: str) -> float | None:
    """When JOURNAL first tells the state WANTED. Its last line may be half written."""
    for line in journal.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "state" and event.get("state") == wanted:
            return float(event["ts"])
    return None


def last(sent: float, moments: t.Iterable[float | None]) -> float:
    """Seconds from SENT to the last of MOMENTS. The journal has milliseconds, so the first of them may look earlier than it was."""
    found = list(moments)
    if None in found:
        raise Failed("one has not begun")
    return max(0.0, max(moment_ for moment_ in found if moment_ is not None) - sent)


def rival(directory: pathlib.Path, homes: t.Sequence[pathlib.Path]) -> float:
    inventory = directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}, "hosts": {home.name: {} for home in homes},
    }}), encoding="utf-8")
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "ansible", "adhoc", "all", "-i", str(inventory), "--forks", str(FORKS), "-m", "command", "-a", "true"],
                   cwd=directory, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
