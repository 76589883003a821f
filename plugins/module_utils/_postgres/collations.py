# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Collations that have changed below a PostgreSQL server: noticed, what depends on them listed, rebuilt when asked for.

A new glibc or ICU may sort text in another order. An index that was built in the old order then misses rows and lets duplicates in, silently; so
does a replica whose machine sorts otherwise than its leader's. PostgreSQL keeps the version that a collation had (ALTER COLLATION, ALTER DATABASE
in its documentation; pg_database.datcollversion from 15 on) and compares. Private room of the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from .servers import Run, Server, Unanswered, ask, servers, tell

# Before 15 nobody kept the version of a database's own collation: it cannot be told, which is not the same as unchanged.
KEPT_SINCE = 150000

# What sorts by bytes ("C", "C.UTF-8") has no version and never changes.
DATABASES = """
SELECT datname AS name, datcollversion AS recorded, pg_database_collation_actual_version(oid) AS actual,
       datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)
       AND pg_database_collation_actual_version(oid) IS NOT NULL AS changed
  FROM pg_database WHERE datallowconn ORDER BY 1"""
DATABASES_BEFORE_15 = """
SELECT datname AS name, NULL AS recorded, NULL AS actual, datcollate NOT IN ('C', 'POSIX') AND datcollate NOT LIKE 'C.%' AS changed
  FROM pg_database WHERE datallowconn ORDER BY 1"""

# All that is kept in the order of a collation: indexes by their columns, range-partitioned tables by their keys. 100 is the database's default.
DEPENDING = """
SELECT kind, name, on_table, sorts AS "collation", recorded, actual FROM (
  SELECT 'index' AS kind, i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS on_table, k.coll AS oid
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indcollation::oid[]) AS k(coll)
   WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = i.indexrelid AND (c.relpersistence = 't' OR c.relkind = 'I'))
  UNION
  SELECT 'partitions', p.partrelid::regclass::text, p.partrelid::regclass::text, k.coll
    FROM pg_partitioned_table p CROSS JOIN LATERAL unnest(p.partcollation::oid[]) AS k(coll) WHERE p.partstrat = 'r'
) AS kept JOIN LATERAL (
  SELECT l.collname AS sorts, l.collversion AS recorded, pg_collation_actual_version(l.oid) AS actual FROM pg_collation l WHERE l.oid = kept.oid
) AS sorting ON CASE WHEN kept.oid = 100 THEN {default_changed} ELSE recorded IS DISTINCT FROM actual AND actual IS NOT NULL END
ORDER BY 1, 2"""

COLLATIONS = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname) AS name FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
 WHERE l.oid <> 100 AND l.collversion IS DISTINCT FROM pg_collation_actual_version(l.oid)
   AND pg_collation_actual_version(l.oid) IS NOT NULL AND l.collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding())) ORDER BY 1"""

# What a person may ask by himself, of every database; docs/postgresql.md shows it as well.
QUERY = ("SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database "
         "WHERE datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)")

Facts = Dict[str, Any]


def look(run: Run) -> List[Facts]:
    """
    Every cluster of this machine as look_at() shows it; one that does not run or answer has a "problem" instead. Changes nothing.
    """
    try:
        found = servers(run) or []
    except Unanswered as problem:
        return [{"cluster": "?", "problem": str(problem)}]
    return [look_at(server, run) for server in found]


def look_at(server: Server, run: Run) -> Facts:
    """
    {"cluster", "version" (150018), "standby", "databases": [{"name", "recorded", "actual", "depending": [{"kind": "index" or "partitions", "name",
    "on_table", "collation", "recorded", "actual"}]}]}: only databases in which something depends on a changed collation, or whose own has
    changed; or {"cluster", "problem"}.
    """
    if not server.online:
        return {"cluster": server.name, "problem": "{0} does not run, so its collations could not be compared.".format(server.name)}
    try:
        about = ask(server, "postgres", "SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby", run)[0]
        databases = []
        for database in ask(server, "postgres", DATABASES if about["version"] >= KEPT_SINCE else DATABASES_BEFORE_15, run):
            changed = database.pop("changed")
            depending = ask(server, database["name"], DEPENDING.format(default_changed="true" if changed else "false"), run)
            if changed or depending:
                databases.append(dict(database, depending=depending))
    except Unanswered as problem:
        return {"cluster": server.name, "problem": str(problem)}
    return {"cluster": server.name, "version": about["version"], "standby": about["standby"], "databases": databases}


def rebuild(server: Server, found: Mapping[str, Any], run: Run, timeout: float = 86400) -> List[str]:
    """
    Rebuild the indexes of FOUND (as look_at() gave it) while the server goes on working, and record the new versions of each database in which all of
    that went well. What did not is told, one sentence each; then nothing is recorded there, and it may be done again.
    """
    problems: List[str] = []
    if found.get("standby"):
        return ["{0} is a standby; rebuild at its leader, and the standbys follow.".format(server.name)]
    for database in found.get("databases") or []:
        failed = _rebuild_in(server, found["version"], database, run, timeout)
        partitions = [item["name"] for item in database["depending"] if item["kind"] == "partitions"]
        if partitions:
            failed.append("{0}, database {1}: the rows of {2} may lie in the wrong partition, which no REINDEX mends; move them, then record the version "
                          "by hand.".format(server.name, database["name"], ", ".join(partitions)))
        problems += failed or _record(server, found["version"], database["name"], run)
    return problems


def _rebuild_in(server: Server, version: int, database: Mapping[str, Any], run: Run, timeout: float) -> List[str]:
    failed = []
    names: Sequence[str] = list(dict.fromkeys(item["name"] for item in database["depending"] if item["kind"] == "index"))
    for name in names:
        # System catalogs cannot be rebuilt concurrently; from 12 on they sort by bytes, so only an extension's own comes here.
        how = "REINDEX INDEX CONCURRENTLY {0}" if version >= 120000 and not name.startswith("pg_catalog.") else "REINDEX INDEX {0}"
        try:
            tell(server, database["name"], how.format(name), run, timeout)
        except Unanswered as problem:
            failed.append("{0} (index {1}; duplicate rows have to be removed first)".format(problem, name))
    return failed


def _record(server: Server, version: int, database: str, run: Run) -> List[str]:
    try:
        for collation in ask(server, database, COLLATIONS, run):
            tell(server, database, "ALTER COLLATION {0} REFRESH VERSION".format(collation["name"]), run)
        if version >= KEPT_SINCE:
            tell(server, database, "ALTER DATABASE {0} REFRESH COLLATION VERSION".format(_quoted(database)), run)
    except Unanswered as problem:
        return [str(problem)]
    return []


def _quoted(name: str) -> str:
    return '"{0}"'.format(name.replace('"', '""'))


def sentences(found: Sequence[Mapping[str, Any]]) -> List[str]:
    """What look() found, one sentence for each cluster with a change; what could not be asked is told as well."""
    told = []
    for cluster in found:
        if cluster.get("problem"):
            told.append(str(cluster["problem"]))
            continue
        for database in cluster["databases"]:
            indexes = len({item["name"] for item in database["depending"] if item["kind"] == "index"})
            told.append("{0}, database {1}: its collations have changed ({2} to {3}), and {4} of its indexes {5} in the old order.".format(
                cluster["cluster"], database["name"], database["recorded"] or "an unknown version", database["actual"] or "an unknown one", indexes,
                "is" if indexes == 1 else "are"))
    return told
