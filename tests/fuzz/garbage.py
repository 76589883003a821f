# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values, bytes and damages to choose from. Every choice is the generator's that is handed in, so that a seed tells a whole run."""

from __future__ import annotations

import random
import typing as t

STRANGE: tuple[t.Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, 7, 10 ** 12, 1e308, float("inf"), float("-inf"), float("nan"), 2 ** 70, "", " ", "x", "WATCHING", "COMMITTED",
    "../../etc", "a" * 1001, "\x00", "\x1b[2J", "\ud800", "ä\u202e", "{}", "1", [], [[]], ["HELD", 1], {}, {"a": {}}, [None],
)
BYTES = (
    b"", b"\x00", b"\xff\xfe", b"hello", b"null", b"[]", b"{}", b"[" * 20000, b'{"a":' * 9000, b'{"v":1,"do":"status"', b'{"v":1,"do":"status"}}', b"1" * 5000,
    b'{"v":1,"v":2,"do":"status"}', b'"' + b"\\u0000" * 50 + b'"', b"\xed\xa0\x80", b"NaN", b"-", b'{"v":1e999,"do":"status"}', b" " * 100, b"\r",
)


def value(dice: random.Random) -> t.Any:
    """Anything that JSON can hold, and some that Python's JSON can."""
    return dice.choice(STRANGE)


def damaged(dice: random.Random, data: bytes) -> bytes:
    """data with one thing done to it that a torn write, a bad disk or an editor does."""
    if not data:
        return dice.choice(BYTES)
    at, to = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    how = dice.randrange(6)
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1:]
    if how == 2:
        return data[:at] + data[to:]
    if how == 3:
        return data[:to] + data[at:]
    if how == 4:
        return data[:at] + b"\0" * (to - at) + data[to:]
    return data[:at] + dice.choice(BYTES) + data[at:]


def changed(dice: random.Random, tree: t.Any, depth: int = 0) -> t.Any:
    """A copy of a JSON tree in which one place is another value, is missing or is there twice."""
    if isinstance(tree, dict) and tree and (depth == 0 or dice.random() < 0.7):
        key = dice.choice(sorted(tree))
        copy = dict(tree)
        how = dice.random()
        if how < 0.15:
            del copy[key]
        elif how < 0.25:
            copy["strange"] = value(dice)
        else:
            copy[key] = changed(dice, tree[key], depth + 1)
        return copy
    if isinstance(tree, list) and tree and dice.random() < 0.7:
        place = dice.randrange(len(tree))
        return tree[:place] + [changed(dice, tree[place], depth + 1)] + tree[place + 1:]
    return value(dice)
