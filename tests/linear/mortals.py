# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins that nobody renews: never gone before their deadline, never there after it and the bound of docs/replicas.md."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Sequence

from tests.linear.clients import Line

MOMENT = 60.0  # what a pinner is given after an outage, at most, and its own duration at most
SLACK = 1.0  # seconds for a busy box to see it
SILENCE = 0.25  # between two acknowledged writes; longer is time in which endpoint time may have stood still


@dataclass
class Mortal:
    """One pin: asked for, acknowledged, and every look at it as (asked, told, whether it was there)."""

    name: str
    duration: float
    asked: float
    told: float
    looks: list[tuple[float, float, bool]] = field(default_factory=list)


class Mortals:
    """A few at a time until `stop`."""

    def __init__(self, urls: Sequence[str], token: str, name: str, count: int = 3, seed: int = 0) -> None:
        self._urls, self._token, self._name, self._seed = urls, token, name, seed
        self.all: list[Mortal] = []
        self.acknowledged: list[float] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._one_after_another, args=(number,), name=f"mortal-{number}") for number in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _one_after_another(self, number: int) -> None:
        line, chance, round_ = Line(self._urls, self._token), random.Random(self._seed * 77 + number), 0
        while not self._end.is_set():
            round_ += 1
            self._one(line, chance, f"{self._name}-{number}-{round_}")
        line.close()

    def _one(self, line: Line, chance: random.Random, name: str) -> None:
        def insist(path: str, body: dict) -> tuple[float, float]:
            while not self._end.is_set():
                asked = time.monotonic()
                answer = line.ask(chance.randrange(64), "POST", path, body)
                told = time.monotonic()
                if answer and answer[0] == 200 and all(result["ok"] for result in answer[1].get("results", ())):
                    self.acknowledged.append(told)
                    return asked, told
                if answer and any(result.get("kind") == "halted" for result in answer[1].get("results", ())):
                    return 0.0, 0.0  # an attempt of unknown outcome had pinned it, and that pin has lapsed since
                self._end.wait(0.1)
            return 0.0, 0.0

        insist("/v1/claim", {"application": name, "holder": "m/0", "duration": 300})
        duration = 5.0 + chance.random() * 2
        first = time.monotonic()
        _asked, told = insist("/v1/pin", {"items": [{"application": name}], "run": "mortal", "reason": "dies", "duration": duration})
        if not told:
            return
        # Earlier attempts of unknown outcome may have pinned it as well, so it lives from the first.
        mortal = Mortal(name, duration, first, told)
        self.all.append(mortal)
        gone = 0
        while gone < 3 and not self._end.wait(0.2):
            asked = time.monotonic()
            answer = line.ask(chance.randrange(64), "GET", f"/v1/leases?application={name}")
            if answer and answer[0] == 200:
                pinned = answer[1]["leases"][0]["pinned"]
                mortal.looks.append((asked, time.monotonic(), pinned))
                gone += not pinned

    def verdict(self, acknowledged: Sequence[float]) -> list[str]:
        """What is wrong. `acknowledged`: when any write was answered with yes, by whomever."""
        moments = sorted([*acknowledged, *self.acknowledged])
        silences = [(early, late) for early, late in zip(moments, moments[1:]) if late - early > SILENCE]
        wrong = []
        for mortal in self.all:
            for asked, told, pinned in mortal.looks:
                if not pinned and told < mortal.asked + mortal.duration:
                    wrong.append(f"{mortal.name} was gone {mortal.asked + mortal.duration - told:.2f} s before its deadline")
                still = sum(max(0.0, min(late, asked) - max(early, mortal.asked)) for early, late in silences)
                late_by = asked - (mortal.told + mortal.duration + min(mortal.duration, MOMENT) + still + SLACK)
                if pinned and late_by > 0:
                    wrong.append(f"{mortal.name} was there {late_by:.2f} s after its deadline ({mortal.duration:.1f} s) and the bound "
                                 f"({still:.1f} s of silence)")
        return wrong

    @property
    def lapsed(self) -> int:
        return sum(bool(mortal.looks) and not mortal.looks[-1][2] for mortal in self.all)

    def longest(self) -> float:
        """Seconds for which a pin was seen after its deadline, at most."""
        return max((asked - mortal.told - mortal.duration for mortal in self.all for asked, _told, pinned in mortal.looks if pinned), default=0.0)
