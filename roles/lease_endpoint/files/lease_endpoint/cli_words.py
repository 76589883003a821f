# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share, and how a command fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="LEASE_ENDPOINT_DATA_DIR", help="Directory of the ledger.")]
Url = Annotated[str, typer.Option("--url", envvar="LEASE_ENDPOINT_URL", help="The endpoint to talk to.")]
TokenFile = Annotated[Optional[Path], typer.Option("--token-file", help="File holding the token. Default: the variable LEASE_ENDPOINT_TOKEN.")]
CaFile = Annotated[Optional[Path], typer.Option("--ca-file", envvar="LEASE_ENDPOINT_CA_FILE", help="Certificates to trust.")]


def fail(msg: str) -> typer.Exit:
    typer.echo(msg, err=True)
    return typer.Exit(1)
