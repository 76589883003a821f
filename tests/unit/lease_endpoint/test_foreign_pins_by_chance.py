# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lives of a frozen application made by chance, with a double of its system: pins, lapses, lost answers, and deaths of the endpoint anywhere."""

from __future__ import annotations

import random

import pytest

from lease_endpoint.pins import Wish
from lease_endpoint.rights import Caller
from tests.unit.lease_endpoint.test_foreign_pins import DB, Died, House

WHO = [Caller("alice", ("pin",), None), Caller("bob", ("pin",), None)]
VERBS = ("read", "displaced", "freeze", "thaw")


class Life:
    """What happens, and what must be true of it. `acknowledged`: pinners that were told that they hold a pin and nothing else since."""

    def __init__(self, house, chance):
        self.house, self.chance = house, chance
        self.acknowledged = set()
        self.before = chance.random() < 0.3
        house.system.frozen = self.before

    def wound(self):
        """Something that the next calls of the system meet; the endpoint may die of one."""
        kind = self.chance.choice(["silent", "unanswered", "dies before", "dies after", "none", "none"])
        verb = self.chance.choice(VERBS)
        if kind in ("silent", "unanswered"):
            getattr(self.house.system, kind).add(verb)
        elif kind != "none":
            real = getattr(self.house.provider, verb)

            def dying(*words):
                if kind == "dies after":
                    real(*words)
                raise Died()

            setattr(self.house.provider, verb, dying)

    def heal(self):
        self.house.system.silent.clear()
        self.house.system.unanswered.clear()

    def step(self):
        self.wound()
        try:
            self.chance.choice([self.pin, self.pin, self.unpin, self.lapse, self.house.look])()
        except Died:
            self.house.crash()
        if self.chance.random() < 0.1:
            self.house.crash()
        if self.chance.random() < 0.5:
            self.heal()
        with self.house.broker.reading() as moment:
            pins = {pin.identity for pin in moment.book.pins("db")}
        assert self.acknowledged <= pins, "an acknowledged pin is gone"

    def pin(self):
        who = self.chance.choice(WHO)
        asked = len(self.house.system.asked)
        answer = self.house.broker.pin(who, DB, Wish("r", "chance", 100.0))[0]
        if answer["ok"]:
            assert self.house.system.frozen, "acknowledged and not frozen"
            self.acknowledged.add(who.identity)
        elif answer["kind"] == "halted":
            assert "freeze" not in self.house.system.asked[asked:], "frozen for a run that is refused"

    def unpin(self):
        who = self.chance.choice(WHO)
        self.acknowledged.discard(who.identity)  # from here on nothing is promised
        assert self.house.broker.unpin(who, DB, f"{who.identity}/r", "")[0]["ok"]

    def lapse(self):
        self.house.passed += 101
        self.acknowledged.clear()
        self.house.broker.settle()
        if self.chance.random() < 0.8:
            self.house.broker.clear_halt(Caller("admin", ("admin",), None), DB, "chance")

    def end(self):
        """Everything answers again: then the system is as the pins want it, and as it was before where there is none."""
        self.heal()
        self.house.crash()
        for _look in range(3):
            self.house.look()
        with self.house.broker.reading() as moment:
            pins, freeze = moment.book.pins("db"), moment.book.freeze("db")
        assert (freeze is not None) is bool(pins)
        assert self.house.system.frozen is (True if pins else self.before)
        for who in WHO:
            self.house.broker.unpin(who, DB, f"{who.identity}/r", "")
        assert self.house.system.frozen is self.before, "not put back as it was"


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_acknowledged_pins_stay_and_the_system_ends_as_the_pins_want_it(tmp_path, seed):
    life = Life(House(tmp_path), random.Random(seed))
    for _step in range(25):
        life.step()
    life.end()
    life.house.ledger.close()
