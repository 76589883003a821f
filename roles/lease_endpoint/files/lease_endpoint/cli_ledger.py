# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that move a whole ledger: export and import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from lease_endpoint.cli_words import (
    PREFIX, DataDir, EtcdCa, EtcdCert, EtcdEndpoints, EtcdKey, EtcdPasswordFile, EtcdPrefix, EtcdUser, Ledger, etcd_of, fail)
from lease_endpoint.errors import LeaseError

Kind = Annotated[Ledger, typer.Option("--ledger", envvar="LEASE_ENDPOINT_LEDGER", help="Which kind it is.")]


def add(app: typer.Typer) -> None:
    app.command("export")(export)
    app.command("import")(take_in)


def export(
    data_dir: DataDir,
    ledger: Kind = Ledger.sqlite,
    output: Annotated[Optional[Path], typer.Option(help="Write it to this file, mode 0600, instead of printing it.")] = None,
    etcd_endpoints: EtcdEndpoints = "",
    etcd_prefix: EtcdPrefix = PREFIX,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
) -> None:
    """The whole ledger as lines of JSON. An endpoint over SQLite must be stopped; replicas over etcd may be at work."""
    from lease_endpoint.ledger import transfer
    from lease_endpoint.ledger.store import Store
    from lease_endpoint.serve import LEDGER_FILE, only_one
    from lease_endpoint.tokens import write_secret

    try:
        if ledger is Ledger.etcd:
            store = Store(etcd_of(etcd_endpoints, etcd_prefix, etcd_user, etcd_password_file, etcd_ca, etcd_cert, etcd_key))
            lines = list(transfer.from_etcd(store))
        else:
            with only_one(data_dir):
                lines = list(transfer.from_sqlite(data_dir / LEDGER_FILE))
        text = "\n".join(lines) + "\n"
        if output is None:
            sys.stdout.write(text)
        else:
            write_secret(output, text)
    except LeaseError as trouble:
        raise fail(trouble.msg) from None
    except OSError as trouble:
        raise fail(f"the export could not be written: {trouble}") from None


def take_in(
    file: Annotated[Path, typer.Argument(help="What export has written; - reads standard input.")],
    data_dir: DataDir,
    ledger: Kind = Ledger.sqlite,
    etcd_endpoints: EtcdEndpoints = "",
    etcd_prefix: EtcdPrefix = PREFIX,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
) -> None:
    """Take in a whole export, or nothing of it. Only into an empty ledger that no endpoint serves."""
    from lease_endpoint.ledger import transfer
    from lease_endpoint.ledger.store import Store
    from lease_endpoint.serve import LEDGER_FILE, only_one

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        if ledger is Ledger.etcd:
            store = Store(etcd_of(etcd_endpoints, etcd_prefix, etcd_user, etcd_password_file, etcd_ca, etcd_cert, etcd_key))
            count = transfer.to_etcd(text.splitlines(), store)
        else:
            with only_one(data_dir):
                count = transfer.to_sqlite(text.splitlines(), data_dir / LEDGER_FILE)
    except LeaseError as trouble:
        raise fail(trouble.msg) from None
    except (OSError, ValueError) as trouble:
        raise fail(f"{file} could not be read: {trouble}") from None
    typer.echo(f"imported {count} applications")
