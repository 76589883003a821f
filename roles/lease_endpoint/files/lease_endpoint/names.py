# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How things may be called. A name ends up in logs, file names and shell lines: it holds no surprise."""

from __future__ import annotations

import re

APPLICATION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
UNIT = r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}"
NAME = r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}"  # of tokens, runs and sessions
REASON = r"[^\x00-\x1f\x7f]{1,500}"


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None
