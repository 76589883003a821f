# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Long histories, checked.

    python -m tests.linear [--operations 10000] [--ledger etcd|sqlite] [--replicas 3] [--seed N] [--bug early|stale|twice]

Rounds follow each other until so many operations had a known outcome. Ends with 1 when something cannot be explained.
"""

from __future__ import annotations

import argparse
import pathlib
import random
import tempfile

from tests.linear.rounds import Report, of_replicated, of_single, replicated, single


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.linear", description="Histories of many clients under faults, checked for linearizability.")
    parser.add_argument("--operations", type=int, default=10_000, help="with a known outcome, in all")
    parser.add_argument("--ledger", choices=("etcd", "sqlite"), default="etcd")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--bug", default=None, help="sow this bug into the endpoint (tests/linear/broken.py)")
    asked = parser.parse_args()
    seed = random.randrange(100_000) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    known = unknown = number = 0
    wrong = False
    with tempfile.TemporaryDirectory(prefix="linear-") as directory:
        place = pathlib.Path(directory)
        running = replicated(place, asked.replicas, asked.bug) if asked.ledger == "etcd" else single(place, asked.bug)
        with running as parts:
            while known < asked.operations and not wrong:
                number += 1
                name, most = f"round-{number}", asked.operations - known + 200
                report: Report = of_replicated(*parts, name, most, seed + number) if asked.ledger == "etcd" else of_single(parts, name, most, seed + number)
                known, unknown, wrong = known + report.known, unknown + report.unknown, bool(report.wrong)
                print(f"round {number}: {report}", flush=True)
                for each in report.wrong:
                    print(each, flush=True)
    print(f"{known} operations with a known outcome, {unknown} without: {'WRONG' if wrong else 'linearizable'}")
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
