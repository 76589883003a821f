# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's token reaches what the machine hosts, and nothing else."""

from __future__ import annotations

import pytest


@pytest.fixture
def m1(endpoint, db):
    """The name of a token of a machine that hosts unit 0 of the application `db`."""
    name = "m1-" + db
    endpoint.token(name, "hold", "pin", units=(db + "/0",))
    return name


def test_machine_holds_what_it_hosts(endpoint, db, m1):
    lease = endpoint.claim(db, db + "/0", who=m1).body["lease"]
    assert endpoint.renew(db, db + "/0", lease["term"], who=m1).status == 200
    assert endpoint.resign(db, db + "/0", lease["term"], who=m1).status == 200


@pytest.mark.parametrize("verb", ["claim", "renew", "resign"])
def test_machine_holds_nothing_in_the_name_of_another(endpoint, db, m1, verb):
    held = endpoint.claim(db, db + "/1").body["lease"]
    words = {"claim": (), "renew": (held["term"],), "resign": (held["term"],)}[verb]
    refused = getattr(endpoint, verb)(db, db + "/1", *words, who=m1)
    assert (refused.status, refused.kind) == (403, "forbidden") and f"only as {db}/0, not as {db}/1" in refused.body["msg"]
    assert endpoint.lease(db)["holder"] == db + "/1"


def test_machine_pins_and_unpins_only_applications_it_hosts(endpoint, db, m1):
    other = db + "-other"
    for application in (db, other):
        endpoint.claim(application, application + "/1")
    pinned = endpoint.pin_all([{"application": db}, {"application": other}], who=m1)
    assert [result.get("kind") for result in pinned] == [None, "forbidden"]
    assert "only what the machine hosts: %s, not %s" % (db, other) in pinned[1]["msg"]
    assert endpoint.lease(db)["pinned"] is True and endpoint.lease(other)["pinned"] is False
    assert endpoint.unpin(other, who=m1)["kind"] == "forbidden"
    assert endpoint.unpin(db, who=m1)["changed"] is True


def test_machine_never_chooses_who_leads_next(endpoint, db, m1):
    endpoint.claim(db, db + "/0")
    endpoint.claim(db, db + "/1")
    refused = endpoint.transfer(db, db + "/1", who=m1)
    assert refused.kind == "forbidden" and "operator" in refused.body["msg"] and endpoint.lease(db)["holder"] == db + "/0"


def test_machine_reads_everything(endpoint, db, m1):
    endpoint.claim(db + "-other", "other/0")
    assert endpoint.call("GET", "/v1/leases?application=%s-other" % db, who=m1).body["leases"][0]["holder"] == "other/0"


def test_whoami_says_what_a_machine_hosts(endpoint, db, m1):
    assert endpoint.call("GET", "/v1/whoami", who=m1).body == {
        "identity": m1, "scopes": ["read", "hold", "pin"], "applications": None, "units": {db: [db + "/0"]}}


def test_units_may_have_names_of_their_own(endpoint, db):
    endpoint.token("pg-" + db, "hold", units=("%s=pg1" % db,))
    assert endpoint.claim(db, "pg1", who="pg-" + db).status == 200
    assert endpoint.claim(db, "pg2", who="pg-" + db).kind == "forbidden"
