# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wing and Gong's search with Lowe's memory: is there an order of the operations, true to real time, that the model can explain?

Leases are independent, and linearizability is local: a history is checked lease by lease. An operation whose outcome is not known may
have happened at any time after it was asked, or never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Hashable, Optional, Sequence

NEVER = float("inf")


@dataclass(frozen=True)
class Operation:
    """What one client asked of one lease, from `asked` to `told` (seconds of one monotonic clock; NEVER: no outcome), and what it was told."""

    asked: float
    told: float
    verb: str
    args: tuple[Any, ...]
    answer: Optional[Hashable]  # None with told == NEVER
    who: str = ""

    @property
    def known(self) -> bool:
        return self.told != NEVER


@dataclass(frozen=True)
class Verdict:
    """`order`: the longest order found that the model explains; `stuck`: the operations of which none could come next, if not all could be placed."""

    whole: bool
    order: tuple[Operation, ...]
    stuck: tuple[Operation, ...] = ()
    states: int = 0


class TooMany(Exception):
    """The search was given up: neither linearizable nor not."""


# A step: (state, verb, args, answer) -> the state after it, or None when the model cannot have given this answer. answer None: any.
Step = Callable[[Hashable, str, tuple[Any, ...], Optional[Hashable]], Optional[Hashable]]


def check(history: Sequence[Operation], start: Hashable, step: Step, most: int = 2_000_000) -> Verdict:
    """`most`: steps of the model tried before TooMany is raised."""
    operations = sorted(history, key=lambda operation: operation.asked)
    events = sorted([(operation.asked, 0, number) for number, operation in enumerate(operations)]
                    + [(operation.told, 1, number) for number, operation in enumerate(operations)])
    # A ring of calls and returns that forgets and takes back in constant time.
    count = len(events)
    following, before = list(range(1, count + 2)), list(range(-1, count + 1))
    call_at, return_at = [0] * len(operations), [0] * len(operations)
    for place, (_when, kind, number) in enumerate(events, 1):
        (return_at if kind else call_at)[number] = place
    following[count] = count + 1
    state, done = start, 0
    seen: set[tuple[int, Hashable]] = set()
    path: list[tuple[int, Hashable]] = []
    best: list[int] = []
    stuck: list[int] = []
    must = sum(operation.known for operation in operations)
    # Of several that ask the same without an outcome, the one asked first comes first: any other order is the same story again.
    twin: list[int] = []
    latest: dict[tuple[str, tuple[Any, ...]], int] = {}
    for number, operation in enumerate(operations):
        twin.append(0 if operation.known else latest.get((operation.verb, operation.args), 0))
        if not operation.known:
            latest[operation.verb, operation.args] = 1 << number
    placed, tried = 0, 0
    here = following[0]

    def lift(number: int) -> None:
        for place in (call_at[number], return_at[number]):
            following[before[place]], before[following[place]] = following[place], before[place]

    def put_back(number: int) -> None:
        for place in (return_at[number], call_at[number]):
            following[before[place]] = before[following[place]] = place

    while placed < must:
        kind, number = events[here - 1][1:] if here <= count else (1, -1)
        if kind == 0:
            tried += 1
            if tried > most:
                raise TooMany(f"{tried} steps were tried for {len(operations)} operations")
            operation = operations[number]
            after = step(state, operation.verb, operation.args, operation.answer) if twin[number] & done == twin[number] else None
            # One without an outcome and without an effect explains nothing: it is as well left out.
            if after is not None and (operation.known or after != state) and (done | 1 << number, after) not in seen:
                seen.add((done | 1 << number, after))
                path.append((number, state))
                state, done = after, done | 1 << number
                placed += operation.known
                lift(number)
                here = following[0]
                continue
            here = following[here]
            continue
        # A return that nobody explained (or the end): what was placed last was placed wrongly.
        if len(path) >= len(best):
            best = [each for each, _state in path]
            stuck = [events[place - 1][2] for place in _ring(following, here) if events[place - 1][1] == 0]
        if not path:
            return Verdict(False, tuple(operations[each] for each in best), tuple(operations[each] for each in stuck), len(seen))
        number, state = path.pop()
        done &= ~(1 << number)
        placed -= operations[number].known
        put_back(number)
        here = following[call_at[number]]
    return Verdict(True, tuple(operations[each] for each, _state in path), (), len(seen))


def _ring(following: list[int], end: int) -> list[int]:
    found, place = [], following[0]
    while place != end:
        found.append(place)
        place = following[place]
    return found
