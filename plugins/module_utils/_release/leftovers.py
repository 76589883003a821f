# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What an upgrade leaves over: packages that the new series does not have, those of which only the configuration is left, and those that nobody
needs any more. Only looked at: removing them is the owner's affair, after he has seen the machine work. Private room of the collection.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional

from . import report
from .apt import Apt, removals
from .._watcher.steps import Context

# A report travels in one line of the control socket.
MOST = 500
INSTALLING = re.compile(r"^Inst (\S+)", re.MULTILINE)


def look(context: Context, apt: Apt) -> None:
    """Report them under obsolete, residual and unneeded, each a list of at most 500 names; None where it could not be found out."""
    found = {
        "obsolete": _obsolete(context),
        "residual": _residual(context),
        "unneeded": _unneeded(context, apt),
    }
    report.tell(context, **{what: names if names is None else names[:MOST] for what, names in found.items()})
    parts = ["{0} {1}".format(len(names), what) for what, names in found.items() if names]
    parts += ["{0} packages could not be looked for".format(what) for what, names in found.items() if names is None]
    if parts:
        context.progress(None, "left over: " + ", ".join(parts))


def renamed(simulation: str) -> Dict[str, str]:
    """
    The packages that only change their name, as old -> new: libssl3 -> libssl3t64. That is how Debian 13 and Ubuntu 24.04 have brought the 64-bit
    time_t; dependants move along, so such a removal takes nothing away.
    """
    fresh = set(INSTALLING.findall(simulation))
    return {name: name + "t64" for name in removals(simulation) if name + "t64" in fresh}


def _obsolete(context: Context) -> Optional[List[str]]:
    # apt-get has no patterns. apt says on stderr that its words may change; if they do, the list is unknown, not empty.
    result = context.run(["apt", "-qq", "list", "?obsolete"], timeout=120)
    names = re.findall(r"^([a-z0-9][a-z0-9+.-]+)/", result.out, re.MULTILINE)
    lines = [line for line in result.out.splitlines() if line.strip()]
    return sorted(set(names)) if result.rc == 0 and len(names) == len(lines) else None


def _residual(context: Context) -> Optional[List[str]]:
    result = context.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n"])
    return sorted(re.findall(r"^config-files (\S+)$", result.out, re.MULTILINE)) if result.rc == 0 else None


def _unneeded(context: Context, apt: Apt) -> Optional[List[str]]:
    result = context.run(apt.command("--simulate", "autoremove"), timeout=120)
    return sorted(removals(result.out)) if result.rc == 0 else None
