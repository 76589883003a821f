# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: serve, status, token, hold, export, import."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from lease_endpoint import cli_ledger
from lease_endpoint.cli_tokens import token
from lease_endpoint.cli_words import (
    PREFIX, CaFile, DataDir, EtcdCa, EtcdCert, EtcdEndpoints, EtcdKey, EtcdPasswordFile, EtcdPrefix, EtcdUser, Ledger, TokenFile, Url, etcd_of, fail)
from lease_endpoint.errors import LeaseError
from lease_endpoint.limits import FAILURES_DEFAULT, TOKEN_DEFAULT

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Who leads each application, and who has frozen that.")
app.add_typer(token, name="token")
cli_ledger.add(app)

DEFAULT_URL = "http://127.0.0.1:8470"


@app.command()
def serve(
    data_dir: DataDir,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one. Any address but loopback needs TLS.")] = "127.0.0.1:8470",
    tls_cert: Annotated[Optional[Path], typer.Option(help="Certificate chain, PEM.", exists=True, dir_okay=False)] = None,
    tls_key: Annotated[Optional[Path], typer.Option(help="Private key, PEM.", exists=True, dir_okay=False)] = None,
    applications: Annotated[Optional[Path], typer.Option(
        envvar="LEASE_ENDPOINT_APPLICATIONS", help="JSON file: applications whose leadership lives elsewhere, with their provider.")] = None,
    audit_log: Annotated[str, typer.Option(envvar="LEASE_ENDPOINT_AUDIT_LOG", help="File for who did what, JSON lines; off for none.",
                                           show_default="audit.jsonl in the data directory")] = "",
    limit_token: Annotated[str, typer.Option(
        envvar="LEASE_ENDPOINT_LIMIT_TOKEN", help="Requests a token may make, as 600/minute; off for no limit.")] = TOKEN_DEFAULT,
    limit_failures: Annotated[str, typer.Option(
        envvar="LEASE_ENDPOINT_LIMIT_FAILURES",
        help="Answered requests without a valid token from one address, as 60/minute; off for no limit.")] = FAILURES_DEFAULT,
    ledger: Annotated[Ledger, typer.Option(
        envvar="LEASE_ENDPOINT_LEDGER", help="sqlite: a file in the data directory. etcd: shared by replicas.")] = Ledger.sqlite,
    etcd_endpoints: EtcdEndpoints = "",
    etcd_prefix: EtcdPrefix = PREFIX,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
    advertise_url: Annotated[str, typer.Option(envvar="LEASE_ENDPOINT_ADVERTISE_URL", help="Where the other replicas reach this one.")] = "",
    advertise_ca: Annotated[Optional[Path], typer.Option(
        envvar="LEASE_ENDPOINT_ADVERTISE_CA", help="Certificates that vouch for the other replicas. Default: the system's.")] = None,
    seat_ttl: Annotated[int, typer.Option(envvar="LEASE_ENDPOINT_SEAT_TTL", help="Seconds until a silent active replica is replaced.")] = 10,
    clock_file: Annotated[Optional[Path], typer.Option(hidden=True)] = None,
) -> None:
    """Serve until stopped. Prints the URL on one line when ready."""
    from lease_endpoint.guards import Guards
    from lease_endpoint.serve import Address, Replicated
    from lease_endpoint.serve import serve as run

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would say a line for each request to etcd or to another replica
    try:
        replicated = None
        if ledger is Ledger.etcd:
            etcd = etcd_of(etcd_endpoints, etcd_prefix, etcd_user, etcd_password_file, etcd_ca, etcd_cert, etcd_key)
            replicated = Replicated(etcd, advertise_url, advertise_ca, seat_ttl)
        run(data_dir, Address.parse(listen, tls_cert, tls_key), clock_file, applications, Guards(audit_log, limit_token, limit_failures), replicated)
    except LeaseError as trouble:
        raise fail(trouble.msg) from None


@app.command()
def status(url: Url = DEFAULT_URL, token_file: TokenFile = None, ca_file: CaFile = None) -> None:
    """Applications with leader, term, pins and halts."""
    from lease_endpoint.hold import Endpoint, Refused, Unreachable, read_token

    try:
        endpoint = Endpoint(url, read_token(token_file and str(token_file)), ca_file and str(ca_file), timeout=60)
        answer = endpoint.call("GET", "/v1/leases")
    except (Refused, Unreachable) as trouble:
        raise fail(str(trouble)) from None
    if not answer["leases"] and not answer["unreadable"]:
        typer.echo("no application has claimed a lease yet")
    for lease in answer["leases"]:
        typer.echo(f"{lease['application']}: {_leader(lease)}")
        for member in lease["members"]:
            if not member["healthy"]:
                typer.echo(f"    {member['unit']} is not well: {member['msg']}")
        if lease["freeze"]:
            typer.echo(f"    {_freeze(lease['freeze'])}")
        for pin in lease["pins"]:
            typer.echo(f"    pinned by {pin['pinner']} for {pin['until_in']:.0f} s more: {pin['reason']}")
        if lease["halted"]:
            typer.echo(f"    halted: the pin of {lease['halted']['pinner']} lapsed ({lease['halted']['reason']})")
    if answer["unreadable"]:
        raise fail("\n".join(f"who leads {item['application']} could not be found out: {item['msg']}" for item in answer["unreadable"]))


def _leader(lease: dict) -> str:
    elsewhere = "" if lease["provider"] == "native" else f", by {lease['provider']}"
    if lease["holder"] is None:
        return f"no leader (last term {lease['term']}){elsewhere}"
    late = "" if not lease["overdue"] else ", overdue" if lease["expires_in"] is None else f", overdue by {-lease['expires_in']:.0f} s"
    return f"{lease['holder']} leads, term {lease['term']}{late}{elsewhere}"


def _freeze(freeze: dict) -> str:
    if freeze["wanted"] and freeze["confirmed"]:
        return "frozen" + (f", in trouble: {freeze['error']}" if freeze["error"] else "")
    return ("to be frozen" if freeze["wanted"] else "frozen still, a thaw is owed") + (f": {freeze['error']}" if freeze["error"] else "")


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def hold() -> None:
    """NAME --holder UNIT -- COMMAND: run COMMAND while UNIT leads NAME."""
    from lease_endpoint import hold as room

    # The file runs alone as well; it is executed afresh, so that nothing of this process weighs on it.
    # The words are taken as typed, because click drops the "--" that parts COMMAND from the options.
    os.execv(sys.executable, [sys.executable, room.__file__, *sys.argv[sys.argv.index("hold") + 1:]])
