# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three real Patronis, two of 3.0 and one of 4.0, with their PostgreSQLs and an etcd, on loopback, with TLS and a password."""

from __future__ import annotations

from tests.contract.providers.world import World
from tests.patroni_cluster import PatroniCluster, missing


class PatroniWorld(World):
    units = ("db/0", "db/1", "db/2")
    can_be_silenced = others_can_freeze = True

    def __init__(self, directory):
        self.cluster = PatroniCluster(versions=("3.0", "3.0", "4.0"))

    missing = staticmethod(missing)

    def start(self):
        self.cluster.__enter__()

    def stop(self):
        self.cluster.__exit__()

    def options(self):
        return self.cluster.options(timeout=2)

    def settle(self, endpoint, application):
        self.cluster.until(lambda: not self.cluster.paused() and self.cluster.whole(), "a whole cluster that nobody has paused")

    def leader(self, endpoint, application):
        return self.cluster.until(self.cluster.leading_unit, "a leader")

    def frozen(self, endpoint, application):
        return self.cluster.paused()

    def silence(self):
        for member in self.cluster.members:
            member.freeze()

    def speak(self):
        for member in self.cluster.members:
            member.thaw()

    def freeze_as_somebody_else(self):
        self.cluster.configure(pause=True)
        self.cluster.until(self.cluster.paused, "the pause to be seen")

    def thaw_as_somebody_else(self):
        self.cluster.configure(pause=None)
