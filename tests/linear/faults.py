# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to etcd's members and to the replicas while clients are at work. Each fault ends by itself and leaves all of them running."""

from __future__ import annotations

import random
import threading
import time
from typing import Callable, Optional

from tests.contract.endpoint import Endpoint
from tests.etcd import Etcd
from tests.linear.wire import Wires
from tests.replicas import SEAT_TTL, Replica, Replicas


Wait = Callable[[float], bool]  # true when it is time to end
Kinds = dict[str, Callable[[Wait], None]]


class Faults(threading.Thread):
    """One after another, with a time of peace between, until `stop`. `done` tells what was done."""

    def __init__(self, kinds: Kinds, seed: int, peace: float = 2.0) -> None:
        super().__init__(name="faults")
        self._kinds, self._chance, self._peace = kinds, random.Random(seed), peace
        self._end = threading.Event()
        self.done: dict[str, int] = {}
        self.trouble: Optional[BaseException] = None

    def run(self) -> None:
        names: list[str] = []
        try:
            while not self._end.wait(self._peace * (0.5 + self._chance.random())):
                if not names:  # each kind once, then all anew in another order
                    names = self._chance.sample(sorted(self._kinds), len(self._kinds))
                name = names.pop()
                self._kinds[name](self._end.wait)
                self.done[name] = self.done.get(name, 0) + 1
        except BaseException as trouble:
            self.trouble = trouble

    def each_done(self) -> bool:
        return len(self.done) == len(self._kinds) or self.trouble is not None

    def stop(self) -> None:
        self._end.set()
        self.join()
        if self.trouble is not None:
            raise self.trouble


def of_replicas(etcd: Etcd, replicas: Replicas, wires: Wires, chance: random.Random) -> Kinds:
    """`wires`: through which the first replica reaches etcd and is reached by the others."""

    def active() -> Replica:
        # Between two tenures nobody is: then any will do.
        return next((one for one in replicas.all if one.state().get("active")), replicas.all[0])

    def kill_member(wait: Wait) -> None:
        member = chance.choice(etcd.members)
        member.kill()
        wait(1 + chance.random() * 2)
        member.start()

    def pause_member(wait: Wait) -> None:
        member = chance.choice(etcd.members)
        member.pause()
        wait(1 + chance.random() * 3)
        member.resume()

    def kill_majority(wait: Wait) -> None:
        for member in etcd.members[:2]:
            member.kill()
        wait(1 + chance.random())
        for member in etcd.members[:2]:
            member.start()
        etcd.wait(2)

    def kill_replica(wait: Wait) -> None:
        replica = active()
        replica.kill()
        wait(chance.random() * 2 * SEAT_TTL)
        replica.start()

    def pause_replica(wait: Wait) -> None:
        """Until another one has its seat, and a little longer; or too short for that."""
        replica = active()
        replica.pause()
        end = time.monotonic() + (20 if chance.random() < 0.7 else 1)
        while time.monotonic() < end and not wait(0.2):
            if any(one.state().get("active") for one in replicas.all if one is not replica and one.running):
                wait(1 + chance.random())
                break
        replica.resume()

    def stop_replica(wait: Wait) -> None:
        replica = active()
        replica.stop()
        wait(0.5)
        replica.start()

    def cut_off(wait: Wait) -> None:
        wires.cut()
        wait(1 + chance.random() * 2 * SEAT_TTL)
        wires.mend()

    return {each.__name__: each for each in (kill_member, pause_member, kill_majority, kill_replica, pause_replica, stop_replica, cut_off)}


def of_one(endpoint: Endpoint, chance: random.Random) -> Kinds:
    """For an endpoint with a file of its own."""

    def kill(wait: Wait) -> None:
        endpoint.kill()
        wait(chance.random())
        endpoint.start()

    def fill_disk(wait: Wait) -> None:
        endpoint.limit_files_to(4096)
        wait(0.5 + chance.random())
        endpoint.limit_files_to(None)

    def restart(wait: Wait) -> None:
        endpoint.stop()
        endpoint.start()

    def step_clock(wait: Wait) -> None:
        endpoint.step_wall_clock(chance.choice([-86400.0, 86400.0, -3.0, 3.0]))
        wait(0.2)

    return {each.__name__: each for each in (kill, fill_disk, restart, step_clock)}
