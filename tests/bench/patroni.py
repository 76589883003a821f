# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade_series of a real Patroni cluster under writes, beside a shell script that takes the same steps over ssh and looks at nothing."""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import time
import typing as t

from tests.bench.playing import Failed
from tests.bench.table import Table
from tests.fleet import ClusteredFleet, Writer
from tests.testbed import Fleet

SCRIPT = pathlib.Path(__file__).with_name("bare_ssh.sh")
POLICIES = ("hold", "handover")
# The watch is what the script has not: as short as it can be and still notice anything.
WATCH = {"series_upgrade_grace": 8, "series_upgrade_interval": 1, "series_upgrade_allowed_misses": 6}


class Run(t.NamedTuple):
    """One cluster taken to trixie: wall seconds from the first word to the last, and seconds without an acknowledged write."""

    wall: float
    silent: float


def measure(_directory: pathlib.Path, quick: bool) -> Table:
    pairs = 2 if quick else 5
    ours: dict[str, list[Run]] = {policy: [] for policy in POLICIES}
    theirs: dict[str, list[Run]] = {policy: [] for policy in POLICIES}
    for number in range(pairs):
        policy = POLICIES[number % 2]
        turn = [(ours, _playbook), (theirs, _script)]
        for runs, way in turn if number % 4 < 2 else reversed(turn):        # who goes first changes, for each policy
            runs[policy].append(_once(policy, way))
            print("  pair %d, %s, %s: %.0f s, %.1f s without writes" % (number + 1, policy, way.__name__[1:], *runs[policy][-1]), file=sys.stderr, flush=True)
    table = Table("three machines of a Patroni cluster to trixie, under writes (%d pairs, medians; watched for %d s)" % (
        pairs, WATCH["series_upgrade_grace"]))
    table.add("upgrade_series", statistics.median(run.wall for runs in ours.values() for run in runs), "s")
    table.add("the same steps by a shell script over ssh", statistics.median(run.wall for runs in theirs.values() for run in runs), "s")
    for policy in POLICIES:
        for name, found in (("upgrade_series", ours[policy]), ("shell script", theirs[policy])):
            if found:
                table.add("without writes, %s: %s" % (policy, name), statistics.median(run.silent for run in found), "s in " + policy)
    ratios = [one.wall / two.wall for policy in POLICIES for one, two in zip(ours[policy], theirs[policy])]
    table.notes = ["Wall time of each pair, ours through theirs: %s." % ", ".join("%.2f" % ratio for ratio in ratios)]
    return table


def _once(policy: str, way: t.Callable[[ClusteredFleet], bool]) -> Run:
    with Fleet.up("bench-%d" % os.getpid(), 3, "patroni", owner=os.getpid()) as fleet:
        run = ClusteredFleet(fleet, policy, **WATCH).install()
        with Writer(run.cluster) as writer:
            writer.more()
            began = time.monotonic()
            good = way(run)
            wall = time.monotonic() - began
            writer.more()
        lost = {member: ids for member, ids in writer.lost().items() if ids}
        behind = [name for name, series in run.series().items() if series != "trixie"]
        if not good or behind or lost:
            raise Failed("%s, %s: %s; not on trixie: %s; lost: %s" % (way.__name__[1:], policy, "ended well" if good else "failed", behind, lost))
        return Run(wall, sum(outage.seconds for outage in writer.outages()))


def _playbook(run: ClusteredFleet) -> bool:
    return run.play("upgrade_series", timeout=3600).returncode == 0


def _script(run: ClusteredFleet) -> bool:
    cluster = run.cluster
    options = cluster.home / "ssh-options"
    options.write_text("\n".join(run.fleet.ssh_options) + "\n", encoding="utf-8")
    places = {member: "%s=https://%s:8008=%s" % (machine.ip, machine.ip, member) for member, machine in cluster.members.items()}
    order = [places["pg2"], places["pg3"], places["pg1"]]       # as the plan has it: the leader last
    with open(run.fleet.state / "script.log", "w", encoding="utf-8") as log:
        return run.fleet.run(["bash", str(SCRIPT), run.leader, str(cluster.ca), str(cluster.password_file), cluster.urls[0], str(options), *order],
                             stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=3600).returncode == 0
