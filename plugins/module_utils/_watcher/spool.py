# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests left on disk while no watcher was there to hear them. Each is one file, put in place by rename, and runs once."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from typing import Any, Dict, Iterator, Tuple

from . import files, protocol

NAME = "spool"


def leave(state_dir: str, request: Dict[str, Any]) -> str:
    """Put a changing request down for the next watcher. Durable when it returns the path. Raises OSError."""
    directory = os.path.join(state_dir, NAME)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    _check(directory)
    path = os.path.join(directory, _file_name(request["request_id"]) + ".json")
    files.replace(path, protocol.encode(request))
    return path


def _file_name(request_id: str) -> str:
    """No id leads out of the directory, and no two of them to the same file."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", request_id)[:100]
    return name if name == request_id else name + "." + hashlib.sha256(request_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _check(directory: str) -> None:
    # Whoever can put a file in here can ask for a rollback.
    if not files.is_ours_alone(directory):
        raise OSError(errno.EPERM, "others can write here, so no request in it is heard; make it a directory of mode 0700 of your own", directory)


def waiting(state_dir: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The requests that lie here, oldest first, with their paths. One that cannot be read is moved aside and blocks no other."""
    directory = os.path.join(state_dir, NAME)
    try:
        paths = [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".json")]
    except FileNotFoundError:
        return
    if paths:
        _check(directory)
    for path in sorted(paths, key=lambda path: (os.lstat(path).st_mtime, path)):
        try:
            request = protocol.decode(files.read(path, protocol.MAX_LINE, owners=(0, os.geteuid())))
            if request["do"] not in protocol.CHANGING:
                raise protocol.ProtocolError("bad_request", "only a request that changes something can be left")
        except (OSError, protocol.ProtocolError):
            _put_aside(path)
            continue
        yield path, request


def _put_aside(path: str) -> None:
    try:
        os.replace(path, path + ".damaged")
    except OSError:
        # Something stands there as well. It is not heard, and the others are.
        pass
