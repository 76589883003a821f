# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often somebody may ask."""

from __future__ import annotations

import pytest

from lease_endpoint import limits
from lease_endpoint.errors import Invalid, TooMany
from lease_endpoint.limits import Bucket, Limits, Rate


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(name="clock")
def clock_():
    return Clock()


def test_bucket_takes_a_whole_window_at_once_and_then_one_as_time_goes_by(clock):
    bucket = Bucket(Rate.parse("60/minute"), clock)
    assert [bucket.take("a") for _each in range(60)] == [0.0] * 60
    assert bucket.take("a") == pytest.approx(1.0)
    clock.now += 0.6
    assert bucket.take("a") == pytest.approx(0.4)
    clock.now += 0.4
    assert bucket.take("a") == 0.0
    assert bucket.take("a") > 0


def test_nobody_pays_for_another(clock):
    bucket = Bucket(Rate.parse("1/hour"), clock)
    assert (bucket.take("a"), bucket.take("b")) == (0.0, 0.0)
    assert bucket.take("a") > 0


def test_bucket_remembers_no_more_than_it_must(clock, monkeypatch):
    monkeypatch.setattr(limits, "KEYS_KEPT", 10)
    bucket = Bucket(Rate.parse("1/hour"), clock)
    for number in range(100):
        bucket.take(str(number))
    assert len(bucket._left) == 10 and bucket.take("99") > 0


def test_hundred_machines_of_a_run_come_nowhere_near_the_default(clock):
    told = Limits(clock=clock)
    for _second in range(600):
        clock.now += 1
        for _machine in range(100):
            told.asked("one token for all machines")
            told.asked("one token for all machines")


def test_off_is_no_limit(clock):
    told = Limits(Rate.parse("off"), Rate.parse("off"), clock)
    for _each in range(100_000):
        told.asked("alice")


def test_refusal_says_when_to_come_back(clock):
    told = Limits(Rate.parse("1/minute"), Rate.parse("1/minute"), clock)
    told.asked("alice")
    with pytest.raises(TooMany) as refused:
        told.asked("alice")
    assert refused.value.body() == {"kind": "too_many", "msg": "alice asks more often than this endpoint allows; wait 60.0 s", "retry_in": 60.0}


@pytest.mark.parametrize("text", ["", "0/minute", "10", "10/day", "-1/second", "1.5/second", "10 / minute"])
def test_what_is_no_rate_is_refused_with_what_to_write(text):
    with pytest.raises(Invalid, match="600/minute"):
        Rate.parse(text)
