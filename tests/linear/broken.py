# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint with one bug sown into it, to see whether the checker finds it: `python broken.py BUG serve ...`

early: answers before the change is durable. stale: once active it believes to be so for good and answers reads
without asking etcd. twice: it also writes without comparing the seat.
"""

from __future__ import annotations

import sys
import threading

from lease_endpoint import replica
from lease_endpoint.cli import app
from lease_endpoint.ledger import etcd, groups


def early(self, group):
    if not group.done.is_set():
        threading.Timer(2.0, late, [self]).start()
    group.done.set()


def late(self):
    with self.alone():
        self._group = None
        try:
            self._commit()
        except Exception:
            self._rollback()


honest = etcd.Ledger._send


def careless(self, parts, sure):
    self._head = next((kv.mod for kv in self._store.range(self._store.head).kvs), 0)
    honest(self, parts, sure)


def stay(self):
    self._seat.keep(1.0)
    return 0.5


def sow(bug):
    if bug == "early":
        groups.Groups._finish = early
    elif bug in ("stale", "twice"):
        etcd.Ledger._confirm = lambda self: None
        etcd.Ledger._die = lambda self, why: why
        replica.Replica._stay = stay
        if bug == "twice":
            etcd.created = lambda key, revision: etcd.modified(b"/nobody-writes-this", 0)
            etcd.Ledger._send = careless
    else:
        raise SystemExit(f"no bug is called {bug}")


if __name__ == "__main__":
    sow(sys.argv.pop(1))
    app(prog_name="lease_endpoint")
