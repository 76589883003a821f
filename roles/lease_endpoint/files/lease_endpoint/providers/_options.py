# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the options of a provider: each key once, of its kind, and none that nobody asked for. Raises errors.Invalid naming the key."""

from __future__ import annotations

import re
from typing import Any, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from lease_endpoint import names
from lease_endpoint.errors import Invalid

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Options:
    """`take` what is known, then `finish`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._left = dict(options)
        self._known: list[str] = []

    def take(self, key: str, kind: type, what: str, default: Any = None, needed: bool = False) -> Any:
        """The value of `key`, which must be a `kind` (a truth value is no number); `what` completes "KEY must be ..."."""
        self._known.append(key)
        value = self._left.pop(key, None)
        if value is None:
            if needed:
                raise Invalid(f"{key} is missing; it must be {what}")
            return default
        if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool) or value in ("", [], {}):
            raise Invalid(f"{key} must be {what}, not {value!r}")
        return value

    def text(self, key: str, what: str, needed: bool = False) -> Optional[str]:
        return self.take(key, str, what, needed=needed)

    def seconds(self, key: str, shortest: float, longest: float, default: float) -> float:
        value = self.take(key, float, f"{shortest:g} to {longest:g} (seconds)", default)
        if not shortest <= value <= longest:
            raise Invalid(f"{key} must be {shortest:g} to {longest:g} (seconds), not {value:g}")
        return value

    def urls(self, key: str, schemes: Sequence[str], example: str) -> list[str]:
        what = f'a list of addresses as "{example}"'
        found = self.take(key, list, what, needed=True)
        for url in found:
            if not isinstance(url, str) or not _is_url(url, schemes):
                raise Invalid(f"{key} must be {what}, not {url!r}")
        return found

    def finish(self) -> None:
        if self._left:
            raise Invalid(f"{', '.join(map(repr, sorted(map(str, self._left))))} is no option here; there are {', '.join(sorted(self._known))}")


def _is_url(url: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port is not None and parts.path in ("", "/") and "@" not in parts.netloc
    except ValueError:
        return False


def clear_text(urls: Sequence[str]) -> list[str]:
    """Those that would carry a secret readable over a network."""
    return [url for url in urls if urlsplit(url).scheme in ("http", "ws") and urlsplit(url).hostname not in LOOPBACK]


def both(key: str, value: Any, other: str, value_of_other: Any) -> None:
    if (value is None) != (value_of_other is None):
        raise Invalid(f"{key} and {other} belong together: give both or neither")


def pattern(key: str, text: Any) -> "re.Pattern[str]":
    try:
        return re.compile(text)
    except (re.error, TypeError) as trouble:
        raise Invalid(f"{key} must be a regular expression, not {text!r}: {trouble}") from trouble


def unit(key: str, name: Any) -> str:
    if not isinstance(name, str) or not names.matches(names.UNIT, name):
        raise Invalid(f"{key} must name units as db/0, not {name!r}")
    return name
