# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The kinds of snapshot. One is one file here and one line below: modules carry only what is imported by name.

A kind offers check, notes, create, readable, revert_steps, carry, drop, needs_reboot and can_revert;
tests/unit/plugins/module_utils/_snapshot/contract.py says what each has to keep. Private room of the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Union

from .._watcher.steps import Result, StepFailed
from .btrfs import Btrfs
from .command import Command
from .lvm import Lvm
from .none import Nothing
from .zfs import Zfs

Snapshot = Union[Btrfs, Command, Lvm, Nothing, Zfs]

KINDS: Dict[str, Callable[..., Snapshot]] = {
    "btrfs": Btrfs,
    "command": Command,
    "lvm": Lvm,
    "none": Nothing,
    "zfs": Zfs,
}


def kind(spec: Optional[Dict[str, Any]], run: Callable[..., Result]) -> Snapshot:
    """
    The snapshot that spec["kind"] names, "none" without one; run has the shape of Context.run. Raises StepFailed for an unknown kind.
    """
    name = (spec or {}).get("kind") or "none"
    if name not in KINDS:
        raise StepFailed("There is no snapshot of kind {0!r}; there are {1}.".format(name, ", ".join(sorted(KINDS))))
    return KINDS[name](spec or {}, run)
