# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins on leadership elsewhere, with a double of that system and a real ledger: each order of intent, deed, crash and lost answer."""

from __future__ import annotations

import json
import threading
import time

import pytest

from lease_endpoint import steward
from lease_endpoint.broker import Broker
from lease_endpoint.clock import Clock
from lease_endpoint.errors import LeaseError
from lease_endpoint.ledger.sqlite import Ledger
from lease_endpoint.pins import Wish
from lease_endpoint.rights import Caller
from tests.unit.lease_endpoint.scripted import Scripted, System

ADMIN = Caller("admin", ("admin",), None)
OTHER = Caller("other", ("pin",), None)
WISH = Wish("r1", "test", 600.0)
DB = [{"application": "db"}]


class Died(BaseException):
    """The process ends here."""


class House:
    """An endpoint without HTTP that can end at any call of the provider and start again on its ledger."""

    def __init__(self, tmp_path):
        self.system = System()
        self.path = tmp_path / "ledger"
        self.passed = 0.0
        self.start()

    def start(self):
        self.ledger = Ledger(self.path)
        with self.ledger.read() as book:
            start = book.time()
        self.clock = Clock(start, lambda: time.monotonic() + self.passed)
        self.provider = Scripted("db", {"system": self.system})
        self.broker = Broker(self.ledger, self.clock, applications={"db": self.provider})
        self.steward = steward.Steward(self.broker)

    def crash(self):
        self.ledger.close()
        self.start()

    def look(self):
        """One look of the steward, until what it began has ended."""
        ward = self.broker.wards["db"]
        ward.next_try = 0.0
        self.steward._observed.clear()
        self.steward._look()
        for work in self.steward._at_work.values():
            try:
                work.result(10)
            except LeaseError:
                pass

    def pin(self, who=ADMIN, wish=WISH, **item):
        return self.broker.pin(who, [{"application": "db", **item}], wish)[0]

    def unpin(self, who=ADMIN, run="r1"):
        return self.broker.unpin(who, DB, f"{who.identity}/{run}", "")[0]

    @property
    def lease(self):
        return self.broker.leases(["db"])["leases"][0]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.ledger.close()


def test_pin_is_answered_when_frozen_with_the_leader_read_under_the_freeze(house):
    found = house.pin()
    assert found["ok"] and found["changed"] and house.system.frozen
    assert found["lease"]["holder"] == "db/0" and found["lease"]["term"] == 7
    assert found["lease"]["pins"][0]["holder"] == "db/0" and found["lease"]["pins"][0]["term"] == 7
    assert found["lease"]["freeze"]["confirmed"] is True


def test_second_pin_of_the_same_pinner_asks_nobody(house):
    house.pin()
    house.system.silent |= {"read", "freeze", "displaced"}
    found = house.pin()
    assert found["ok"] and found["changed"] is False


def test_second_pinner_adds_a_row_and_only_the_last_unpin_thaws(house):
    house.pin()
    assert house.pin(OTHER)["changed"] and house.system.asked.count("freeze") == 1
    house.unpin()
    assert house.system.frozen
    house.unpin(OTHER)
    assert not house.system.frozen and house.lease["freeze"] is None


def test_what_somebody_else_had_frozen_stays_frozen(house):
    house.system.frozen = True
    house.pin()
    house.unpin()
    assert house.system.frozen


@pytest.mark.parametrize("verb", ["read", "displaced", "freeze"])
def test_pin_of_a_silent_system_is_unreachable_and_leaves_no_pin(house, verb):
    house.system.silent.add(verb)
    found = house.pin()
    assert (found["ok"], found["kind"]) == (False, "unreachable")
    house.system.silent.clear()
    assert house.lease["pinned"] is False


def test_freeze_whose_answer_was_lost_is_thawed_again(house):
    house.system.unanswered.add("freeze")
    assert house.pin()["kind"] == "unreachable" and house.system.frozen
    house.look()
    assert not house.system.frozen and house.lease["freeze"] is None


def test_pin_after_a_failed_thaw_still_remembers_what_was_there_before(house):
    house.pin()
    house.system.silent.add("thaw")
    assert house.unpin()["lease"]["freeze"]["wanted"] is False
    house.system.silent.clear()
    house.pin()
    house.unpin()
    assert house.system.frozen is False


def test_failed_thaw_is_owed_shown_and_done_as_soon_as_the_system_answers(house):
    house.pin()
    house.system.silent.add("thaw")
    found = house.unpin()
    assert found["ok"] and found["changed"] and found["lease"]["pinned"] is False
    house.look()
    freeze = house.lease["freeze"]
    assert freeze["wanted"] is False and freeze["tries"] == 2 and "silent" in freeze["error"] and freeze["next_try_in"] > 0
    house.crash()
    house.system.silent.clear()
    house.look()
    assert not house.system.frozen and house.lease["freeze"] is None


@pytest.mark.parametrize("verb,done", [("freeze", False), ("freeze", True), ("thaw", False), ("thaw", True)])
def test_endpoint_that_dies_around_the_deed_goes_on_where_it_was(house, verb, done):
    real = getattr(house.provider, verb)

    def dying(*words):
        if done:
            real(*words)
        raise Died()

    if verb == "thaw":
        house.pin()
    setattr(house.provider, verb, dying)
    with pytest.raises(Died):
        if verb == "freeze":
            house.pin()
        else:
            house.unpin()
    house.crash()
    house.look()
    assert house.system.frozen is (verb == "freeze")
    if verb == "freeze":
        assert house.lease["freeze"]["confirmed"] and house.lease["pins"][0]["term"] == 7
        house.unpin()
    assert house.lease["freeze"] is None and not house.system.frozen


def test_leader_elected_between_crash_and_confirmation_is_the_one_the_pin_names(house):
    def dying(displaced):
        raise Died()

    house.provider.freeze = dying
    with pytest.raises(Died):
        house.pin()
    house.crash()
    house.system.holder, house.system.term = "db/1", 8
    house.look()
    assert (house.lease["pins"][0]["holder"], house.lease["pins"][0]["term"]) == ("db/1", 8)


def test_freeze_that_somebody_took_away_is_made_again_and_told_and_the_pin_keeps_what_it_found(house):
    house.pin()
    house.system.frozen, house.system.holder, house.system.term = False, "db/2", 9
    house.look()
    assert house.system.frozen
    told = " ".join(entry["msg"] for entry in house.broker.history("db", 10))
    assert "thawed by somebody else" in told and "db/0 (term 7) to db/2 (term 9) while frozen" in told
    assert house.lease["pins"][0]["holder"] == "db/0" and house.lease["holder"] == "db/2"


def test_leadership_that_nobody_exercises_under_the_freeze_is_kept_for_its_holder_and_overdue(house):
    house.pin()
    house.system.holder = None
    assert (house.lease["holder"], house.lease["overdue"]) == ("db/0", True)
    assert house.pin(OTHER)["kind"] == "no_leader", "nothing live to pin"
    house.look()
    assert (house.lease["holder"], house.lease["overdue"], house.lease["pins"][0]["holder"]) == ("db/0", True, "db/0")
    house.system.holder, house.system.term = "db/1", 8
    assert (house.lease["holder"], house.lease["overdue"]) == ("db/1", False)
    house.system.holder = None
    assert house.lease["holder"] is None, "somebody has led since"
    house.system.holder, house.system.term = None, 7
    house.unpin()
    assert house.lease["holder"] is None


def test_lapse_thaws_and_halts(house):
    house.pin()
    house.passed += 601
    assert house.lease["halted"] is not None and house.lease["pinned"] is False
    house.look()
    assert not house.system.frozen and house.lease["freeze"] is None
    assert house.pin()["kind"] == "halted" and not house.system.frozen


def test_lapse_of_a_silent_system_is_a_lapse_all_the_same(house):
    house.pin()
    house.passed += 601
    house.system.silent |= {"thaw", "read"}
    house.look()
    asked = house.broker.leases(["db"])
    assert asked["unreadable"][0]["kind"] == "unreachable" and asked["leases"] == [] and asked["unknown"] == []
    shown = house.broker.everything()["leases"][0]
    assert shown["halted"] is not None and shown["freeze"]["wanted"] is False and shown["freeze"]["tries"] == 1
    assert "holder" not in shown and shown["unreadable"]["kind"] == "unreachable"


def test_handover_takes_the_own_pin_along(house):
    house.pin()
    lease = house.broker.transfer(ADMIN, "db", "db/1", "test", "r1", 7)
    assert (lease["holder"], lease["term"]) == ("db/1", 8)
    assert (lease["pins"][0]["holder"], lease["pins"][0]["term"]) == ("db/1", 8)


def test_handover_whose_answer_was_lost_is_known_as_the_own_one_later(house):
    house.pin()
    house.system.unanswered.add("transfer")
    with pytest.raises(LeaseError) as refused:
        house.broker.transfer(ADMIN, "db", "db/1", "test", "r1")
    assert refused.value.kind == "unreachable"
    house.crash()
    house.look()
    assert (house.lease["pins"][0]["holder"], house.lease["pins"][0]["term"]) == ("db/1", 8)


def test_handover_under_somebody_elses_pin_is_refused_before_anything_is_done(house):
    house.pin(OTHER)
    with pytest.raises(LeaseError) as refused:
        house.broker.transfer(ADMIN, "db", "db/1", "test", "r1")
    assert refused.value.kind == "pinned" and "transfer" not in house.system.asked


@pytest.mark.parametrize("verb,words", [("claim", ("db/0", 60)), ("renew", ("db/0", 1, 60)), ("resign", ("db/0", 1))])
def test_units_of_a_foreign_application_cannot_claim_it_here(house, verb, words):
    with pytest.raises(LeaseError) as refused:
        getattr(house.broker, verb)(ADMIN, "db", *words)
    assert refused.value.kind == "unsupported" and "scripted" in refused.value.msg


def test_decision_on_an_older_term_is_stale(house):
    assert house.pin(term=6)["kind"] == "stale" and not house.system.frozen


def test_no_leader_is_not_frozen_unless_allowed(house):
    house.system.holder = None
    assert house.pin()["kind"] == "no_leader" and not house.system.frozen
    assert house.pin(wish=Wish("r1", "test", 600.0, allow_no_leader=True))["ok"] and house.system.frozen


def test_native_application_does_not_wait_for_a_slow_system(house):
    house.system.gate = threading.Event()
    house.broker.claim(ADMIN, "quick", "q/0", 60)
    slow = threading.Thread(target=house.pin)
    slow.start()
    try:
        begun = time.monotonic()
        assert house.broker.pin(ADMIN, [{"application": "quick"}], WISH)[0]["ok"]
        assert time.monotonic() - begun < 2 and slow.is_alive()
    finally:
        house.system.gate.set()
        slow.join()


def test_provider_that_breaks_inside_has_found_nothing_out(house):
    house.provider.read = lambda: {}["no such key"]
    assert house.broker.leases(["db"])["unreadable"][0]["kind"] == "unreachable"
    assert house.pin()["kind"] == "unreachable"


def test_pins_from_before_an_application_got_its_provider_freeze_it(house):
    house.broker.claim(ADMIN, "later", "db/0", 60)
    house.broker.pin(ADMIN, [{"application": "later"}], WISH)
    late = Broker(house.ledger, house.clock, applications={"later": Scripted("later", {"system": house.system})})
    keeper = steward.Steward(late)
    keeper._look()
    keeper._at_work["later"].result(10)
    assert house.system.frozen and late.leases(["later"])["leases"][0]["freeze"]["confirmed"]


def test_thaw_owed_by_a_provider_that_is_gone_is_shown_and_blocks_claims(house):
    house.pin()
    gone = Broker(house.ledger, house.clock)
    gone.unpin(ADMIN, DB, "admin/r1", "")
    shown = gone.everything()["leases"][0]["freeze"]
    assert shown["wanted"] is False and "not configured for it any more" in shown["error"]
    with pytest.raises(LeaseError) as refused:
        gone.claim(ADMIN, "db", "db/0", 60)
    assert refused.value.kind == "unsupported"


def test_freeze_of_another_provider_is_not_touched_said_at_the_start_and_holds_up_new_pins(house, caplog):
    house.pin()
    other = Scripted("db", {"system": house.system})
    other.name = "other"
    moved = Broker(house.ledger, house.clock, applications={"db": other})
    assert "frozen by the provider scripted" in caplog.text
    assert moved.pin(OTHER, DB, WISH)[0]["kind"] == "unsupported"
    moved.unpin(ADMIN, DB, "admin/r1", "")
    keeper = steward.Steward(moved)
    keeper._look()
    assert house.system.frozen and "thaw" not in house.system.asked
    assert moved.leases(["db"])["leases"][0]["freeze"]["error"].startswith("db was frozen by the provider scripted")


def test_displaced_survives_the_ledger_word_for_word(house):
    house.provider.displaced = lambda: {"frozen": False, "odd": ["ä", None, 1.5]}
    house.pin()
    with house.ledger.read() as book:
        assert json.loads(book.freeze("db").displaced) == {"frozen": False, "odd": ["ä", None, 1.5]}
