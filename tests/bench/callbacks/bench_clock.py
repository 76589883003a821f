# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down when each task begins and when each of its results comes in: one line of JSON each, to the file named by BENCH_CLOCK."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: bench_clock
type: aggregate
short_description: When tasks begin and results come in
description: For the bench.
"""


class CallbackModule(CallbackBase):
    """Times are those of the controller's monotonic clock."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bench_clock"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, task):
        with open(os.environ["BENCH_CLOCK"], "a", encoding="utf-8") as clock:
            clock.write(json.dumps({"task": task.get_name().strip(), "at": time.monotonic()}) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._write(task)

    def v2_runner_on_ok(self, result):
        self._write(result.task)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result.task)
