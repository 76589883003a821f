# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The figures of the README, each beside a named rival that ran a moment before on the same machine.

    python -m tests.bench [--quick] [pins] [upgrade] [signals] [rollbacks] [watching] [snapshots] [ledgers]
    python -m tests.bench patroni        only when named: it boots real machines, needs root, and takes most of an hour

Figures of one run may be compared with each other. Those of two machines, or of a busy machine, may not: look at the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import typing as t

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import MARK, end_processes
from tests.bench import ledgers, patroni, pins, rollbacks, signals, snapshots, upgrade, watching
from tests.bench.table import Table

SUBJECTS: dict[str, t.Callable[[pathlib.Path, bool], Table]] = {
    "pins": pins.measure, "upgrade": upgrade.measure, "signals": signals.measure, "rollbacks": rollbacks.measure, "watching": watching.measure,
    "snapshots": snapshots.measure, "ledgers": ledgers.measure,
}
NAMED: dict[str, t.Callable[[pathlib.Path, bool], Table]] = {"patroni": patroni.measure}        # not among those of a run that names none


@contextlib.contextmanager
def workplace() -> t.Iterator[pathlib.Path]:
    """A short directory of its own. Every process that was started for it is gone afterwards, however the bench ends."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lease-bench-", dir="/tmp"))
    os.environ[MARK] = str(directory)
    try:
        yield directory
    finally:
        end_processes(str(directory))
        shutil.rmtree(directory, ignore_errors=True)


def main(arguments: t.Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Figures, each beside a named rival.")
    parser.add_argument("--quick", action="store_true", help="small numbers; to see that it runs, not to quote")
    parser.add_argument("subjects", nargs="*", help="which of %s, by default; or %s" % (", ".join(SUBJECTS), ", ".join(NAMED)))
    wanted = parser.parse_args(arguments)
    strange = set(wanted.subjects) - {*SUBJECTS, *NAMED}
    if strange:
        parser.error("there is no %s; choose from %s" % (", ".join(sorted(strange)), ", ".join([*SUBJECTS, *NAMED])))
    quick = ", quick" if wanted.quick else ""
    print("%d cores (load %.1f), Python %s%s" % (os.cpu_count() or 0, os.getloadavg()[0], sys.version.split()[0], quick), flush=True)
    for name in wanted.subjects or SUBJECTS:
        with workplace() as directory:
            print("\n" + {**SUBJECTS, **NAMED}[name](directory, wanted.quick).text(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
