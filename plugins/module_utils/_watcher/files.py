# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing a file so that after a power cut there is the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional, Sequence

TEMPORARY = ".tmp"


def replace(path: str, data: bytes, keep_as: Optional[str] = None, mode: int = 0o600) -> None:
    """Returns when data is durable under path. The former file stays linked as keep_as when that is given. Raises OSError."""
    temporary = "{0}.{1}{2}".format(path, os.getpid(), TEMPORARY)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep_as is not None and os.path.exists(path):
            _link_over(path, keep_as)
        os.rename(temporary, path)
    except OSError:
        _forget(temporary)
        raise
    sync_directory(os.path.dirname(path))


def read(path: str, most: int, tail: bool = False, owners: Optional[Sequence[int]] = None) -> bytes:
    """What is in a plain file of at most `most` bytes; of a longer one its end when tail is set. Raises OSError.

    No link is followed and no pipe is waited for: whatever else stands there was not put there by us. owners: whose file it must be.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "this is no plain file", path)
        if owners is not None and found.st_uid not in owners:
            raise OSError(errno.EPERM, "this file belongs to somebody else", path)
        if found.st_size > most and not tail:
            raise OSError(errno.EFBIG, "this file has more than {0} bytes".format(most), path)
        file.seek(max(0, found.st_size - most))
        return file.read(most)


def is_ours_alone(path: str) -> bool:
    """Whether path is a real directory of our own (or root's), in which nobody else can put anything."""
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


def _link_over(path: str, other: str) -> None:
    # link() does not overwrite, so the link is made beside and renamed over.
    beside = "{0}.{1}{2}".format(other, os.getpid(), TEMPORARY)
    _forget(beside)
    os.link(path, beside)
    os.rename(beside, other)


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep(directory: str) -> None:
    """Remove what writers that died have left. Only for the holder of the lock."""
    for name in os.listdir(directory):
        if name.endswith(TEMPORARY):
            _forget(os.path.join(directory, name))
