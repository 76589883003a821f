# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications file: what it may say, and that everything else is told with the application and the key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lease_endpoint import applications
from lease_endpoint.errors import Invalid
from lease_endpoint.providers import FOREIGN
from lease_endpoint.providers.foreign import Foreign
from lease_endpoint.providers.patroni import Patroni
from tests.contract.endpoint import cli
from tests.contract.providers import WORLDS
from tests.etcd import Certificates

DOCS = Path(__file__).resolve().parents[3] / "docs"
MEMBERS = {"db/0": "https://m1:8008"}


def refusal(found):
    with pytest.raises(Invalid) as refused:
        applications.made(found)
    return refused.value.msg


@pytest.mark.parametrize("found, said", [
    ([], "must be an object of applications"),
    ({"a b": {}}, "'a b' is no name of an application"),
    ({"db": "patroni"}, "db: provider is missing"),
    ({"db": {"members": {}}}, "db: provider is missing; give one of"),
    ({"db": {"provider": "zookeeper"}}, "db: provider zookeeper is not known here"),
    ({"db": {"provider": "patroni"}}, "db: members is missing"),
    ({"db": {"provider": "patroni", "members": {}}}, "db: members must be an object of units"),
    ({"db": {"provider": "patroni", "members": {"d b": "https://m1:8008"}}}, "db: members must name units as db/0, not 'd b'"),
    ({"db": {"provider": "patroni", "members": {"db/0": "m1:8008"}}}, "db: members: db/0: 'm1:8008' is no address"),
    ({"db": {"provider": "patroni", "members": {"db/0": "https://u:p@m1:8008"}}}, "is no address"),
    ({"db": {"provider": "patroni", "members": {"db/0": {"url": "https://m1:8008", "nam": "x"}}}}, "is no address"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "user": "x"}}, "db: 'user' is no option here; there are"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "timeout": "5"}}, "db: timeout must be 0.5 to 30 (seconds)"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "patience": True}}, "db: patience must be 1 to 300 (seconds)"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "username": "x"}}, "db: username and password_file belong together"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "ca_file": "/nowhere"}}, "db: ca_file: /nowhere cannot be read"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "cert_file": __file__}}, "db: cert_file and key_file belong together"),
    ({"db": {"provider": "patroni", "members": MEMBERS, "ca_file": __file__}}, "these are not certificates"),
])
def test_mistake_is_told_with_application_and_key(found, said):
    assert said in refusal(found)


def test_password_over_plain_http_is_refused_unless_it_stays_on_the_machine(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("x", encoding="ascii")
    more = {"provider": "patroni", "username": "x", "password_file": str(secret)}
    assert "in the clear" in refusal({"db": {**more, "members": {"db/0": "http://m1:8008"}}})
    assert isinstance(applications.made({"db": {**more, "members": {"db/0": "http://127.0.0.1:8008"}}})["db"], Patroni)


def test_endpoint_with_a_mistake_in_the_file_does_not_start_and_says_where(tmp_path):
    file = tmp_path / "applications.json"
    for text, said in (("{", "is not JSON"), ('{"db": {"provider": "patroni"}}', "db: members is missing"), (None, "cannot be read")):
        file.unlink(missing_ok=True) if text is None else file.write_text(text, encoding="ascii")
        refused = cli("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--applications", str(file))
        assert refused.returncode == 1 and str(file) in refused.stderr and said in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize("page", ["patroni", "etcd"])
def test_example_of_the_page_is_taken(page, tmp_path):
    found = json.loads(re.search(r"```json\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.S).group(1))
    authority = Certificates(tmp_path)
    for options in found.values():
        options.update({key: str(authority.ca) for key in options if key.endswith("_file")})
    assert all(isinstance(provider, Foreign) for provider in applications.made(found).values())


def test_every_provider_is_held_to_the_contract_and_has_a_page_and_a_column():
    assert set(WORLDS) == {"native", *FOREIGN}
    protocol = (DOCS / "lease_protocol.md").read_text(encoding="utf-8")
    for name, provider in FOREIGN.items():
        assert provider.name == name and (DOCS / f"{name}.md").exists() and f"[`{name}`]({name}.md)" in protocol
