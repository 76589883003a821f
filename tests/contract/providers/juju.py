# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of a Juju controller. What `frozen` tells here, a real one tells nobody."""

from __future__ import annotations

from tests.contract.endpoint import until
from tests.contract.providers.world import World
from tests.etcd import Certificates
from tests.juju.double_controller import MODEL, DoubleController
from tests.juju.double_model import DoubleModel


class JujuWorld(World):
    double = can_be_silenced = True
    units = ("db/0", "db/1", "db/2")

    def __init__(self, directory):
        certificates = Certificates(directory / "certificates")
        self.ca, self.password = certificates.ca, directory / "juju.password"
        self.password.write_text("operator-secret", encoding="utf-8")
        self.model = DoubleModel("dqlite").deploy("db", ["0", "1", "2"])
        self.controller = DoubleController(self.model, certificates.issue("juju-apiserver"), "3.6")

    def start(self):
        self.controller.__enter__()

    def stop(self):
        self.controller.__exit__()

    def options(self):
        return {"provider": "juju", "endpoints": [self.controller.url], "model": MODEL, "user": "operator", "password_file": str(self.password),
                "ca_file": str(self.ca), "series": "jammy", "timeout": 1, "patience": 20}

    def settle(self, endpoint, application):
        until(lambda: not self.frozen(endpoint, application) and not any(machine.lock for machine in self.model.machines.values()))

    def leader(self, endpoint, application):
        return self.model.leases["db"].holder

    def frozen(self, endpoint, application):
        return bool(self.model.leases["db"].pins)

    def silence(self):
        self.controller.talks.clear()

    def speak(self):
        self.controller.talks.set()
