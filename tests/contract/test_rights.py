# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, and that a stray request can do nothing."""

from __future__ import annotations

import concurrent.futures
import json
import urllib.error
import urllib.request

import pytest

from lease_endpoint.tokens import Tokens
from tests.contract.endpoint import HEADERS


def test_request_without_the_header_changes_nothing(endpoint, db):
    bare = {"Content-Type": "application/json"}
    refused = endpoint.claim(db, "db/0", headers=bare)
    assert (refused.status, refused.kind) == (400, "invalid") and "Lease-Protocol" in refused.body["msg"]
    assert endpoint.call("GET", "/v1/leases?application=" + db).body["unknown"] == [db]


def test_endpoint_never_redirects(endpoint, db):
    endpoint.claim(db, "db/0")
    body = {"items": [{"application": db}], "run": "r1", "reason": "test", "duration": 60}
    assert endpoint.call("POST", "/v1/pin/", body).status == 404
    assert endpoint.call("GET", "/v1/pin").status == 405
    assert endpoint.lease(db)["pinned"] is False


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer nonsense", "Bearer lease_000000000000_secret", "Basic YTpi"])
def test_request_without_a_known_token_is_forbidden(endpoint, header):
    headers = dict(HEADERS, **({"Authorization": header} if header else {}))
    refused = endpoint.call("GET", "/v1/leases", who="", headers=headers)
    assert (refused.status, refused.kind) == (401, "forbidden")


def test_token_with_a_wrong_secret_is_forbidden(endpoint):
    endpoint.tokens["forged"] = endpoint.tokens["admin"][:-3] + "AAA"
    assert endpoint.call("GET", "/v1/whoami", who="forged").status == 401


def test_reader_may_read_and_nothing_else(endpoint, db):
    endpoint.claim(db, "db/0")
    assert endpoint.call("GET", "/v1/leases", who="reader").status == 200
    assert endpoint.call("GET", "/v1/pins", who="reader").status == 200
    assert endpoint.claim(db, "db/1", who="reader").kind == "forbidden"
    body = {"items": [{"application": db}], "run": "r1", "reason": "test", "duration": 60}
    refused = endpoint.call("POST", "/v1/pin", body, "reader")
    assert (refused.status, refused.kind) == (403, "forbidden")
    assert endpoint.lease(db)["pinned"] is False


def test_host_pins_only_applications_it_hosts(endpoint, db):
    own = "host-" + db
    assert endpoint.claim(own, "u/0", who="host").status == 200
    assert endpoint.claim(db, "u/0", who="host").kind == "forbidden"
    endpoint.claim(db, "db/0")
    results = endpoint.pin_all([{"application": own}, {"application": db}], who="host")
    assert [result.get("kind") for result in results] == [None, "forbidden"]
    assert endpoint.lease(db)["pinned"] is False


def test_whoami_tells_rights_before_they_are_needed(endpoint):
    assert endpoint.call("GET", "/v1/whoami", who="host").body == {
        "identity": "host", "scopes": ["read", "hold", "pin"], "applications": ["host-*"], "units": None}
    assert endpoint.call("GET", "/v1/whoami").body["scopes"] == ["read", "hold", "pin", "admin"]


def test_revoked_token_is_worthless_at_once_and_its_pins_stay(endpoint, db):
    endpoint.token("carol", "pin")
    endpoint.claim(db, "db/0")
    endpoint.pin(db, who="carol")
    assert Tokens(endpoint.directory / "data/tokens.json").revoke("carol") is True
    assert endpoint.call("GET", "/v1/whoami", who="carol").status == 401
    assert endpoint.lease(db)["pinned"] is True


def test_tokens_made_at_the_same_time_under_load_all_work(endpoint, db):
    names = [f"{db}-{number}" for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(8) as many:
        load = [many.submit(endpoint.claim, db, f"u/{number % 3}") for number in range(60)]
        list(many.map(lambda name: endpoint.token(name, "read"), names))
        assert {answer.result().status for answer in load} <= {200, 409}
    assert {endpoint.call("GET", "/v1/whoami", who=name).status for name in names} == {200}


def test_no_secret_is_kept_or_logged(endpoint):
    secret = endpoint.tokens["alice"].split("_", 2)[2].encode()
    kept = [path for path in (endpoint.directory / "data").iterdir() if path.name != "admin.token"]
    assert kept
    for path in [*kept, endpoint.said]:
        assert secret not in path.read_bytes(), path
        if path != endpoint.said:
            assert path.stat().st_mode & 0o077 == 0, path


def test_metrics_need_a_token_and_health_does_not(endpoint, db):
    endpoint.claim(db, "db/0")
    with urllib.request.urlopen(endpoint.url + "/healthz", timeout=10) as answer:
        assert json.load(answer) == {"ok": True}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(endpoint.url + "/metrics", timeout=10)
    refused.value.close()
    assert refused.value.code == 401
    request = urllib.request.Request(endpoint.url + "/metrics", headers={"Authorization": "Bearer " + endpoint.tokens["reader"]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    assert f'lease_term{{application="{db}"}} 1.0' in text and "lease_refusals_total" in text


def test_openapi_names_every_verb(endpoint):
    with urllib.request.urlopen(endpoint.url + "/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    verbs = {"claim", "renew", "resign", "transfer", "pin", "unpin", "pins", "leases", "clear-halt", "whoami"}
    assert {"/v1/" + verb for verb in verbs} <= set(paths)
