# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real etcd for the tests of a file, and in it a place of its own for each test."""

from __future__ import annotations

import pytest

from lease_endpoint.ledger.store import Etcd as Where
from lease_endpoint.ledger.store import Store
from tests.etcd import Etcd, missing


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    assert not missing(), missing()
    with Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def store(etcd, request):
    store = Store(Where(tuple(etcd.endpoints), "/" + request.node.name.partition("[")[0]))
    yield store
    store.close()
