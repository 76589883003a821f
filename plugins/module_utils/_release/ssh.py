# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Whether a machine lets anybody in by SSH: where its sshd listens, and whether it answers there. Private room of the collection.

An answer is the first line of the protocol, which sshd says before it knows who is asking. Only a real login proves more; see spare_ssh.py.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Callable, List, Optional, Tuple

from . import report
from .._watcher import health
from .._watcher.steps import Context, Result

BEFORE = "ssh_before"
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}
PATIENCE = 5.0

Place = Tuple[str, int]


def listens(run: Callable[..., Result], sshd: str = "/usr/sbin/sshd") -> Optional[List[Place]]:
    """The addresses that sshd's configuration names, as (address, port); None when it cannot be asked (not installed, not configured)."""
    result = run([sshd, "-T"], timeout=30)
    if result.rc != 0:
        return None
    return [(match.group(1).strip("[]"), int(match.group(2))) for match in re.finditer(r"^listenaddress (\S+):(\d+)$", result.out, re.MULTILINE)]


def banner(address: str, port: int, timeout: float = PATIENCE) -> Optional[str]:
    """What sshd at this place says first, "SSH-2.0-OpenSSH_9.2"; None when nobody answers there as sshd does."""
    try:
        with socket.create_connection((ANY.get(address, address), port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            said = b""
            while b"\n" not in said and len(said) < 8192:
                data = connection.recv(256)
                if not data:
                    break
                said += data
    except OSError:
        return None
    lines = [line.strip() for line in said.decode("ascii", "replace").splitlines()]
    return next((line for line in lines if line.startswith("SSH-")), None)


def note(context: Context, run_sshd: str = "/usr/sbin/sshd") -> None:
    """Remember where this machine answers before the upgrade. Repeating it changes nothing."""
    if context.recall(BEFORE) is None:
        answering = [list(place) for place in listens(context.run, run_sshd) or [] if banner(*place)]
        context.remember(BEFORE, answering)


def look(context: Context) -> Tuple[str, str]:
    """As a check of the watcher: good when somebody answers as sshd at each place where one did before. (outcome, sentence)"""
    before: List[Any] = context.recall(BEFORE) or []
    silent = [place for place in before if not banner(place[0], int(place[1]))]
    if silent:
        return health.UNREACHABLE, "no sshd answers at {0}".format(", ".join("{0}:{1}".format(*place) for place in silent))
    if not before:
        return health.OK, "no sshd answered here before the upgrade"
    return health.OK, "sshd answers at {0}".format(", ".join("{0}:{1}".format(*place) for place in before))


def logins(context: Context) -> Optional[str]:
    """The last login of this boot that sshd has told the journal; None when there was none or the journal does not tell."""
    result = context.run(["journalctl", "--boot", "--no-pager", "--quiet", "--output", "cat", "--grep", "^Accepted ", "--lines", "1",
                          "--identifier", "sshd", "--identifier", "sshd-session"], timeout=30)
    lines = result.out.strip().splitlines()
    return _short(lines[-1]) if result.rc == 0 and lines else None


def _short(line: str) -> str:
    """Without the fingerprint: who came in, and from where."""
    return re.sub(r" port \d+ ssh2.*$", "", line.strip())


def accepted(log: str) -> Optional[str]:
    """The first login in the text of a log of sshd."""
    match = re.search(r"^.*?(Accepted \S+ for .*)$", log, re.MULTILINE)
    return _short(match.group(1)) if match else None


def prove(context: Context) -> None:
    """Report how logins are after the upgrade, under "ssh"."""
    outcome, msg = look(context)
    report.tell(context, ssh={"answers": outcome == health.OK, "msg": msg, "login": logins(context)})
