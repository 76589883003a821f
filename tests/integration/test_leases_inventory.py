# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin leases as a person meets it: ansible-inventory against a real endpoint, with the examples of its documentation."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from ansible_collections.leasehold.series_upgrade.plugins.inventory import leases
from tests.contract.endpoint import Endpoint

UNITS = {"series_upgrade_applications": {
    "db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}},
    "web-front": {"units": {"web-front/0": "m1", "web-front/1": "m2"}},
}}
SOURCE = {"plugin": "leasehold.series_upgrade.leases"}


@pytest.fixture(name="endpoint", scope="module")
def endpoint_(tmp_path_factory):
    """db is led by db/1 and pinned; web-front is led by web-front/0 and was halted by a lapse."""
    running = Endpoint(tmp_path_factory.mktemp("endpoint"))
    running.start()
    running.token("reader", "read")
    running.token("controller", "pin")
    for unit in ("web-front/0", "web-front/1"):
        running.claim("web-front", unit, 300)
    running.pin("web-front", who="controller", duration=5)
    running.pass_time(6)
    for unit in ("db/1", "db/0", "db/2"):
        running.claim("db", unit, 300)
    running.pin("db", who="controller", run="to-trixie", duration=6000)
    yield running
    assert running.stop() == 0


@pytest.fixture(name="shown")
def shown_(endpoint, tmp_path):
    """Runs ansible-inventory over a directory with these files; returns (exit status, standard output, standard error)."""
    def show(source, *words, hosts=True, variables=None, name="leases.yml", token="reader", **more):
        place = tmp_path / "inventory"
        (place / "group_vars").mkdir(parents=True, exist_ok=True)
        if hosts:
            (place / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(("m1", "m2", "m3", "m4"))}}), encoding="utf-8")
        (place / "group_vars/all.yml").write_text(yaml.safe_dump(UNITS if variables is None else variables), encoding="utf-8")
        (place / name).write_text(source if isinstance(source, str) else yaml.safe_dump(source), encoding="utf-8")
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LEASE_ENDPOINT_", "ANSIBLE_"))}
        env.update({"LEASE_ENDPOINT_URL": endpoint.url, "LEASE_ENDPOINT_TOKEN": endpoint.tokens[token], "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
                    "ANSIBLE_NOCOLOR": "1", **more})
        words = words if words[0] == "adhoc" else ("inventory", *words)
        ran = subprocess.run([sys.executable, "-m", "ansible", words[0], "-i", str(place), *words[1:]], env={key: value for key, value in env.items() if value},
                             capture_output=True, text=True, timeout=120, check=False)
        for secret in endpoint.tokens.values():
            assert secret not in ran.stdout + ran.stderr, "a token was shown"
        return ran.returncode, ran.stdout, ran.stderr
    return show


def groups(listed):
    return {name: sorted(group.get("hosts", [])) for name, group in listed.items() if name.startswith("lease_")}


def plain(out):
    """What --list says; it marks strings that no template may come from, as all that the endpoint says are."""
    return json.loads(out, object_hook=lambda found: found["__ansible_unsafe"] if set(found) == {"__ansible_unsafe"} else found)


def said(text):
    """What Ansible wrote, without its line breaks."""
    return " ".join(text.split())


def test_applications_of_the_inventory_say_which_host_a_unit_is(shown):
    status, out, err = shown(SOURCE, "--list")
    assert status == 0, err
    listed = plain(out)
    assert groups(listed) == {
        "lease_app_db": ["m1", "m2", "m3"], "lease_app_web_front": ["m1", "m2"], "lease_leader_db": ["m2"], "lease_leader_web_front": ["m1"],
        "lease_leaders": ["m1", "m2"], "lease_pinned": ["m1", "m2", "m3"], "lease_halted": ["m1", "m2"], "lease_provider_native": ["m1", "m2", "m3"]}
    m2 = listed["_meta"]["hostvars"]["m2"]
    assert m2["leases"]["db"] == {
        "unit": "db/1", "leads": True, "holder": "db/1", "term": 1, "provider": "native", "pinned": True, "pinners": ["controller/to-trixie"],
        "halted": False, "overdue": False, "unreadable": None}
    assert m2["leases"]["web-front"]["halted"] is True and m2["leases"]["web-front"]["leads"] is False
    assert [m2["lease_" + name] for name in ("applications", "leads", "pinned", "halted")] == [["db", "web-front"], ["db"], ["db"], ["web-front"]]


def test_groups_that_may_be_empty_exist(shown):
    status, out, err = shown(SOURCE, "--graph")
    assert status == 0, err
    for name in ("lease_overdue", "lease_unreadable", "lease_leaders"):
        assert "@%s:" % name in out
    assert "@lease_leader_db:\n  |  |--m2" in out


def test_hosts_of_the_source_come_before_the_applications_and_an_expression_after_both(shown):
    source = {**SOURCE, "applications": ["db"], "hosts": {"db/1": "other.example"}, "host": "application ~ '-' ~ unit.split('/')[1]"}
    status, out, err = shown(source, "--list", variables={"series_upgrade_applications": {"db": {"units": {"db/0": "m1"}}}})
    assert status == 0, err
    assert groups(plain(out))["lease_app_db"] == ["db-2", "m1", "other.example"]
    assert groups(plain(out))["lease_leader_db"] == ["other.example"]


def test_unit_of_which_nobody_says_its_host_is_an_error_or_left_out(shown):
    status, _out, err = shown(SOURCE, "--list", variables={})
    assert status != 0 and "which host is unit db/0 of db? Say it in hosts, in series_upgrade_applications or by host" in said(err)
    status, out, err = shown({**SOURCE, "unmapped": "skip", "hosts": {"db/1": "m2"}}, "--list", variables={})
    assert status == 0, err
    assert groups(plain(out))["lease_app_db"] == ["m2"]


def test_constructed_features_know_the_leases_and_the_cached_facts(shown, tmp_path):
    cache = {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts")}
    learnt = shown(SOURCE, "adhoc", "m1", "-m", "ansible.builtin.set_fact", "-a", "ansible_distribution_release=bookworm cacheable=true", **cache)
    assert learnt[0] == 0, learnt
    source = list(yaml.safe_load_all(leases.EXAMPLES))[1]
    del source["endpoint_url"], source["endpoint_token_file"], source["host"]
    status, out, err = shown(source, "--list", **cache)
    assert status == 0, err
    listed = plain(out)
    assert {name: listed[name]["hosts"] for name in ("leads_db", "leads_web_front", "series_bookworm")} == {
        "leads_db": ["m2"], "leads_web_front": ["m1"], "series_bookworm": ["m1"]}
    assert sorted(listed["series_unknown"]["hosts"]) == ["m2", "m3"]
    assert sorted(listed["frozen_by_me"]["hosts"]) == ["m1", "m2", "m3"]
    assert listed["_meta"]["hostvars"]["m3"]["db_term"] == 1


def test_first_example_of_the_documentation_is_taken_as_it_stands(shown, endpoint):
    first = next(yaml.safe_load_all(leases.EXAMPLES))
    assert set(first) == {"plugin", "endpoint_url", "endpoint_ca_file"}
    status, out, err = shown({**first, "endpoint_url": endpoint.url, "endpoint_ca_file": None}, "--list", name="db.leases.yml")
    assert status == 0, err
    assert groups(plain(out))["lease_leader_db"] == ["m2"]


def test_mistake_in_an_expression_is_an_error_when_strict(shown):
    status, _out, err = shown({**SOURCE, "strict": True, "compose": {"x": "leases.nothing.term"}}, "--list")
    assert status != 0 and "nothing" in err
    status, _out, err = shown({**SOURCE, "host": "unit.nothing.more"}, "--list", variables={})
    assert status != 0 and "the expression in host cannot be used for unit db/0 of db" in said(err)


def test_what_is_wrong_is_said_in_one_sentence(shown):
    for source, more, sentence in (
        (SOURCE, {"LEASE_ENDPOINT_URL": "http://127.0.0.1:9"}, "no answer from the lease endpoint at http://127.0.0.1:9: connection refused"),
        (SOURCE, {"LEASE_ENDPOINT_URL": "http://leases.example:8470"}, "would cross the network in the clear"),
        (SOURCE, {"LEASE_ENDPOINT_TOKEN": "lease_0_0"}, "this token is not known here"),
        (SOURCE, {"LEASE_ENDPOINT_TOKEN": "", "LEASE_ENDPOINT_TOKEN_FILE": "/nowhere/token"}, "the token file /nowhere/token cannot be read"),
        ({**SOURCE, "applications": ["queue"]}, {}, "the endpoint knows no application queue"),
        ({**SOURCE, "endpoint_ca_file": "/nowhere/ca.pem"}, {"LEASE_ENDPOINT_URL": "https://127.0.0.1:9"}, "the CA file /nowhere/ca.pem cannot be read"),
    ):
        status, _out, err = shown(source, "--list", **more)
        assert status != 0 and sentence in said(err) and "Traceback" not in err, (sentence, err)


def test_token_file_is_read_and_a_cached_answer_is_kept_until_it_is_refreshed(shown, endpoint, tmp_path):
    token = tmp_path / "token"
    token.write_text(endpoint.tokens["reader"] + "\n", encoding="utf-8")
    source = {**SOURCE, "cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    more = {"LEASE_ENDPOINT_TOKEN": "", "LEASE_ENDPOINT_TOKEN_FILE": str(token)}
    assert shown(source, "--list", **more)[0] == 0
    assert endpoint.tokens["reader"] not in "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "cache").iterdir())
    gone = {**more, "LEASE_ENDPOINT_URL": "http://127.0.0.1:9"}
    status, out, err = shown(source, "--list", **gone)
    assert status == 0 and groups(plain(out))["lease_leader_db"] == ["m2"], err
    assert shown(source, "--list", "--flush-cache", **gone)[0] != 0
