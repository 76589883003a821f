# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests left on disk while no watcher was there to hear them. Each is one file, put in place by rename, and runs once."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, Iterator, Tuple

from . import files, protocol

NAME = "spool"


def leave(state_dir: str, request: Dict[str, Any]) -> str:
    """Put a changing request down for the next watcher. Durable when it returns the path. Raises OSError."""
    directory = os.path.join(state_dir, NAME)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, re.sub(r"[^A-Za-z0-9_.-]", "_", request["request_id"])[:100] + ".json")
    files.replace(path, protocol.encode(request))
    return path


def waiting(state_dir: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The requests that lie here, oldest first, with their paths. One that cannot be read is moved aside and blocks no other."""
    directory = os.path.join(state_dir, NAME)
    try:
        paths = [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".json")]
    except FileNotFoundError:
        return
    for path in sorted(paths, key=lambda path: (os.path.getmtime(path), path)):
        try:
            with open(path, "rb") as file:
                request = protocol.decode(file.read(protocol.MAX_LINE))
            if request["do"] not in protocol.CHANGING:
                raise protocol.ProtocolError("bad_request", "only a request that changes something can be left")
        except (OSError, protocol.ProtocolError, json.JSONDecodeError):
            os.replace(path, path + ".damaged")
            continue
        yield path, request
