# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What an upgrade has to tell of itself beside its end: kept files, packages left over, the proof. It lies in the marker under "report".

Private room of the collection. Everybody adds keys of his own, so a phase that is begun again tells the same again.
"""

from __future__ import annotations

from typing import Any, Dict

from .._watcher.steps import Context

KEY = "report"


def tell(context: Context, **facts: Any) -> None:
    """Returns when facts (JSON values) are durable, beside what was told before."""
    before: Dict[str, Any] = context.recall(KEY) or {}
    after = dict(before, **facts)
    if after != before:
        context.remember(KEY, after)


def told(context: Context, key: str) -> Any:
    """What was told under key; None when nothing was."""
    return (context.recall(KEY) or {}).get(key)
