# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine to try release rooms on: programs answer what the test says, and what was asked of them is kept."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Context, Result


class StandIn(Context):
    """
    answers: [(words that the command line holds, rc, text)], the first that matches is used up by call() and kept by run(). What no
    answer fits ends well and says nothing.
    """

    def __init__(self, state_dir):
        self.state_dir = self.log_dir = str(state_dir)
        self.run_id = "to-trixie-1"
        self.calls, self.runs, self.environments, self.told, self.waits = [], [], [], [], []
        self.memory = {}
        self.answers = []
        self.on_call = None

    def call(self, argv, log, on_line=None, env=None):
        self.calls.append(" ".join(argv))
        self.environments.append(dict(env or {}))
        if self.on_call is not None:
            self.on_call(argv)
        answer = self._answer(argv)
        if answer in self.answers:
            self.answers.remove(answer)
        for line in answer[2].splitlines():
            if on_line is not None:
                on_line(line)
        return answer[1]

    def run(self, argv, timeout=60, env=None):
        self.runs.append(" ".join(argv))
        answer = self._answer(argv)
        return Result(answer[1], answer[2] if answer[1] == 0 else "", "" if answer[1] == 0 else answer[2])

    def _answer(self, argv):
        line = " ".join(argv)
        return next((answer for answer in self.answers if answer[0] in line), ("", 0, ""))

    def progress(self, percent, msg):
        self.told.append((percent, msg))

    def wait(self, seconds):
        self.waits.append(seconds)

    def remember(self, key, value):
        self.memory[key] = value

    def recall(self, key, default=None):
        return self.memory.get(key, default)


@pytest.fixture
def context(tmp_path):
    return StandIn(tmp_path)
