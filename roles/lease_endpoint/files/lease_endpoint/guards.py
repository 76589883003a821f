# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands at the door of one endpoint, as its command line says: limits and the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lease_endpoint.audit import AUDIT_FILE, Audit, AuditFile, Silent
from lease_endpoint.limits import FAILURES_DEFAULT, TOKEN_DEFAULT, Limits, Rate


@dataclass(frozen=True)
class Guards:
    """Words of the options. Raises Invalid or NotDurable when they are used."""

    audit_log: str = ""  # a path, `off`, or empty: audit.jsonl beside the ledger
    limit_token: str = TOKEN_DEFAULT
    limit_failures: str = FAILURES_DEFAULT

    def limits(self) -> Limits:
        return Limits(Rate.parse(self.limit_token), Rate.parse(self.limit_failures))

    def audit(self, directory: Path) -> Audit:
        return Silent() if self.audit_log == "off" else AuditFile(Path(self.audit_log) if self.audit_log else directory / AUDIT_FILE)
