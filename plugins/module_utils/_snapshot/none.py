# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No snapshot: for methods that can undo themselves, and for those who take the risk. Private room of the collection."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, ContextManager, Dict, List, Optional

from .._watcher.steps import Record, Result, Step


class Nothing:
    """Keeps nothing and brings nothing back."""

    needs_reboot = False
    can_revert = False

    def __init__(self, spec: Optional[Dict[str, Any]] = None, run: Optional[Callable[..., Result]] = None) -> None:
        """Takes what every kind takes, and needs none of it."""

    def check(self) -> Optional[str]:
        return None

    def notes(self) -> List[str]:
        return []

    def create(self, name: str) -> Record:
        return {"kind": "none", "name": name}

    def readable(self, record: Record) -> ContextManager[Optional[str]]:
        """Nothing of it can be looked at from here."""
        return contextlib.nullcontext()

    def revert_steps(self, record: Record, state_dir: str) -> List[Step]:
        return []

    def carry(self, record: Record, state_dir: str) -> None:
        """Nothing is left behind."""

    def drop(self, record: Record) -> None:
        """Nothing was kept."""
