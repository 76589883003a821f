# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Tells a person that something which cannot speak for itself is still at work: a module says nothing before its end.

Private room of the collection.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

# Seconds: long enough that most machines are through without a word, short enough that nobody takes it for hung.
EVERY = 15.0


@contextlib.contextmanager
def telling(what: str, say: t.Callable[[str], None], every: float = EVERY) -> t.Iterator[None]:
    """SAYs WHAT, with the seconds so far, every EVERY seconds until the block is left; never after that."""
    over = threading.Event()

    def tell() -> None:
        told = 1
        while not over.wait(every):
            say("%s (%.0f s)" % (what, told * every))
            told += 1

    teller = threading.Thread(target=tell, name="still", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
