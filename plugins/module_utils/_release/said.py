# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program that failed has said, as part of a sentence. Private room of the collection."""

from __future__ import annotations

from .._watcher.steps import Result


def said(result: Result) -> str:
    """Its last line, stderr before stdout."""
    lines = (result.err.strip() or result.out.strip()).splitlines()
    return lines[-1].strip() if lines else "exit status {0} and no word".format(result.rc)
