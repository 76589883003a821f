# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systems that providers are held to the contract with: one file per provider, one line here."""

from __future__ import annotations

from tests.contract.providers.etcd import EtcdWorld
from tests.contract.providers.juju import JujuWorld
from tests.contract.providers.native import NativeWorld
from tests.contract.providers.patroni import PatroniWorld

WORLDS = {
    "etcd": EtcdWorld,
    "juju": JujuWorld,
    "native": NativeWorld,
    "patroni": PatroniWorld,
}
