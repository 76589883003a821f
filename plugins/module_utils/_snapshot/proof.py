# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot made, read and given up before anything depends on it. Private room of the collection."""

from __future__ import annotations

import os
from typing import Any, Optional

from .._watcher.steps import StepFailed

NAME = "proof"


def prove(snapshot: Any, name: str = NAME) -> Optional[str]:
    """
    None when a snapshot could be made, mounted to be read, and dropped; else which of these failed and why. snapshot: any kind. What an
    earlier proof that was cut off has left is used up by this one.
    """
    stage = "made"
    try:
        record = snapshot.create(name)
        try:
            stage = "read"
            with snapshot.readable(record) as place:
                if place is not None and not os.path.isdir(os.path.join(place, "etc")):
                    raise StepFailed("there is no etc in it")
        finally:
            read = stage
            stage = "dropped"
            snapshot.drop(record)
            stage = read
    except (StepFailed, OSError) as problem:
        return "A snapshot was tried and could not be {0}: {1}. Put that right, or set series_upgrade_prove_snapshot to false.".format(
            stage, str(problem).rstrip("."))
    return None
