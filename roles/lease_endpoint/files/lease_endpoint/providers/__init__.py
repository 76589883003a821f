# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How leadership of an application is read, frozen and thawed: one file per provider, one line here."""

from __future__ import annotations

from lease_endpoint.providers.etcd import Etcd
from lease_endpoint.providers.foreign import Foreign
from lease_endpoint.providers.juju import Juju
from lease_endpoint.providers.native import Native
from lease_endpoint.providers.patroni import Patroni

NATIVE = Native()
FOREIGN: dict[str, type[Foreign]] = {
    "etcd": Etcd,
    "juju": Juju,
    "patroni": Patroni,
}
