"""A client of the database, as an application has one: client.py write|count DSN-FILE

    write   one row after the other, for ever, each again until it is acknowledged; prints a line of JSON for each acknowledged one:
            {"id", "at": s since the epoch, "server": address, "timeline": number, "errors": attempts that failed before}
    count   prints the ids of all rows, one JSON list

The address list and target_session_attrs in the DSN find the member that takes writes; nobody tells this program who leads.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time

import psycopg

PAUSE = 0.05            # s between two writes
PATIENCE = 2000         # ms that a silent server is waited for
WRITE = ("INSERT INTO written (id) VALUES (%s) ON CONFLICT (id) DO UPDATE SET again = written.again + 1 "
         "RETURNING host(inet_server_addr()), ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int")
TABLE = "CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY, again int NOT NULL DEFAULT 0)"


def connect(dsn: str) -> psycopg.Connection:
    """Connect to whoever takes writes; a server that falls silent is given up after PATIENCE."""
    return psycopg.connect(dsn, autocommit=True, tcp_user_timeout=PATIENCE, options=f"-c statement_timeout={PATIENCE}")


def write(dsn: str) -> None:
    """Write for ever. A row that was not acknowledged is written again under its number, so none is ever left out."""
    number, errors, connection = 1, 0, None
    while True:
        try:
            if connection is None:
                connection = connect(dsn)
                connection.execute(TABLE)
            server, timeline = connection.execute(WRITE, (number,)).fetchone()
        except psycopg.Error as error:
            errors += 1
            print(f"{time.time():.3f} {number}: {str(error).strip()}", file=sys.stderr, flush=True)
            if connection is not None:
                connection.close()
                connection = None
            time.sleep(PAUSE)
            continue
        print(json.dumps({"id": number, "at": time.time(), "server": server, "timeline": timeline, "errors": errors}), flush=True)
        number, errors = number + 1, 0
        time.sleep(PAUSE)


def count(dsn: str) -> None:
    """Print every id that the server has."""
    with connect(dsn) as connection:
        print(json.dumps([row[0] for row in connection.execute("SELECT id FROM written ORDER BY id")]))


if __name__ == "__main__":
    {"write": write, "count": count}[sys.argv[1]](pathlib.Path(sys.argv[2]).read_text(encoding="utf-8"))
