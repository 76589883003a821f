# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the points of a playbook at which a controller can die, names them in DEATH_LOG, and dies at number DEATH_AT (0: never)."""

from __future__ import annotations

DOCUMENTATION = r"""
name: dies
type: aggregate
short_description: Kills the controller at the n-th event of a playbook
description: Only for tests. Without E(DEATH_LOG) it does nothing.
author: the leasehold.series_upgrade authors (@leasehold)
"""

import os
import signal

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """A point is: a task begins, a task begins on a machine, a machine's result is there."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dies"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._log = os.environ.get("DEATH_LOG")
        self._left = int(os.environ.get("DEATH_AT", "0"))

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._point("before", task.get_name())

    def v2_runner_on_start(self, host, task):
        self._point("during", task.get_name(), host.get_name())

    def v2_runner_on_ok(self, result):
        self._point("after", result.task.get_name(), result.host.get_name())

    def v2_runner_on_skipped(self, result):
        self._point("after", result.task.get_name(), result.host.get_name())

    def _point(self, *words):
        if not self._log:
            return
        with open(self._log, "a", encoding="utf-8") as log:
            log.write(" | ".join(words) + "\n")
        self._left -= 1
        if self._left == 0:
            # Nothing is told, closed or cleaned up; workers in sessions of their own are left to themselves, as they would be.
            os.killpg(os.getpgrp(), signal.SIGKILL)
