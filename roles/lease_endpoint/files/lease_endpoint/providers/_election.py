# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be read off the keys of an etcd election: whose they are, which session made them, and whether we hold them.

A candidate's key is PREFIX/SESSION with the session's lease id in hexadecimal; the oldest key leads. Our own leases tell by their id what
they are for, so that nothing has to be written beside the election, and any replica or restarted endpoint knows a freeze when it sees one:

    63 bits = 24 of the key and its creation | 1 freeze or grace | 18 of the application | 20 the session's seconds
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from lease_endpoint import names
from lease_endpoint.errors import Invalid, Unreachable
from lease_endpoint.etcd_words import Kv
from lease_endpoint.providers import _options

LONGEST = (1 << 20) - 1  # seconds of a session's duration that an id can carry: twelve days


def _bits(text: bytes, count: int) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> (64 - count)


def _tag(kv: Kv) -> int:
    return _bits(b"leasehold\0%d\0%s" % (kv.create, kv.key), 24)


def _mark(application: str, kv: Kv, kind: int, seconds: int) -> int:
    return _tag(kv) << 39 | kind << 38 | _bits(application.encode(), 18) << 20 | max(1, min(seconds, LONGEST))


def freeze_id(application: str, kv: Kv, seconds: int) -> int:
    """The lease under which a frozen key lives while we keep it alive. `seconds`: the duration of the session it was taken from."""
    return _mark(application, kv, 1, seconds)


def grace_id(application: str, kv: Kv, seconds: int) -> int:
    """The lease that a key gets at thaw when its session has ended: it lives for one more duration."""
    return _mark(application, kv, 0, seconds)


@dataclass(frozen=True)
class Mark:
    """What the lease of a key says. kind: "freeze" or "grace" by us, "foreign" when another endpoint holds it, None for anything else."""

    kind: Optional[str]
    seconds: int = 0


def mark(application: str, kv: Kv) -> Mark:
    if kv.lease >> 39 != _tag(kv):
        return Mark(None)
    if not kv.lease >> 38 & 1:
        return Mark("grace", kv.lease & LONGEST)
    return Mark("freeze" if kv.lease >> 20 & (1 << 18) - 1 == _bits(application.encode(), 18) else "foreign", kv.lease & LONGEST)


def session(kv: Kv) -> int:
    """The lease of the session that made this key, by its name; 0 when the name does not tell."""
    last = kv.key.rpartition(b"/")[2]
    return int(last, 16) if re.fullmatch(rb"[0-9a-f]{1,16}", last) else 0


class Units:
    """Whose key it is, by its value. Option `units`: {unit: the value} or {unit: {"matches": regular expression}}; without it the value is the unit."""

    def __init__(self, found: Optional[Mapping[Any, Any]]) -> None:
        self._rules: dict[str, "re.Pattern[str]"] = {}
        for name, value in (found or {}).items():
            unit = _options.unit("units", name)
            if isinstance(value, Mapping) and set(value) == {"matches"}:
                self._rules[unit] = _options.pattern(f"units: {unit}: matches", value["matches"])
            elif isinstance(value, str) and value:
                self._rules[unit] = re.compile(re.escape(value))
            else:
                raise Invalid(f'units: {unit} must be the value of its key, or {{"matches": a regular expression of it}}, not {value!r}')

    @property
    def named(self) -> list[str]:
        return list(self._rules)

    def find(self, kv: Kv) -> Optional[str]:
        """None when the value is no unit's, or more than one's."""
        text = kv.value.decode("utf-8", "backslashreplace")
        if not self._rules:
            return text if names.matches(names.UNIT, text) else None
        fitting = [unit for unit, rule in self._rules.items() if rule.fullmatch(text)]
        return fitting[0] if len(fitting) == 1 else None

    def of(self, kv: Kv, application: str) -> str:
        unit = self.find(kv)
        if unit is None:
            text = kv.value.decode("utf-8", "backslashreplace")[:200]
            raise Unreachable(f'the leader of {application} calls itself "{text}", which is not exactly one unit; say in option units which unit that is')
        return unit
