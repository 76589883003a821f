# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications file: whose leadership lives elsewhere, and how it is reached there.

JSON: {"db": {"provider": "patroni", "members": {"db/0": "https://m1:8008"}, ...}}. Applications that are not in it are native.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Mapping

from lease_endpoint import names
from lease_endpoint.errors import Invalid
from lease_endpoint.providers import FOREIGN
from lease_endpoint.providers.foreign import Foreign


def load(path: Path) -> dict[str, Foreign]:
    """The provider of each application in the file. Raises Invalid with one sentence that names the application and the key."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as trouble:
        raise Invalid(f"the applications file {path} cannot be read: {trouble.strerror}") from trouble
    except ValueError as trouble:
        raise Invalid(f"the applications file {path} is not JSON: {trouble}") from trouble
    try:
        return made(found)
    except Invalid as trouble:
        raise Invalid(f"{path}: {trouble.msg}") from trouble


def made(found: Any) -> dict[str, Foreign]:
    """Providers from what the file says. Nothing is opened."""
    if not isinstance(found, dict):
        raise Invalid('it must be an object of applications, as {"db": {"provider": "patroni", ...}}')
    return {application: _one(application, options) for application, options in found.items()}


def _one(application: str, options: Any) -> Foreign:
    if not re.fullmatch(names.APPLICATION, application):
        raise Invalid(f"{application!r} is no name of an application")
    known = ", ".join(sorted(FOREIGN))
    if not isinstance(options, Mapping) or not isinstance(options.get("provider"), str):
        raise Invalid(f"{application}: provider is missing; give one of {known}")
    name = options["provider"]
    if name not in FOREIGN:
        raise Invalid(f"{application}: provider {name} is not known here; give one of {known}, or leave the application out when its units claim it here")
    try:
        return FOREIGN[name](application, {key: value for key, value in options.items() if key != "provider"})
    except Invalid as trouble:
        raise Invalid(f"{application}: {trouble.msg}") from trouble
