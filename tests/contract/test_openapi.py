# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document is true: of every route, and of every answer a stranger's requests get."""

from __future__ import annotations

import json
import urllib.request

import pytest

from lease_endpoint import answers
from tests.contract.truth import ANSWERS
from tests.schema import attack


@pytest.fixture(name="paths")
def paths_(endpoint):
    with urllib.request.urlopen(endpoint.url + "/openapi.json", timeout=10) as answer:
        return json.load(answer)["paths"]


def test_document_says_what_tests_hold_the_answers_to(paths):
    said = {
        path: content["schema"]["$ref"].rpartition("/")[2]
        for path, operations in paths.items() for operation in operations.values()
        for kind, content in operation["responses"]["200"]["content"].items() if kind == "application/json"
    }
    assert said == {path: model.__name__ for path, model in ANSWERS.items()}


def test_every_call_that_changes_something_names_every_kind_it_may_refuse_with(paths):
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method == "post":
                assert {int(status) for status in operation["responses"]} == {200, *answers.WRITING}, path
    assert {kind for status in answers.WRITING for kind in answers.KINDS[status]} == {
        "denied", "not_held", "no_leader", "pinned", "stale", "halted", "forbidden", "invalid", "unsupported", "not_durable", "stopping", "too_many",
        "timeout", "unreachable"}


def test_every_call_needs_a_token_and_the_header_and_says_so(paths):
    for path, operations in paths.items():
        for operation in operations.values():
            assert ("security" in operation) is (path != "/healthz"), path
            headers = [parameter for parameter in operation.get("parameters", ()) if parameter["name"] == "lease-protocol"]
            assert [header["required"] for header in headers] == ([True] if path.startswith("/v1/") else []), path


def test_body_larger_than_any_request_needs_is_not_read(endpoint):
    refused = endpoint.call("POST", "/v1/claim", {"application": "x" * 1_100_000})
    assert (refused.status, refused.kind) == (413, "invalid")


def test_names_that_cannot_be_written_as_text_are_refused_like_others(endpoint):
    refused = endpoint.call("POST", "/v1/claim", {"application": "db", "holder": "db/0", "\ud800": 1})
    assert (refused.status, refused.kind) == (422, "invalid")


def test_strange_requests_get_no_answer_outside_the_document(tmp_path):
    endpoint = attack.start(tmp_path)
    try:
        made, _said = attack.run(endpoint, 390, seed=1, phases="examples,fuzzing")
        assert made >= 300
    finally:
        assert endpoint.stop() == 0
