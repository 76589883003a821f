# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of all kinds that do not need a disk of their own. btrfs keeps it on a real one, in tests/integration."""

from __future__ import annotations

import pytest

from tests.unit.plugins.module_utils._snapshot.contract import Contract


class TestCommand(Contract):
    @pytest.fixture
    def box(self, box_of):
        return box_of("command")


class TestThickLvmOnRecordedOutput(Contract):
    @pytest.fixture
    def box(self, box_of):
        return box_of("lvm_thick")


class TestThinLvmOnRecordedOutput(Contract):
    @pytest.fixture
    def box(self, box_of):
        return box_of("lvm_thin")


class TestZfsOnOutputAfterItsManual(Contract):
    @pytest.fixture
    def box(self, box_of):
        return box_of("zfs")
