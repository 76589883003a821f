# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker says yes to what can have happened, no to what cannot, and agrees with the plainest search there is."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.linear.checker import NEVER, Operation, TooMany, check
from tests.linear.model import NEW, State, step

LED = State(1, 1, "a", frozenset())
PINNED = State(1, 2, "a", frozenset({"p"}))


def op(asked, told, verb, args=(), answer=None):
    return Operation(asked, told, verb, args, answer)


def whole(*history):
    return check(history, NEW, step).whole


def test_claim_pin_and_reads_one_after_another_are_linearizable():
    assert whole(op(0, 1, "claim", ("a",), LED), op(2, 3, "pin", ("p",), (True, PINNED)), op(4, 5, "read", (), PINNED), op(6, 7, "claim", ("b",), "denied"))


def test_stale_read_is_not_linearizable():
    verdict = check([op(0, 1, "claim", ("a",), LED), op(2, 3, "pin", ("p",), (True, PINNED)), op(4, 5, "read", (), LED)], NEW, step)
    assert not verdict.whole and [each.verb for each in verdict.order] == ["claim", "pin"] and [each.verb for each in verdict.stuck] == ["read"]


def test_read_beside_a_write_may_see_either():
    for seen in (LED, PINNED):
        assert whole(op(0, 1, "claim", ("a",), LED), op(2, 5, "pin", ("p",), (True, PINNED)), op(3, 4, "read", (), seen))


def test_acknowledged_write_that_is_lost_is_not_linearizable():
    assert not whole(op(0, 1, "claim", ("a",), LED), op(2, 3, "pin", ("p",), (True, PINNED)), op(4, 5, "unpin", ("p",), (False, LED)))


def test_two_holders_at_once_are_not_linearizable():
    assert not whole(op(0, 5, "claim", ("a",), LED), op(1, 4, "claim", ("b",), State(1, 1, "b", frozenset())))


def test_write_of_unknown_outcome_may_have_happened_late_or_never():
    claimed = op(0, 1, "claim", ("a",), LED)
    unknown = op(2, NEVER, "pin", ("p",))
    assert whole(claimed, unknown, op(3, 4, "read", (), LED))
    assert whole(claimed, unknown, op(3, 4, "read", (), LED), op(5, 6, "read", (), PINNED))
    assert not whole(claimed, unknown, op(3, 4, "read", (), PINNED), op(5, 6, "read", (), LED)), "once it was seen it has happened"


def test_search_that_grows_too_large_is_no_verdict():
    history = [op(0, 100, "pin", (f"p{number}",), "no_leader") for number in range(12)] + [op(0, 1, "read", (), LED)]
    with pytest.raises(TooMany):
        check(history, NEW, step, most=50)


def _plainly(history, start):
    """Every order there is."""
    for known in itertools.product((True, False), repeat=sum(not each.known for each in history)):
        taken = iter(known)
        kept = [each for each in history if each.known or next(taken)]
        for order in itertools.permutations(kept):
            if all(early.asked <= late.told for index, late in enumerate(order) for early in order[:index]):
                state = start
                for each in order:
                    state = step(state, each.verb, each.args, each.answer)
                    if state is None:
                        break
                else:
                    return True
    return False


@pytest.mark.parametrize("seed", range(4))
def test_checker_agrees_with_trying_every_order_of_small_random_histories(seed):
    chance = random.Random(seed)
    verdicts = set()
    for _round in range(120):
        history, state = [], NEW
        for number in range(6):
            verb = chance.choice(["claim", "pin", "unpin", "read", "resign"])
            args = {"claim": (chance.choice("ab"),), "pin": (chance.choice("pq"),), "unpin": (chance.choice("pq"),), "read": (), "resign": ("a", 1)}[verb]
            asked = number + chance.random() * 2
            told = NEVER if chance.random() < 0.15 else asked + chance.random() * 3
            answers = [State(*each) for each in ((0, 0, None, frozenset()), LED, PINNED)]
            # The true answer of running in this order, now and then another one.
            after = next(new for new in [step(state, verb, args, None)] if new is not None)
            said = {"read": state, "claim": after if args and after.holder == args[0] else "denied"}.get(verb) if verb in ("read", "claim") else None
            if said is None:
                changed = after != state
                said = (changed, after) if verb in ("pin", "unpin") else after if changed else "not_held"
                if verb == "pin" and state.holder is None and args[0] not in state.pins:
                    said = "no_leader"
                if verb == "resign" and not changed:
                    said = "not_held" if state.holder != "a" else "stale" if state.term != 1 else "pinned"
            if chance.random() < 0.15:
                said = chance.choice(answers)
            history.append(Operation(asked, told, verb, args, None if told == NEVER else said))
            if told != NEVER or chance.random() < 0.5:
                state = after
        found = check(history, NEW, step).whole
        assert found == _plainly(history, NEW), history
        verdicts.add(found)
    assert verdicts == {True, False}
