# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from tests.rig.watcher import Rig


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """rig(**spec) makes one. The order of the writes is what is tried here; that each is synced is tried in test_marker."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    return lambda **spec: Rig(tmp_path, **spec)
