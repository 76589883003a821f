# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of a system with a leadership of its own: it does what the test says. Its state survives the endpoint, as a real one's does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from lease_endpoint.errors import Unreachable
from lease_endpoint.providers.foreign import Capabilities, Foreign, Leadership, Member


@dataclass
class System:
    """The double itself."""

    holder: str | None = "db/0"
    term: int = 7
    frozen: bool = False
    silent: set[str] = field(default_factory=set)  # verbs that get no answer
    unanswered: set[str] = field(default_factory=set)  # verbs that are done, but whose answer is lost
    asked: list[str] = field(default_factory=list)
    gate: threading.Event | None = None  # read waits for it


class Scripted(Foreign):
    """Speaks to one `System`."""

    name = "scripted"
    capabilities = Capabilities("lease", True, True, True)

    def __init__(self, application, options):
        self.application, self.system = application, options["system"]

    def _ask(self, verb):
        self.system.asked.append(verb)
        if verb in self.system.silent:
            raise Unreachable(f"{self.application}: silent")

    def _answer(self, verb):
        if verb in self.system.unanswered:
            raise Unreachable(f"{self.application}: the answer was lost")

    def read(self):
        if self.system.gate is not None:
            self.system.gate.wait(10)
        self._ask("read")
        members = tuple(Member(f"db/{number}", True) for number in range(3))
        return Leadership(self.system.holder, self.system.term, self.system.frozen, members)

    def displaced(self):
        self._ask("displaced")
        return {"frozen": self.system.frozen}

    def freeze(self, displaced):
        self._ask("freeze")
        self.system.frozen = True
        self._answer("freeze")
        return self.read()

    def thaw(self, displaced):
        self._ask("thaw")
        self.system.frozen = displaced["frozen"]
        self._answer("thaw")

    def transfer(self, to, term):
        self._ask("transfer")
        self.system.holder, self.system.term = to, self.system.term + 1
        self._answer("transfer")
        return self.read()
