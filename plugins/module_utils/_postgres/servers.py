# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The PostgreSQL servers of this machine, and how they are asked. Private room of the collection.

pg_lsclusters(1) names the clusters that Debian's packaging knows. Others, as Patroni makes them, are found by the sockets that they listen at. psql goes
in as the user whom a cluster belongs to.
"""

from __future__ import annotations

import json
import os
import pwd
import re
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from .._watcher.steps import Result

Run = Callable[..., Result]


SOCKETS = "/var/run/postgresql"


class Unanswered(Exception):
    """A server could not be asked, or did not answer. Not the same as "nothing found". One sentence."""


class Server(NamedTuple):
    """
    name: "15/main", or "port 5432" of a server that belongs to no cluster of Debian's. psql: the command line that reaches it, without the
    database. online: whether it runs.
    """

    name: str
    psql: List[str]
    online: bool


def servers(run: Run, sockets: str = SOCKETS) -> Optional[List[Server]]:
    """The clusters of this machine, and servers that are none of them; None when there is no PostgreSQL here at all. Raises Unanswered."""
    listed = run(["pg_lsclusters", "--json"], timeout=30)
    if listed.rc not in (0, 127):
        raise Unanswered("pg_lsclusters does not tell the clusters: {0}.".format((listed.err or listed.out).strip().splitlines()[-1:] or listed.rc))
    try:
        clusters = json.loads(listed.out or "[]") if listed.rc == 0 else []
        taken = {str(cluster.get("port")) for cluster in clusters if cluster.get("running")}
        found = [_server(cluster) for cluster in clusters]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Unanswered("pg_lsclusters told something else than clusters: {0}.".format(problem))
    found += [_at_socket(sockets, port, owner) for port, owner in _listening(sockets) if port not in taken]
    return found if found or listed.rc == 0 else None


def _listening(sockets: str) -> List[Tuple[str, str]]:
    """(port, user whom the server runs as) of every socket in this directory."""
    found = []
    for name in sorted(os.listdir(sockets)) if os.path.isdir(sockets) else []:
        match = re.match(r"^\.s\.PGSQL\.(\d+)$", name)
        if match:
            uid = os.stat(os.path.join(sockets, name)).st_uid
            try:
                found.append((match.group(1), pwd.getpwuid(uid).pw_name))
            except KeyError:
                found.append((match.group(1), str(uid)))
    return found


def _at_socket(sockets: str, port: str, owner: str) -> Server:
    return Server("port " + port, ["runuser", "-u", owner, "--", "psql", "--host", sockets, "--port", port, "--username", owner], True)


def _server(cluster: Any) -> Server:
    name = "{0}/{1}".format(cluster["version"], cluster["cluster"])
    owner = cluster.get("owner") or "postgres"
    # runuser is root's; whoever else asks is the owner himself, or is refused by the server in its own words.
    return Server(name, ["runuser", "-u", owner, "--", "psql", "--cluster", name], bool(cluster.get("running")))


def ask(server: Server, database: str, query: str, run: Run, timeout: float = 60) -> Any:
    """The rows of QUERY as a list of dictionaries. Raises Unanswered."""
    text = tell(server, database, "SELECT coalesce(json_agg(asked), '[]') FROM ({0}) AS asked".format(query.strip().rstrip(";")), run, timeout)
    try:
        return json.loads(text)
    except ValueError as problem:
        raise Unanswered("{0}, database {1}: what it answered is no JSON ({2}).".format(server.name, database, problem))


def tell(server: Server, database: str, command: str, run: Run, timeout: float = 60) -> str:
    """Run one command; what it printed. Raises Unanswered with the server's own words."""
    # A database's name may hold anything; as the value of a keyword it can be nothing else.
    place = "dbname='{0}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))
    result = run(server.psql + ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--dbname", place,
                                "--command", command], timeout=timeout)
    if result.rc != 0:
        lines = [line for line in result.err.splitlines() if line.strip() and not line.startswith(("WARNING", "DETAIL", "HINT"))]
        raise Unanswered("{0}, database {1}: {2}".format(server.name, database, (lines or ["psql ended with status {0}".format(result.rc)])[0].strip()))
    return result.out.strip()
