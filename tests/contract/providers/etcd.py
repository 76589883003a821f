# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An election of a real etcd, with three programs that take part in it."""

from __future__ import annotations

from lease_endpoint.etcd_gateway import Gateway
from lease_endpoint.etcd_words import move, prefix_end
from tests.contract.endpoint import until
from tests.contract.providers.world import World
from tests.etcd import Etcd, missing
from tests.etcd_sessions import PATIENCE, Session

ELECTION = "elections/db"
PREFIX = ELECTION.encode() + b"/"


class EtcdWorld(World):
    units = ("db/0", "db/1", "db/2")
    can_be_silenced = others_can_freeze = True

    def __init__(self, directory):
        self.etcd = Etcd(directory / "etcd")
        self.gateway = Gateway(self.etcd.endpoints)
        self.sessions = []

    missing = staticmethod(missing)

    def start(self):
        self.etcd.start()
        self._campaign()

    def stop(self):
        self.gateway.close()
        self.etcd.stop()

    def options(self):
        return {"provider": "etcd", "endpoints": self.etcd.endpoints, "election": ELECTION, "timeout": 1, "transfer": True}

    def _candidates(self):
        return self.gateway.range(PREFIX, prefix_end(PREFIX), oldest_first=True).kvs

    def _campaign(self):
        """All three anew, db/0 first."""
        for kv in self._candidates():
            self.gateway.revoke(kv.lease)
        for session in self.sessions:
            session.end()
        until(lambda: not self._candidates())
        self.sessions = [Session(self.etcd, ELECTION, unit, PATIENCE) for unit in self.units]

    def settle(self, endpoint, application):
        if [kv.value.decode() for kv in self._candidates()] != list(self.units):
            self._campaign()
        assert not self.frozen(endpoint, application)

    def leader(self, endpoint, application):
        return next((kv.value.decode() for kv in self._candidates()), None)

    def frozen(self, endpoint, application):
        return self._candidates()[0].lease not in {session.lease for session in self.sessions}

    def silence(self):
        self.etcd.members[0].pause()

    def speak(self):
        self.etcd.members[0].resume()
        self.etcd.wait()

    def freeze_as_somebody_else(self):
        assert self.gateway.txn([], [move(self._candidates()[0].key, 0)]).succeeded

    def thaw_as_somebody_else(self):
        leader = self._candidates()[0]
        own = next(session for session in self.sessions if session.key == leader.key)
        assert self.gateway.txn([], [move(leader.key, own.lease)]).succeeded
