# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The methods of upgrade. One is one file here and one line below: modules carry only what is imported by name.

A method offers `ahead` (phases before the drain, which change nothing that runs), `phases`, `rollback_steps()`, `thaw(context)`, `checks()` with
`look(name, context)`, and `witness(context)`. Private room of the collection.
"""

from __future__ import annotations

from typing import Any, Mapping, Union

from .._watcher.steps import Context, StepFailed
from .command import Command
from .debian import Debian
from .ubuntu import Ubuntu

METHODS = {
    "command": Command,
    "debian": Debian,
    "ubuntu": Ubuntu,
}


def method(spec: Mapping[str, Any], tools: Context) -> Union[Command, Debian]:
    """The method that spec["method"] names. Raises StepFailed when there is none of that name or its part of the spec is wrong."""
    name = spec.get("method")
    if name not in METHODS:
        raise StepFailed("There is no method {0!r}; there are {1}.".format(name, ", ".join(sorted(METHODS))))
    return METHODS[name](spec, tools)
