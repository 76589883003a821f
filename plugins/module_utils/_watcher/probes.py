# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at one check: ask a command, a systemd unit, a TCP port or an HTTP address. Everything is imported at the start,
because the Python on the disk may be replaced while the watcher runs."""

from __future__ import annotations

import encodings.idna   # pylint: disable=unused-import  # socket needs it at the first host name, which may be after Python has gone
import http.client
import socket
import ssl
import urllib.parse
from typing import Any, Callable, Dict, Tuple

from .health import BUSY, FAILED, OK, UNREACHABLE
from .steps import Result

Run = Callable[..., Result]
Outcome = Tuple[str, str]


def probe(check: Dict[str, Any], run: Run) -> Outcome:
    """What the check shows now, with a sentence. Never raises: what cannot be found out is unreachable."""
    try:
        return KINDS[check["kind"]](check, run)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        return UNREACHABLE, "{0}: {1}".format(type(problem).__name__, problem)


def _command(check: Dict[str, Any], run: Run) -> Outcome:
    result = run(["/bin/sh", "-c", check["command"]], timeout=check["timeout"])
    if result.rc == 0:
        return OK, "answered with status 0"
    if result.rc == 124:
        return UNREACHABLE, "did not end within {0} s".format(check["timeout"])
    return FAILED, "ended with status {0}{1}".format(result.rc, _last_line(result))


def _last_line(result: Result) -> str:
    lines = (result.err.strip() or result.out.strip()).splitlines()
    return ": " + lines[-1][:200] if lines else ""


def _systemd(check: Dict[str, Any], run: Run) -> Outcome:
    result = run(["systemctl", "show", "--property=ActiveState", "--property=SubState", "--", check["unit"]], timeout=check["timeout"])
    shown = dict(line.partition("=")[::2] for line in result.out.splitlines())
    state = shown.get("ActiveState")
    if result.rc != 0 or not state:
        return UNREACHABLE, "systemd did not tell{0}".format(_last_line(result))
    if state == "active":
        return OK, "active ({0})".format(shown.get("SubState"))
    # A unit that is still starting is not up, but nothing has failed either; the allowed misses decide how long that may last.
    return (UNREACHABLE if state in ("activating", "reloading") else FAILED), "{0} ({1})".format(state, shown.get("SubState"))


def _tcp(check: Dict[str, Any], _run: Run) -> Outcome:
    with socket.create_connection((check["host"], int(check["port"])), timeout=check["timeout"]):
        return OK, "port {0} answered".format(check["port"])


def _http(check: Dict[str, Any], _run: Run) -> Outcome:
    url = urllib.parse.urlsplit(check["url"])
    if url.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(url.netloc, timeout=check["timeout"], context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=check["timeout"])
    try:
        connection.request("GET", (url.path or "/") + ("?" + url.query if url.query else ""), headers={"User-Agent": "series-upgrade-watcher"})
        status = connection.getresponse().status
    finally:
        connection.close()
    wanted = check.get("status")
    if status == int(wanted) if wanted else 200 <= status < 400:
        return OK, "answered {0}".format(status)
    if status == 429:
        return BUSY, "answered 429: too many requests"
    return FAILED, "answered {0}".format(status)


KINDS: Dict[str, Callable[[Dict[str, Any], Run], Outcome]] = {"command": _command, "systemd": _systemd, "tcp": _tcp, "http": _http}
