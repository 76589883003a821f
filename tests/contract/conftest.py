# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One endpoint for all contract tests of a worker; each test uses applications of its own name."""

from __future__ import annotations

import itertools

import pytest

from tests.contract.endpoint import Endpoint
from tests.etcd import Etcd, missing
from tests.replicas import ReplicatedEndpoint

_numbers = itertools.count(1)


# The same claims for every ledger; what stands at the door (rights, rotation, the document) knows nothing of it.
LEDGERS = ("sqlite", "etcd")
OF_THE_LEDGER = ("test_leases", "test_pins", "test_durability")


def pytest_generate_tests(metafunc):
    if "endpoint" in metafunc.fixturenames:
        kinds = LEDGERS if metafunc.module.__name__.rpartition(".")[2] in OF_THE_LEDGER else LEDGERS[:1]
        metafunc.parametrize("_running", kinds, indirect=True, scope="session", ids=[f"{kind}_ledger" for kind in kinds])


@pytest.fixture(scope="session")
def _running(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("endpoint")
    if request.param == "sqlite":
        yield from _started(Endpoint(directory))
    else:
        assert not missing(), missing()
        with Etcd(directory / "etcd") as etcd:
            yield from _started(ReplicatedEndpoint(directory, etcd))


def _started(running):
    running.start()
    for name, scopes, globs in (
        ("reader", ("read",), ()), ("alice", ("pin",), ()), ("bob", ("pin",), ()), ("host", ("hold", "pin"), ("host-*",)),
    ):
        running.token(name, *scopes, applications=globs)
    yield running
    assert running.stop() == 0


@pytest.fixture
def endpoint(_running):
    return _running


@pytest.fixture
def db():
    """The name of an application that no other test knows."""
    return f"db-{next(_numbers)}"
