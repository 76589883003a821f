# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL answers; that it is one of Debian's clusters is made up by two small programs in the PATH."""

from __future__ import annotations

import json
import pathlib
import shlex
import shutil
import tempfile

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.leasehold.series_upgrade.plugins.modules import postgresql_collations
from tests.unit.plugins.module_utils._postgres.test_collations import NEEDS, Real

LISTS = "#!/bin/sh\necho '[{\"version\": \"15\", \"cluster\": \"main\", \"running\": 1, \"owner\": \"postgres\"}]'\n"
# Called as: runuser -u postgres -- psql --cluster 15/main ...
GOES_IN = "#!/bin/sh\nshift 6\nexec %s \"$@\"\n"


@pytest.fixture(name="real", scope="module")
def _real():
    place = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    real = Real(place)
    real.sql("CREATE DATABASE app TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
    real.sql("CREATE TABLE people (name text PRIMARY KEY)", "app")
    yield real
    real.stop()
    shutil.rmtree(place)


@pytest.fixture(name="ask")
def _ask(request, capsys, tmp_path, monkeypatch):
    def call(**options):
        real = request.getfixturevalue("real")
        for program, text in (("pg_lsclusters", LISTS), ("runuser", GOES_IN % shlex.join(real.server.psql))):
            (tmp_path / program).write_text(text, encoding="ascii")
            (tmp_path / program).chmod(0o755)
        monkeypatch.setenv("PATH", "%s:/usr/bin:/bin" % tmp_path)
        with patch_module_args(options), pytest.raises(SystemExit):
            postgresql_collations.main()
        return json.loads(capsys.readouterr().out)

    return call


@NEEDS
def test_module_looks_and_changes_nothing_until_it_is_asked_to(ask, real):
    real.sql("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'app'")
    for options in ({}, {"reindex": True, "_ansible_check_mode": True}):
        answer = ask(**options)
        assert (answer["indexes"], answer["problems"], answer["changed"]) == (1, [], bool(options))
        assert "1 of its indexes is in the old order" in answer["msg"]
    answer = ask(reindex=True)
    assert answer["changed"] and not answer.get("failed")
    again = ask(reindex=True)
    assert (again["changed"], again["indexes"], again["msg"]) == (False, 0, "No collation has changed.")


@NEEDS
def test_cluster_that_is_named_and_not_there_is_a_problem(ask):
    answer = ask(clusters=["13/old"])
    assert answer["problems"] == ["There is no cluster 13/old here."]
    assert ask(clusters=["13/old"], reindex=True)["failed"]


def test_machine_without_postgresql_has_nothing_out_of_order(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with patch_module_args({}), pytest.raises(SystemExit):
        postgresql_collations.main()
    assert json.loads(capsys.readouterr().out)["clusters"] == []
