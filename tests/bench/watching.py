# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a watcher costs its machine while it watches, beside a Python daemon that does nothing but sleep."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import client, program
from tests.bench.signals import arm
from tests.bench.table import Table

IDLER = "import time\nwhile True:\n    time.sleep(1)"
# The pace of a real watch: the default interval, and a check that connects somewhere.
PACE = {"interval": 5, "checks": [{"name": "somebody listens", "kind": "tcp", "port": 9, "required": False}]}


def measure(directory: pathlib.Path, quick: bool) -> Table:
    seconds = 3 if quick else 30
    arm(directory / "m", "m", program.build(), **PACE)
    with client.Client(str(directory / "m")) as watcher:
        pid = int(watcher.ask("status")["pid"])
    with subprocess.Popen([sys.executable, "-c", IDLER], stdin=subprocess.DEVNULL) as idler:
        try:
            time.sleep(1)  # what starting costs is not what watching costs
            ours, rival = shares((pid, idler.pid), seconds)
            memory = [pss(read(one, "smaps_rollup")) for one in (pid, idler.pid)]
        finally:
            idler.kill()
    table = Table("A watcher that watches for %d s, with a look every %d s (aim: at most 25 MB and 0.1 %% of a core)" % (seconds, PACE["interval"]))
    for who, share, size in (("watcher", ours, memory[0]), ("python that sleeps", rival, memory[1])):
        table.add("memory (PSS): " + who, size, "MB")
        table.add("share of a core: " + who, 100 * share, "%")
    return table


def shares(pids: t.Sequence[int], seconds: float) -> list[float]:
    """Of one core, how much each of PIDS uses in the next SECONDS, all its threads together, those that end meanwhile too."""
    before, began = [spent(read(pid, "stat")) for pid in pids], time.monotonic()
    fine = [running(pid) for pid in pids]
    time.sleep(seconds)
    passed = time.monotonic() - began
    coarse = [spent(read(pid, "stat")) - old for pid, old in zip(pids, before)]
    # The kernel rounds the sum of all threads to ticks of 10 ms; that of the main thread is exact, and a part of it.
    return [max(whole, running(pid) - part) / passed for pid, whole, part in zip(pids, coarse, fine)]


def read(pid: int, name: str) -> str:
    return pathlib.Path("/proc", str(pid), name).read_text(encoding="utf-8", errors="replace")


def running(pid: int) -> float:
    """Seconds that the main thread has run."""
    return int(read(pid, "schedstat").split()[0]) / 1e9


def spent(stat: str, ticks: int = 100) -> float:
    """Seconds of processor time in the text of /proc/PID/stat, user and system. The name in it may hold blanks and parentheses."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def pss(rollup: str) -> float:
    """The proportional share of memory in the text of /proc/PID/smaps_rollup, in MB of 10^6 bytes."""
    (kib,) = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return int(kib) * 1024 / 1e6
