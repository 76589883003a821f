# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One native lease as the contract has it, for as long as nothing in it runs out: histories are shorter than its durations."""

from __future__ import annotations

from typing import Any, Hashable, NamedTuple, Optional


class State(NamedTuple):
    """Also what a read answers. `holder` None: nobody holds it."""

    term: int
    revision: int
    holder: Optional[str]
    pins: frozenset[str]


NEW = State(0, 0, None, frozenset())


def step(state: Hashable, verb: str, args: tuple[Any, ...], answer: Optional[Hashable]) -> Optional[State]:
    """See checker.Step. Answers: a State (of the lease after it), (changed, State) of pin and unpin, or a refusal's kind."""
    assert isinstance(state, State)
    after, would_say = _STEPS[verb](state, *args)
    return after if answer is None or answer == would_say else None


def _read(state: State) -> tuple[State, Hashable]:
    return state, state


def _claim(state: State, holder: str) -> tuple[State, Hashable]:
    if state.holder == holder:
        return state, state
    if state.holder is not None:
        return state, "denied"
    after = state._replace(term=state.term + 1, revision=state.revision + 1, holder=holder)
    return after, after


def _mine(state: State, holder: str, term: int) -> Optional[str]:
    if state.holder != holder:
        return "not_held"
    return "stale" if state.term != term else None


def _renew(state: State, holder: str, term: int) -> tuple[State, Hashable]:
    return state, _mine(state, holder, term) or state


def _resign(state: State, holder: str, term: int) -> tuple[State, Hashable]:
    refusal = _mine(state, holder, term) or ("pinned" if state.pins else None)
    if refusal:
        return state, refusal
    after = state._replace(revision=state.revision + 1, holder=None)
    return after, after


def _pin(state: State, pinner: str) -> tuple[State, Hashable]:
    if pinner in state.pins:
        return state, (False, state)
    if state.holder is None:
        return state, "no_leader"
    after = state._replace(revision=state.revision + 1, pins=state.pins | {pinner})
    return after, (True, after)


def _unpin(state: State, pinner: str) -> tuple[State, Hashable]:
    if pinner not in state.pins:
        return state, (False, state)
    after = state._replace(revision=state.revision + 1, pins=state.pins - {pinner})
    return after, (True, after)


_STEPS = {"read": _read, "claim": _claim, "renew": _renew, "resign": _resign, "pin": _pin, "unpin": _unpin}
