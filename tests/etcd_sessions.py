# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that take part in an election of a real etcd: with Go's concurrency package, run by etcd itself, and `etcdctl elect`."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

from lease_endpoint.errors import Unreachable
from lease_endpoint.etcd_gateway import Gateway
from lease_endpoint.etcd_words import created, encode, get
from tests.contract.endpoint import until

PATIENCE = 900  # seconds for which a candidate waits for its turn; when it hangs up, etcd takes its key away


class Session:
    """A program with a session, as Go's concurrency package has it: a lease kept alive, and a key named after it. The election is run by etcd itself."""

    def __init__(self, etcd, election, value, seconds=60):
        self.gateway = Gateway(etcd.endpoints, timeout=PATIENCE)
        self.election, self.value = election, value
        self.lease = self.gateway.grant(seconds).lease
        self.key = b"%s/%x" % (election.encode(), self.lease)
        self.leader = None
        self._campaign = threading.Thread(target=self._run, daemon=True)
        self._campaign.start()
        until(lambda: self.gateway.range(self.key).kvs)

    def _run(self):
        asked = {"name": encode(self.election.encode()), "lease": str(self.lease), "value": encode(self.value.encode())}
        try:
            self.leader = self.gateway.ask("election/campaign", asked)["leader"]
        except Unreachable:
            pass  # its session ended while it waited

    def leads(self, seconds=10):
        until(lambda: self.leader, seconds)
        return self

    def proclaim(self, value):
        self.value = value
        self.gateway.ask("election/proclaim", {"leader": self.leader, "value": encode(value.encode())}, write=True)

    def resign(self):
        self.gateway.ask("election/resign", {"leader": self.leader}, write=True)

    def end(self):
        """Close() of the package: the lease is revoked. The same as its running out, but at once."""
        self.gateway.revoke(self.lease)

    def is_owner(self):
        """The check that a careful holder puts into each of its transactions."""
        return self.gateway.txn([created(self.key, int(self.leader["rev"]))], [get(self.key)]).succeeded


class Elect:
    """A process `etcdctl elect ELECTION VALUE`."""

    def __init__(self, etcd, election, value):
        self.process = subprocess.Popen(etcd.ctl_argv("elect", election, value), env={**os.environ, "ETCDCTL_API": "3"}, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.said = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.said.append(line.strip())

    def leads(self, seconds=10):
        until(lambda: len(self.said) >= 2, seconds)  # its key and its value
        return self

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(10)
