# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint's own leases: the system is the endpoint itself."""

from __future__ import annotations

from tests.contract.providers.world import World


class NativeWorld(World):
    units = ("db/0", "db/1", "db/2")

    def __init__(self, directory):
        pass

    def start(self):
        pass

    def stop(self):
        pass

    def options(self):
        return None

    def settle(self, endpoint, application):
        lease = endpoint.call("GET", "/v1/leases?application=" + application).body["leases"]
        if lease and lease[0]["holder"]:
            endpoint.resign(application, lease[0]["holder"], lease[0]["term"])
        for unit in reversed(self.units):
            endpoint.claim(application, unit, 300)  # all of them take part; the last one that is asked first leads
        held = endpoint.lease(application)
        if held["holder"] != "db/0":
            endpoint.resign(application, held["holder"], held["term"])
            endpoint.claim(application, "db/0", 300)

    def leader(self, endpoint, application):
        return endpoint.lease(application)["holder"]

    def frozen(self, endpoint, application):
        return endpoint.lease(application)["pinned"]
