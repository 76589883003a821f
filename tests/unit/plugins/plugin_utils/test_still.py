# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work that cannot speak is told of until it ends, and short work is not."""

from __future__ import annotations

import queue

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._still import telling


def test_long_work_is_told_of_again_and_again_with_the_seconds_so_far():
    said: queue.Queue[str] = queue.Queue()
    with telling("m1 is being looked at", said.put, 1):
        heard = [said.get(timeout=30), said.get(timeout=30)]
    assert heard == ["m1 is being looked at (1 s)", "m1 is being looked at (2 s)"]


def test_work_that_ends_or_fails_in_time_is_not_told_of():
    said: list[str] = []
    with telling("m1", said.append, 3600):
        pass
    with pytest.raises(ValueError):
        with telling("m1", said.append, 3600):
            raise ValueError
    assert not said
