# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One endpoint for all contract tests of a worker; each test uses applications of its own name."""

from __future__ import annotations

import itertools

import pytest

from tests.contract.endpoint import Endpoint

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def _running(tmp_path_factory):
    running = Endpoint(tmp_path_factory.mktemp("endpoint"))
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
