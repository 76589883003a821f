# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: serve, status, token, hold."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, List, Optional

import typer

from lease_endpoint.errors import LeaseError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Who leads each application, and who has frozen that.")
token = typer.Typer(no_args_is_help=True, help="Tokens of this endpoint. A running endpoint knows new ones at once.")
app.add_typer(token, name="token")

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="LEASE_ENDPOINT_DATA_DIR", help="Directory of the ledger.")]
Url = Annotated[str, typer.Option("--url", envvar="LEASE_ENDPOINT_URL", help="The endpoint to talk to.")]
TokenFile = Annotated[Optional[Path], typer.Option("--token-file", help="File holding the token. Default: the variable LEASE_ENDPOINT_TOKEN.")]
CaFile = Annotated[Optional[Path], typer.Option("--ca-file", envvar="LEASE_ENDPOINT_CA_FILE", help="Certificates to trust.")]
DEFAULT_URL = "http://127.0.0.1:8470"


def _fail(msg: str) -> typer.Exit:
    typer.echo(msg, err=True)
    return typer.Exit(1)


@app.command()
def serve(
    data_dir: DataDir,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one. Any address but loopback needs TLS.")] = "127.0.0.1:8470",
    tls_cert: Annotated[Optional[Path], typer.Option(help="Certificate chain, PEM.", exists=True, dir_okay=False)] = None,
    tls_key: Annotated[Optional[Path], typer.Option(help="Private key, PEM.", exists=True, dir_okay=False)] = None,
    applications: Annotated[Optional[Path], typer.Option(
        envvar="LEASE_ENDPOINT_APPLICATIONS", help="JSON file: applications whose leadership lives elsewhere, with their provider.")] = None,
    clock_file: Annotated[Optional[Path], typer.Option(hidden=True)] = None,
) -> None:
    """Serve until stopped. Prints the URL on one line when ready."""
    from lease_endpoint.serve import Address
    from lease_endpoint.serve import serve as run

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        run(data_dir, Address.parse(listen, tls_cert, tls_key), clock_file, applications)
    except LeaseError as trouble:
        raise _fail(trouble.msg) from None


Scopes = Annotated[List[str], typer.Option("--scope", help="read, hold, pin or admin; may be given several times.")]
Globs = Annotated[Optional[List[str]], typer.Option("--application", help="Glob of applications it is for; may be given several times. Default: all.")]


@token.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Who will use it; pins are shown under this name.")],
    data_dir: DataDir,
    scope: Scopes,
    application: Globs = None,
    output: Annotated[Optional[Path], typer.Option(help="Write it to this file, mode 0600, instead of printing it.")] = None,
) -> None:
    """Make a token. It is shown this once; only its hash is kept."""
    from lease_endpoint.serve import open_tokens
    from lease_endpoint.tokens import write_secret

    try:
        made = open_tokens(data_dir).create(name, scope, application)
    except LeaseError as trouble:
        raise _fail(trouble.msg) from None
    if output is None:
        typer.echo(made)
    else:
        write_secret(output, made + "\n")


@token.command("allow")
def token_allow(name: str, data_dir: DataDir, scope: Scopes, application: Globs = None) -> None:
    """Give an existing token other rights."""
    from lease_endpoint.serve import open_tokens

    try:
        open_tokens(data_dir).allow(name, scope, application)
    except LeaseError as trouble:
        raise _fail(trouble.msg) from None


@token.command("list")
def token_list(data_dir: DataDir) -> None:
    """Name, rights and applications of each token, tab-separated."""
    from lease_endpoint.serve import open_tokens

    try:
        for row in open_tokens(data_dir).listed():
            typer.echo("\t".join([row.name, ",".join(row.scopes), ",".join(row.applications or ["*"])]))
    except LeaseError as trouble:
        raise _fail(trouble.msg) from None


@token.command("revoke")
def token_revoke(name: str, data_dir: DataDir) -> None:
    """Make a token worthless. Its pins stay until they are removed or reach their deadline."""
    from lease_endpoint.serve import open_tokens

    try:
        if not open_tokens(data_dir).revoke(name):
            raise _fail(f"there is no token {name}")
    except LeaseError as trouble:
        raise _fail(trouble.msg) from None


@app.command()
def status(url: Url = DEFAULT_URL, token_file: TokenFile = None, ca_file: CaFile = None) -> None:
    """Applications with leader, term, pins and halts."""
    from lease_endpoint.hold import Endpoint, Refused, Unreachable, read_token

    try:
        endpoint = Endpoint(url, read_token(token_file and str(token_file)), ca_file and str(ca_file))
        leases = endpoint.call("GET", "/v1/leases")["leases"]
    except (Refused, Unreachable) as trouble:
        raise _fail(str(trouble)) from None
    if not leases:
        typer.echo("no application has claimed a lease yet")
    for lease in leases:
        typer.echo(f"{lease['application']}: {_leader(lease)}")
        for pin in lease["pins"]:
            typer.echo(f"    pinned by {pin['pinner']} for {pin['until_in']:.0f} s more: {pin['reason']}")
        if lease["halted"]:
            typer.echo(f"    halted: the pin of {lease['halted']['pinner']} lapsed ({lease['halted']['reason']})")


def _leader(lease: dict) -> str:
    if lease["holder"] is None:
        return f"no leader (last term {lease['term']})"
    late = f", overdue by {-lease['expires_in']:.0f} s" if lease["overdue"] else ""
    return f"{lease['holder']} leads, term {lease['term']}{late}"


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def hold() -> None:
    """NAME --holder UNIT -- COMMAND: run COMMAND while UNIT leads NAME."""
    from lease_endpoint import hold as room

    # The file runs alone as well; it is executed afresh, so that nothing of this process weighs on it.
    # The words are taken as typed, because click drops the "--" that parts COMMAND from the options.
    os.execv(sys.executable, [sys.executable, room.__file__, *sys.argv[sys.argv.index("hold") + 1:]])
