# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that works on one ledger for as long as this process may write it: the application and the threads beside it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from lease_endpoint import applications as applications_file
from lease_endpoint.api import create_app
from lease_endpoint.audit import Audit
from lease_endpoint.broker import Broker
from lease_endpoint.clock import Clock, rehearsed
from lease_endpoint.deadlines import Deadlines
from lease_endpoint.errors import LeaseError
from lease_endpoint.events import Changes
from lease_endpoint.limits import Limits
from lease_endpoint.steward import Steward
from lease_endpoint.tokens import Tokens

log = logging.getLogger("lease_endpoint")


@dataclass(frozen=True)
class Parts:
    """What does not hang on the ledger. `applications`: the file of those whose leadership lives elsewhere."""

    tokens: Tokens
    limits: Limits
    audit: Audit
    applications: Optional[Path] = None
    clock_file: Optional[Path] = None


class Service:
    """Endpoint time goes on from where the ledger says. Opening it is the end of an outage: whoever could not renew has a moment."""

    def __init__(self, ledger: Any, parts: Parts, loop: Optional[asyncio.AbstractEventLoop] = None) -> None:
        self._ledger = ledger
        with ledger.read() as book:
            start = book.time()
        self._changes = Changes()
        if loop is not None:
            self._changes.attach(loop)
        elsewhere = applications_file.load(parts.applications) if parts.applications else {}
        clock = Clock(start, *rehearsed(parts.clock_file)) if parts.clock_file else Clock(start)
        self._broker = Broker(ledger, clock, self._changes.happened, elsewhere, parts.audit)
        self.app = create_app(self._broker, parts.tokens, self._changes, parts.limits, parts.audit)
        self._threads = [Deadlines(self._broker), Steward(self._broker)]

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._changes.attach(loop)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def refuse(self) -> None:
        """No new writes, and the open event streams end."""
        self._broker.stopping = True
        self._changes.stop()

    def stop(self) -> None:
        """Ends what works on the ledger and leaves it whole, with the time until now if it still can be written."""
        self.refuse()
        for thread in reversed(self._threads):
            thread.stop()
        self._broker.wards.close()
        try:
            self._broker.save_time()
        except LeaseError as trouble:
            log.info("%s", trouble.msg)
        self._ledger.close()
