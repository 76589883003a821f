# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens are replaced while everybody goes on working."""

from __future__ import annotations

from lease_endpoint.tokens import Tokens


def rotate(endpoint, name, overlap):
    """As `token rotate` does; the new secret is known to the endpoint fixture as NAME-new."""
    endpoint.tokens[name + "-new"] = Tokens(endpoint.directory / "data/tokens.json", endpoint.wall).rotate(name, overlap)


def test_old_and_new_secret_are_both_good_while_they_overlap_and_share_pins(endpoint, db):
    name = "rotated-" + db
    endpoint.token(name, "pin")
    endpoint.claim(db, "db/0")
    assert endpoint.pin(db, who=name)["changed"] is True
    rotate(endpoint, name, 3600)
    assert endpoint.pin(db, who=name + "-new")["changed"] is False, "the pin is the caller's, not the secret's"
    assert endpoint.call("GET", "/v1/whoami", who=name).body == endpoint.call("GET", "/v1/whoami", who=name + "-new").body
    assert endpoint.unpin(db, who=name + "-new")["changed"] is True


def test_old_secret_is_refused_after_the_overlap_and_the_new_one_is_not(endpoint, db):
    name = "late-" + db
    endpoint.token(name, "pin")
    rotate(endpoint, name, 600)
    endpoint.step_wall_clock(601)
    try:
        refused = endpoint.call("GET", "/v1/whoami", who=name)
        assert (refused.status, refused.kind) == (401, "forbidden") and "has expired" in refused.body["msg"]
        assert endpoint.call("GET", "/v1/whoami", who=name + "-new").status == 200
    finally:
        endpoint.step_wall_clock(-601)
