# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients that ask any replica anything, and write down what they were told and when."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from typing import Any, Optional, Sequence
from urllib.parse import urlencode, urlsplit

from tests.linear.checker import NEVER, Operation, check
from tests.linear.model import NEW, State, step

PATIENCE = 4.0  # seconds a client waits for an answer; then the outcome is not known
NOTHING_CHANGED = {"stopping", "not_durable"}  # what these kinds promise


class Failed(Exception):
    """An answer that no fault excuses."""


class Line:
    """One client's connections to all replicas. An answer: (HTTP status, body); None: not known what became of it; False: certainly nothing."""

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self._places = [urlsplit(url).netloc for url in urls]
        self._open: dict[str, http.client.HTTPConnection] = {}
        self._headers = {"Lease-Protocol": "1", "Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def ask(self, which: int, method: str, path: str, body: Any = None) -> Any:
        place = self._places[which % len(self._places)]
        sent = False
        try:
            connection = self._open.get(place)
            if connection is None:
                connection = self._open[place] = http.client.HTTPConnection(place, timeout=PATIENCE)
                connection.connect()
            sent = True
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            broken = self._open.pop(place, None)
            if broken is not None:
                broken.close()
            return None if sent else False

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()


def state_of(lease: dict[str, Any]) -> State:
    return State(lease["term"], lease["revision"], lease["holder"], frozenset(pin["pinner"] for pin in lease["pins"]))


class Clients:
    """`leases` of these are fought over by `count` clients until `most` operations have been asked."""

    def __init__(self, urls: Sequence[str], token: str, leases: Sequence[str], count: int = 12, seed: int = 0, before: Optional[Clients] = None) -> None:
        """`before`: those whose history goes on here."""
        self._urls, self._token, self.leases, self._seed = urls, token, list(leases), seed
        self.history: dict[str, list[Operation]] = before.history if before else {lease: [] for lease in leases}
        self.acknowledged: list[float] = []  # when a write was answered with yes
        self.failed: list[str] = []
        self._recorded = 0  # about: many threads add to it
        self._threads = [threading.Thread(target=self._client, args=(number,), name=f"client-{number}") for number in range(count)]
        self._most, self._endless = 0, False
        self.halt = threading.Event()

    def start(self, most: int, endless: bool = False) -> None:
        """Until `most` operations are recorded; `endless`: then slowly on, until `halt`."""
        self._most, self._endless = most, endless
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def enough(self) -> bool:
        return self._recorded >= self._most or self.halt.is_set()

    def run(self, most: int) -> None:
        self.start(most)
        self.join()

    def last_look(self, seconds: float = 60.0) -> None:
        """Everybody's lease once more by each replica, when peace has returned: what was lost last is seen as well."""
        for which in range(len(self._urls)):
            line, left, end = Line(self._urls, self._token), list(self.leases), time.monotonic() + seconds
            while left and time.monotonic() < end:
                asked = time.monotonic()
                answer = line.ask(which, "GET", "/v1/leases?" + urlencode([("application", lease) for lease in left]))
                said = self._said("read", left, answer or None)
                for lease, state in zip(list(left), said):
                    if isinstance(state, State):
                        self.history[lease].append(Operation(asked, time.monotonic(), "read", (), state, f"last look at {which}"))
                        left.remove(lease)
                if left:
                    time.sleep(0.2)
            line.close()
            if left:
                self.failed.append(f"replica {which} did not answer for {seconds:.0f} s after the last fault")

    def verdict(self) -> list[str]:
        """What is wrong, a few lines for each lease; empty when everything can be explained."""
        wrong = list(self.failed)
        for lease, history in self.history.items():
            found = check(history, NEW, step)
            if not found.whole:
                lines = [f"    {each.asked:.3f}-{each.told:.3f} {each.who} {each.verb} {each.args} -> {each.answer}"
                         for each in (*found.order[-6:], *found.stuck)]
                wrong.append(f"{lease}: after {len(found.order)} of {len(history)} operations nothing explains what came next (the last 6, then those):\n"
                             + "\n".join(lines))
        return wrong

    @property
    def known(self) -> int:
        return sum(each.known for history in self.history.values() for each in history)

    @property
    def unknown(self) -> int:
        return sum(not each.known for history in self.history.values() for each in history)

    # One client

    def _client(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        line = Line(self._urls, self._token)
        terms: dict[str, int] = {}
        try:
            while (self._endless or self._recorded < self._most) and not self.halt.is_set():
                self._one(chance, line, f"c{number}", terms)
                if self._recorded >= self._most:
                    self.halt.wait(0.2)  # enough to see what the faults that are left do
        except Failed as trouble:
            self.failed.append(str(trouble))
            self.halt.set()
        finally:
            line.close()

    def _one(self, chance: random.Random, line: Line, who: str, terms: dict[str, int]) -> None:
        verb = chance.choices(["read", "claim", "renew", "resign", "pin", "unpin"], [25, 15, 15, 10, 20, 15])[0]
        several = verb in ("read", "pin", "unpin") and chance.random() < 0.2
        leases = chance.sample(self.leases, min(3, len(self.leases))) if several else [chance.choice(self.leases)]
        holder, run = f"u/{chance.randrange(3)}", f"r{chance.randrange(4)}"
        term = terms.get(leases[0], 1)
        items = [{"application": lease} for lease in leases]
        method, path, body, args = {
            "read": ("GET", "/v1/leases?" + urlencode([("application", lease) for lease in leases]), None, ()),
            "claim": ("POST", "/v1/claim", {"application": leases[0], "holder": holder, "duration": 300}, (holder,)),
            "renew": ("POST", "/v1/renew", {"application": leases[0], "holder": holder, "term": term, "duration": 300}, (holder, term)),
            "resign": ("POST", "/v1/resign", {"application": leases[0], "holder": holder, "term": term}, (holder, term)),
            "pin": ("POST", "/v1/pin", {"items": items, "run": run, "reason": "linear", "duration": 86400}, (f"admin/{run}",)),
            "unpin": ("POST", "/v1/unpin", {"items": items, "run": run}, (f"admin/{run}",)),
        }[verb]
        asked = time.monotonic()
        answer = line.ask(chance.randrange(64), method, path, body)
        told = time.monotonic()
        if answer is False:
            self.halt.wait(0.05)  # nobody listens there: do not spin
            return
        for lease, said in zip(leases, self._said(verb, leases, answer)):
            if said is False or (said is None and verb == "read"):
                continue
            self._recorded += 1
            self.history[lease].append(Operation(asked, told if said is not None else NEVER, verb, args, said, who))
            if isinstance(said, State):
                terms[lease] = said.term
        if answer and answer[0] == 200 and verb != "read":
            self.acknowledged.append(told)
        elif answer and answer[0] >= 500:
            self.halt.wait(0.05)

    def _said(self, verb: str, leases: list[str], answer: Any) -> list[Any]:
        """For each lease what the model calls the answer; None: not known; False: nothing happened."""
        if answer is None:
            return [None] * len(leases)
        status, body = answer
        if status != 200:
            if body["kind"] in NOTHING_CHANGED or (verb == "read" and body["kind"] == "unreachable"):
                return [False] * len(leases)
            if body["kind"] == "timeout":
                return [None] * len(leases)
            if status == 409:
                return [body["kind"]]
            raise Failed(f"{verb} was answered {status} {body}")
        if verb == "read":
            found = {lease["application"]: state_of(lease) for lease in body["leases"]}
            if set(found) | set(body["unknown"]) != set(leases):
                raise Failed(f"a read of {leases} was answered {body}")
            return [found.get(lease, NEW) for lease in leases]
        if verb in ("pin", "unpin"):
            return [(result["changed"], state_of(result["lease"])) if result["ok"] else result["kind"] for result in body["results"]]
        return [state_of(body["lease"])]
