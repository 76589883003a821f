# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may write the marker: the holder of a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from typing import Optional


class Busy(Exception):
    """Somebody else holds the lock."""


class Lock:
    """flock on a descriptor that is never inherited. The file stays; its presence means nothing."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd: Optional[int] = None

    def take(self) -> None:
        """Returns holding the lock, or raises Busy without waiting."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise Busy("another process holds {0}".format(self.path))
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Lock:
        self.take()
        return self

    def __exit__(self, *problem: object) -> None:
        self.release()
