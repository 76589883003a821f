# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Files of the system that an upgrade changes: read, replaced whole, and put back exactly. Private room of the collection.

What was there is a plain JSON value, so that it can lie in the marker: a crash between any two lines loses nothing.
"""

from __future__ import annotations

import base64
import os
import stat
from typing import Any, Dict, List, Mapping, Optional

from .._watcher import files

Kept = Dict[str, Any]


def look(path: str) -> Kept:
    """What is at path now: {"kind": "absent"}, {"kind": "link", "to"} or {"kind": "file", "mode", "uid", "gid", "content" (base64)}."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return {"kind": "absent"}
    if stat.S_ISLNK(found.st_mode):
        return {"kind": "link", "to": os.readlink(path)}
    with open(path, "rb") as file:
        content = base64.b64encode(file.read()).decode("ascii")
    return {"kind": "file", "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid, "content": content}


def put_back(path: str, kept: Kept) -> None:
    """Make path what look() saw. Repeating it changes nothing."""
    if kept["kind"] == "absent":
        if os.path.lexists(path):
            os.unlink(path)
    elif kept["kind"] == "link":
        fresh = path + ".series-upgrade"
        if os.path.lexists(fresh):
            os.unlink(fresh)
        os.symlink(kept["to"], fresh)
        os.replace(fresh, path)
    else:
        write(path, base64.b64decode(kept["content"]), kept["mode"], kept["uid"], kept["gid"])


def write(path: str, content: bytes, mode: int, uid: Optional[int] = None, gid: Optional[int] = None) -> None:
    """Put content at path in one go: whoever looks sees the old file or the new one, also after a power cut."""
    fresh = path + ".series-upgrade"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if uid is not None and (uid, gid) != (os.geteuid(), os.getegid()):
            os.fchown(file.fileno(), uid, gid if gid is not None else -1)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    files.sync_directory(os.path.dirname(path))


def sources(apt: str = "/etc/apt") -> List[str]:
    """The files that apt reads its sources from, in its order. Backups and editors' files in the folder are not among them."""
    folder = os.path.join(apt, "sources.list.d")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = [os.path.join(folder, name) for name in names if name.endswith((".list", ".sources"))]
    main = os.path.join(apt, "sources.list")
    return ([main] if os.path.isfile(main) else []) + found


def lay(folder: str, texts: Mapping[str, str]) -> None:
    """Make FOLDER another /etc/apt with these sources (text by its path on the machine). They may hold passwords, and nobody else reads them."""
    os.makedirs(os.path.join(folder, "sources.list.d"), exist_ok=True)
    for path, content in texts.items():
        inner = "sources.list.d" if os.path.basename(os.path.dirname(path)) == "sources.list.d" else ""
        descriptor = os.open(os.path.join(folder, inner, os.path.basename(path)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(content)


def text(kept: Kept) -> str:
    """The text of a file that look() saw. Undecodable bytes survive the way there and back (surrogateescape)."""
    return base64.b64decode(kept["content"]).decode("utf-8", "surrogateescape")


def encoded(content: str) -> str:
    """How look() would show a file with this text."""
    return base64.b64encode(content.encode("utf-8", "surrogateescape")).decode("ascii")
