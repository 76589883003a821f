# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one that looks at the clock: lets pins lapse when they are due and saves endpoint time."""

from __future__ import annotations

import logging
import threading
import time

from lease_endpoint.broker import Broker
from lease_endpoint.errors import LeaseError

log = logging.getLogger("lease_endpoint")

LOOK = 1.0  # seconds between two looks; every request looks as well, so nobody ever sees a pin older than its deadline
SAVE = 5.0  # seconds of endpoint time that a crash may give back


class Deadlines(threading.Thread):
    """Runs until `stop()`. What cannot be written now is tried again at the next look, and said once."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(name="deadlines", daemon=True)
        self._broker = broker
        self._end = threading.Event()

    def run(self) -> None:
        saved, complained, wait = time.monotonic(), False, 0.0
        while not self._end.wait(wait):
            wait = LOOK
            try:
                left = self._broker.settle()
                wait = LOOK if left is None else min(LOOK, max(left, 0.01))
                if time.monotonic() - saved >= SAVE:
                    self._broker.save_time()
                    saved = time.monotonic()
                complained = False
            except LeaseError as trouble:
                if not complained:
                    log.error("%s", trouble.msg)
                complained = True

    def stop(self) -> None:
        self._end.set()
        self.join()
