# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks too often is told when to come back; nobody else notices."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.contract.endpoint import HEADERS, Endpoint


@pytest.fixture(name="strict", scope="module")
def strict_(tmp_path_factory):
    running = Endpoint(tmp_path_factory.mktemp("strict"), "--limit-token", "30/hour", "--limit-failures", "5/hour")
    running.start()
    yield running
    assert running.stop() == 0


def test_token_that_asks_too_often_is_refused_and_told_when_to_come_back(strict):
    strict.token("wild", "read")
    answers = [strict.call("GET", "/v1/whoami", who="wild") for _each in range(31)]
    assert {answer.status for answer in answers[:30]} == {200}
    assert (answers[30].status, answers[30].kind) == (429, "too_many") and 100 < answers[30].body["retry_in"] <= 120
    request = urllib.request.Request(strict.url + "/v1/whoami", headers={**HEADERS, "Authorization": "Bearer " + strict.tokens["wild"]})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert 100 < int(refused.value.headers["Retry-After"]) <= 120


def test_token_that_asks_too_often_is_not_told_apart_by_its_secrets(strict):
    from lease_endpoint.tokens import Tokens

    strict.token("two", "read")
    strict.tokens["two-new"] = Tokens(strict.directory / "data/tokens.json", strict.wall).rotate("two", 3600)
    kinds = [strict.call("GET", "/v1/whoami", who=who).kind for who in ["two", "two-new"] * 16]
    assert kinds[:30] == [None] * 30 and kinds[30:] == ["too_many"] * 2


def test_address_that_shows_no_valid_token_is_held_up_and_valid_tokens_from_there_are_not(strict):
    strict.token("calm", "read")
    statuses = [strict.call("GET", "/v1/whoami", who="", headers={**HEADERS, "Authorization": "Bearer wrong"}).status for _each in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert strict.call("GET", "/v1/whoami", who="calm").status == 200
