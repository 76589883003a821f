# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the tokens. It writes the file beside the ledger; a running endpoint reads it again by itself."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Iterator, List, Optional

import typer

from lease_endpoint.cli_words import DataDir, fail
from lease_endpoint.durations import seconds
from lease_endpoint.errors import LeaseError

token = typer.Typer(no_args_is_help=True, help="Tokens of this endpoint. A running endpoint knows new ones at once.")

Scopes = Annotated[List[str], typer.Option("--scope", help="read, hold, pin or admin; may be given several times.")]
Globs = Annotated[Optional[List[str]], typer.Option("--application", help="Glob of applications it is for; may be given several times. Default: all.")]
Units = Annotated[Optional[List[str]], typer.Option(
    "--unit", help="Makes it a machine's: a unit the machine hosts, as db/0 or db=pg1; may be given several times. It holds and pins nothing else.")]
Lasts = Annotated[Optional[str], typer.Option("--expires-in", help="Worthless after this time, as 90d or 12h. Default: never.")]
Output = Annotated[Optional[Path], typer.Option(help="Write it to this file, mode 0600, instead of printing it.")]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except LeaseError as trouble:
        raise fail(trouble.msg) from None


def _hand_over(made: str, output: Optional[Path]) -> None:
    from lease_endpoint.tokens import write_secret

    if output is None:
        typer.echo(made)
    else:
        write_secret(output, made + "\n")


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; pins are shown under this name.")],
    data_dir: DataDir,
    scope: Scopes,
    application: Globs = None,
    unit: Units = None,
    expires_in: Lasts = None,
    output: Output = None,
) -> None:
    """Make a token. It is shown this once; only its hash is kept."""
    from lease_endpoint.serve import open_tokens

    with _told():
        _hand_over(open_tokens(data_dir).create(name, scope, application, unit or (), expires_in and seconds(expires_in)), output)


@token.command("rotate")
def rotate(
    name: str,
    data_dir: DataDir,
    overlap: Annotated[str, typer.Option(help="How long the present secret stays good beside the new one, as 2d or 12h.")],
    expires_in: Annotated[Optional[str], typer.Option(
        "--expires-in", help="The new one is worthless after this time. Default: as the present one was made.")] = None,
    output: Output = None,
) -> None:
    """Make a second secret for a token, with its name and rights, and let the present one run out."""
    from lease_endpoint.serve import open_tokens

    with _told():
        _hand_over(open_tokens(data_dir).rotate(name, seconds(overlap), expires_in and seconds(expires_in)), output)


@token.command("allow")
def allow(name: str, data_dir: DataDir, scope: Scopes, application: Globs = None, unit: Units = None) -> None:
    """Give an existing token other rights."""
    from lease_endpoint.serve import open_tokens

    with _told():
        open_tokens(data_dir).allow(name, scope, application, unit or ())


@token.command("list")
def listed(data_dir: DataDir) -> None:
    """Name, rights, applications, units and end of each secret, tab-separated. While a token is rotated it has two lines."""
    from lease_endpoint.serve import open_tokens
    from lease_endpoint.tokens import shown

    with _told():
        for row in open_tokens(data_dir).listed():
            end = "-" if row.expires_at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.expires_at))
            over = row.expires_at is not None and row.expires_at <= time.time()
            applications = ["-"] if row.units else row.applications or ["*"]
            words = [row.name, ",".join(row.scopes), ",".join(applications), ",".join(sorted(shown(row.units))) or "-", end + (" expired" if over else "")]
            typer.echo("\t".join(words))


@token.command("revoke")
def revoke(name: str, data_dir: DataDir) -> None:
    """Make a token worthless, all its secrets. Its pins stay until they are removed or reach their deadline."""
    from lease_endpoint.serve import open_tokens

    with _told():
        if not open_tokens(data_dir).revoke(name):
            raise fail(f"there is no token {name}")
