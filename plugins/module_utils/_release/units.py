# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Which systemd units have failed, now and before the upgrade. Private room of the collection.

Three answers: none, these, or could not find out (None), which is what a machine without systemd says.
"""

from __future__ import annotations

import fnmatch
from typing import Callable, List, Optional, Sequence

from .._watcher.steps import Context, Result

BEFORE = "failed_units_before"
# Our own programs run in units whose failure is told in the phase's own words.
OURS = "series-upgrade-*"

ASK = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--full", "--no-pager"]


def failed(run: Callable[..., Result]) -> Optional[List[str]]:
    """The names of the units that have failed; None when systemd does not tell."""
    result = run(ASK, timeout=30)
    if result.rc != 0:
        return None
    # Some versions put a dot before the name of a failed unit even when asked for plain lines.
    names = [line.split() for line in result.out.splitlines() if line.strip()]
    found = [words[1] if words[0] in ("●", "*", "×") and len(words) > 1 else words[0] for words in names]
    return sorted(name for name in found if not fnmatch.fnmatchcase(name, OURS))


def note(context: Context) -> None:
    """Remember which have failed before the upgrade. Repeating it changes nothing."""
    if context.recall(BEFORE) is None:
        context.remember(BEFORE, {"units": failed(context.run)})


def fresh(context: Context, may_fail: Sequence[str] = ()) -> Optional[List[str]]:
    """Those that have failed and had not before, without those that may (globs); None when it cannot be told."""
    now, before = failed(context.run), (context.recall(BEFORE) or {}).get("units")
    if now is None:
        return None
    return [name for name in now if name not in (before or []) and not any(fnmatch.fnmatchcase(name, glob) for glob in may_fail)]
