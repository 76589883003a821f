# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share, and how a command fails."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="LEASE_ENDPOINT_DATA_DIR", help="Directory of the ledger.")]
Url = Annotated[str, typer.Option("--url", envvar="LEASE_ENDPOINT_URL", help="The endpoint to talk to.")]
TokenFile = Annotated[Optional[Path], typer.Option("--token-file", help="File holding the token. Default: the variable LEASE_ENDPOINT_TOKEN.")]
CaFile = Annotated[Optional[Path], typer.Option("--ca-file", envvar="LEASE_ENDPOINT_CA_FILE", help="Certificates to trust.")]


def fail(msg: str) -> typer.Exit:
    typer.echo(msg, err=True)
    return typer.Exit(1)


# etcd


class Ledger(str, Enum):
    """Where the endpoint's memory is."""

    sqlite = "sqlite"
    etcd = "etcd"


PREFIX = "/lease_endpoint"
EtcdEndpoints = Annotated[str, typer.Option("--etcd-endpoints", envvar="LEASE_ENDPOINT_ETCD_ENDPOINTS", help="URLs of etcd's members, by commas.")]
EtcdPrefix = Annotated[str, typer.Option("--etcd-prefix", envvar="LEASE_ENDPOINT_ETCD_PREFIX", help="What the keys begin with.")]
EtcdUser = Annotated[Optional[str], typer.Option("--etcd-user", envvar="LEASE_ENDPOINT_ETCD_USER", help="User of etcd.")]
EtcdPasswordFile = Annotated[Optional[Path], typer.Option(
    "--etcd-password-file", envvar="LEASE_ENDPOINT_ETCD_PASSWORD_FILE", help="File with that user's password.")]
EtcdCa = Annotated[Optional[Path], typer.Option("--etcd-ca", envvar="LEASE_ENDPOINT_ETCD_CA", help="Certificates that vouch for etcd. Default: the system's.")]
EtcdCert = Annotated[Optional[Path], typer.Option("--etcd-cert", envvar="LEASE_ENDPOINT_ETCD_CERT", help="Certificate to show to etcd, PEM.")]
EtcdKey = Annotated[Optional[Path], typer.Option("--etcd-key", envvar="LEASE_ENDPOINT_ETCD_KEY", help="Its private key, PEM.")]


def etcd_of(endpoints: str, prefix: str, user: Optional[str], *files: Optional[Path]) -> Any:
    """files: password, ca, cert, key. Raises Invalid with one sentence."""
    from lease_endpoint.ledger.store import Etcd

    return Etcd(tuple(filter(None, endpoints.split(","))), prefix, user, *(str(file) if file else None for file in files))
