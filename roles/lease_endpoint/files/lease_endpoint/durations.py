# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lengths of time as people write them on a command line."""

from __future__ import annotations

import re

from lease_endpoint.errors import Invalid

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def seconds(text: str) -> float:
    """`90d`, `12h`, `30m`, `45s` or a plain number of seconds. Raises Invalid."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhdw]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise Invalid(f"{text} is no length of time: write 90d, 12h, 30m or 45s")
    return float(found[1]) * _SECONDS[found[2] or "s"]
