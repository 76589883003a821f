# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What etcd's JSON gateway says and hears: bytes as base64, 64-bit numbers as strings, zeros and empty lists left out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode(text: str) -> bytes:
    return base64.b64decode(text)


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


@dataclass(frozen=True)
class Kv:
    """One key. `create` and `mod` are revisions; `lease` 0: it has no end of its own."""

    key: bytes
    value: bytes
    create: int
    mod: int
    version: int
    lease: int

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Kv:
        numbers = (int(told.get(name, 0)) for name in ("create_revision", "mod_revision", "version", "lease"))
        return cls(decode(told["key"]), decode(told.get("value", "")), *numbers)


@dataclass(frozen=True)
class Range:
    """The keys found, how many there are in all, and the revision of the whole store at which this was true."""

    kvs: tuple[Kv, ...]
    count: int
    revision: int

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Range:
        return cls(tuple(Kv.read(kv) for kv in told.get("kvs", ())), int(told.get("count", 0)), int(told.get("header", {}).get("revision", 0)))


@dataclass(frozen=True)
class Txn:
    """`succeeded`: which branch ran. `answers`: for each part a Range, the number of keys deleted, or None for a put."""

    succeeded: bool
    answers: tuple[Union[Range, int, None], ...]
    revision: int

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Txn:
        return cls(bool(told.get("succeeded")), tuple(map(_part, told.get("responses", ()))), int(told["header"]["revision"]))


def _part(told: Mapping[str, Any]) -> Union[Range, int, None]:
    if "response_range" in told:
        return Range.read(told["response_range"])
    if "response_delete_range" in told:
        return int(told["response_delete_range"].get("deleted", 0))
    return None


@dataclass(frozen=True)
class Granted:
    lease: int
    ttl: int


@dataclass(frozen=True)
class Alive:
    """A living lease: seconds left, seconds granted, keys attached (if they were asked for)."""

    ttl: int
    granted: int
    keys: tuple[bytes, ...]


# Comparisons of a transaction


def created(key: bytes, revision: int) -> dict[str, Any]:
    """The key was created at `revision`; 0: it does not exist."""
    return {"target": "CREATE", "result": "EQUAL", "key": encode(key), "create_revision": str(revision)}


def modified(key: bytes, revision: int) -> dict[str, Any]:
    """The key was last written at `revision`; 0: it does not exist."""
    return {"target": "MOD", "result": "EQUAL", "key": encode(key), "mod_revision": str(revision)}


def leased(key: bytes, lease: int) -> dict[str, Any]:
    """The key is attached to this lease."""
    return {"target": "LEASE", "result": "EQUAL", "key": encode(key), "lease": str(lease)}


# Parts of a transaction


def put(key: bytes, value: bytes, lease: int = 0) -> dict[str, Any]:
    return {"request_put": {"key": encode(key), "value": encode(value), "lease": str(lease)}}


def move(key: bytes, lease: int) -> dict[str, Any]:
    """Attach the key to another lease; its value stays what it is at that moment. The key must exist."""
    return {"request_put": {"key": encode(key), "ignore_value": True, "lease": str(lease)}}


def get(key: bytes, end: Optional[bytes] = None, limit: int = 0) -> dict[str, Any]:
    return {"request_range": {"key": encode(key), "limit": str(limit), **({} if end is None else {"range_end": encode(end)})}}


def delete(key: bytes, end: Optional[bytes] = None) -> dict[str, Any]:
    return {"request_delete_range": {"key": encode(key), **({} if end is None else {"range_end": encode(end)})}}
