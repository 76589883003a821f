# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL of Debian's package, on loopback; only the versions that its catalogues have recorded are made up, for no test can change glibc."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._postgres import collations, servers
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result

BINARIES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
NEEDS = pytest.mark.skipif(not BINARIES, reason="there is no PostgreSQL; make system installs it")
# It refuses to run as root.
AS = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
TABLES = """
CREATE TABLE people (name text PRIMARY KEY, born int, plain text COLLATE "C");
CREATE INDEX people_born ON people (born);
CREATE INDEX people_plain ON people (plain);
CREATE INDEX "Odd ""name" ON people (lower(name));
CREATE INDEX people_icu ON people (name COLLATE "de-x-icu");
INSERT INTO people SELECT 'name ' || i, i, i::text FROM generate_series(1, 100) AS i;
"""


class Real:
    """A cluster of its own in a directory of its own, reached by its socket alone."""

    def __init__(self, place):
        self.place = place
        if AS:
            os.chown(place, *pwd.getpwnam("postgres")[2:4])
        self.run(BINARIES[-1] / "initdb", "-D", place / "data", "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "--no-sync", "-E", "UTF8")
        self.run(BINARIES[-1] / "pg_ctl", "-D", place / "data", "-w", "-l", place / "log", "-o", "-c listen_addresses='' -c fsync=off -k %s" % place, "start")
        self.server = servers.Server("test/main", AS + [str(BINARIES[-1] / "psql"), "-h", str(place), "-U", "postgres"], True)

    @staticmethod
    def run(*words):
        subprocess.run(AS + [str(word) for word in words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def sql(self, text, database="postgres"):
        for command in filter(str.strip, text.split(";\n")):
            servers.tell(self.server, database, command, programs.run)

    def look(self):
        return collations.look_at(self.server, programs.run)

    def stop(self):
        self.run(BINARIES[-1] / "pg_ctl", "-D", self.place / "data", "-m", "immediate", "stop")


@pytest.fixture(name="real", scope="module")
def _real():
    place = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    real = Real(place)
    real.sql("CREATE DATABASE app TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
    yield real
    real.stop()
    shutil.rmtree(place)


@pytest.fixture(name="app")
def _app(real):
    real.sql("DROP TABLE IF EXISTS people, parts", "app")
    real.sql(TABLES, "app")
    real.sql("UPDATE pg_database SET datcollversion = pg_database_collation_actual_version(oid)")
    return real


def outdate(app):
    """As if glibc had been upgraded since."""
    app.sql("UPDATE pg_database SET datcollversion = '2.31' WHERE datname = 'app'")


def indexes(found):
    return [item["name"] for database in found["databases"] for item in database["depending"]]


@NEEDS
def test_nothing_is_found_where_nothing_has_changed(app):
    found = app.look()
    assert found["databases"] == [] and found["standby"] is False and found["version"] >= 130000


@NEEDS
def test_indexes_in_the_order_of_the_database_are_found_when_its_collation_has_changed_and_those_by_bytes_or_numbers_are_not(app):
    outdate(app)
    found = app.look()
    assert [database["name"] for database in found["databases"]] == ["app"]
    assert sorted(indexes(found)) == ['"Odd ""name"', "people_pkey"]
    assert collations.sentences([found])[0].startswith("test/main, database app: its collations have changed (2.31 to ")
    assert "2 of its indexes are in the old order" in collations.sentences([found])[0]


@NEEDS
def test_database_that_sorts_by_bytes_is_left_alone(app):
    app.sql("UPDATE pg_database SET datcollversion = '2.31' WHERE datname = 'postgres'")
    assert app.look()["databases"] == []


@NEEDS
def test_query_that_a_person_may_ask_shows_the_same(app):
    outdate(app)
    assert [row["datname"] for row in servers.ask(app.server, "postgres", collations.QUERY, programs.run)] == ["app"]


@NEEDS
def test_index_of_a_collation_of_its_own_is_found_by_itself(app):
    app.sql("UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'de-x-icu'", "app")
    try:
        assert indexes(app.look()) == ["people_icu"]
        assert collations.rebuild(app.server, app.look(), programs.run) == []
        assert app.look()["databases"] == []
    finally:
        app.sql("UPDATE pg_collation SET collversion = pg_collation_actual_version(oid) WHERE collname = 'de-x-icu'", "app")


@NEEDS
def test_rebuilding_rebuilds_each_index_and_records_the_new_version(app):
    outdate(app)
    before = servers.ask(app.server, "app", "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'i' AND relname NOT LIKE 'pg_%'", programs.run)
    assert collations.rebuild(app.server, app.look(), programs.run) == []
    after = servers.ask(app.server, "app", "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'i' AND relname NOT LIKE 'pg_%'", programs.run)
    files = {row["relname"]: row["relfilenode"] for row in before}
    assert sorted(row["relname"] for row in after if row["relfilenode"] != files[row["relname"]]) == ['Odd "name', "people_pkey"]
    assert app.look()["databases"] == []


@NEEDS
def test_index_that_cannot_be_rebuilt_keeps_the_old_version_recorded(app):
    # Duplicates are what an index in the wrong order has let in; here they are put in behind its back.
    app.sql("CREATE TABLE parts (name text); INSERT INTO parts VALUES ('a'), ('b')".replace("; ", ";\n"), "app")
    app.sql("CREATE UNIQUE INDEX parts_name ON parts (name)", "app")
    app.sql("UPDATE pg_index SET indisready = false, indislive = true, indisvalid = false WHERE indexrelid = 'parts_name'::regclass", "app")
    app.sql("INSERT INTO parts VALUES ('a')", "app")
    outdate(app)
    said = collations.rebuild(app.server, app.look(), programs.run)
    assert len(said) == 1 and "could not create unique index" in said[0] and "duplicate rows have to be removed first" in said[0]
    assert "app" in [database["name"] for database in app.look()["databases"]]


@NEEDS
def test_rows_of_range_partitions_are_told_because_no_reindex_mends_them(app):
    app.sql("CREATE TABLE parts (name text) PARTITION BY RANGE (name)", "app")
    outdate(app)
    assert ("partitions", "parts") in [(item["kind"], item["name"]) for item in app.look()["databases"][0]["depending"]]
    said = collations.rebuild(app.server, app.look(), programs.run)
    assert len(said) == 1 and "the rows of parts may lie in the wrong partition" in said[0]
    assert app.look()["databases"]


@NEEDS
def test_strange_name_of_a_database_is_only_a_name(app):
    name = "it's \\ \"odd\""
    app.sql('CREATE DATABASE "%s" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE \'en-US\'' % name.replace('"', '""'))
    try:
        app.sql("UPDATE pg_database SET datcollversion = '2.31' WHERE datname LIKE 'it%'")
        assert [database["name"] for database in app.look()["databases"]] == [name]
        assert collations.rebuild(app.server, app.look(), programs.run) == []
        assert app.look()["databases"] == []
    finally:
        app.sql('DROP DATABASE "%s"' % name.replace('"', '""'))


@NEEDS
def test_server_that_refuses_is_a_problem_and_not_an_empty_answer(app):
    wrong = app.server._replace(psql=app.server.psql[:-1] + ["nobody"])
    found = collations.look_at(wrong, programs.run)
    assert "databases" not in found and 'role "nobody" does not exist' in found["problem"]


def test_standby_is_not_rebuilt():
    said = collations.rebuild(servers.Server("15/main", [], True), {"standby": True, "databases": []}, None)
    assert said == ["15/main is a standby; rebuild at its leader, and the standbys follow."]


def test_cluster_that_does_not_run_is_told():
    found = collations.look_at(servers.Server("15/main", [], False), None)
    assert collations.sentences([found]) == ["15/main does not run, so its collations could not be compared."]


@NEEDS
@pytest.mark.skipif(not AS, reason="only root becomes the server's user")
def test_server_that_patroni_has_made_is_found_by_its_socket(app):
    outdate(app)

    def run(argv, timeout=60):
        return Result(0, "[]", "") if argv[0] == "pg_lsclusters" else programs.run(argv, timeout)

    found = servers.servers(run, str(app.place))
    assert [server.name for server in found] == ["port 5432"]
    assert sorted(indexes(collations.look_at(found[0], run))) == ['"Odd ""name"', "people_pkey"]


def test_machine_without_postgresql_has_nothing_to_tell_and_one_that_does_not_answer_has(monkeypatch):
    monkeypatch.setattr(servers, "SOCKETS", "/nonexistent")
    assert servers.servers(lambda argv, timeout: Result(127, "", "not found"), "/nonexistent") is None
    assert "does not tell the clusters" in collations.look(lambda argv, timeout: Result(1, "", "broken"))[0]["problem"]


def test_clusters_are_read_as_debian_lists_them():
    told = '[{"version": "15", "cluster": "main", "port": "5432", "running": 1, "owner": "postgres"}, {"version": "13", "cluster": "old", "running": 0}]'
    found = servers.servers(lambda argv, timeout: Result(0, told, ""), "/nonexistent")
    assert [(server.name, server.online, server.psql[-2:]) for server in found] == [
        ("15/main", True, ["--cluster", "15/main"]), ("13/old", False, ["--cluster", "13/old"])]


def test_server_before_15_cannot_tell_so_every_index_by_text_counts():
    """Recorded answers of a 14; there is no such server here."""
    answers = iter(['[{"version": 140011, "standby": false}]', '[{"name": "app", "recorded": null, "actual": null, "changed": true}]',
                    '[{"kind": "index", "name": "a", "on_table": "t", "collation": "default", "recorded": null, "actual": null}]'])
    found = collations.look_at(servers.Server("14/main", [], True), lambda argv, timeout: Result(0, next(answers), ""))
    assert "(an unknown version to an unknown one), and 1 of its indexes is in the old order" in collations.sentences([found])[0]
