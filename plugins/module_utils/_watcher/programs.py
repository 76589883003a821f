# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Short programs: run to the end, with a time limit, never raising for what the program does."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from typing import Mapping, Optional, Sequence

from .steps import Result

TIMED_OUT = 124
NOT_STARTED = 127


def run(argv: Sequence[str], timeout: float = 60, env: Optional[Mapping[str, str]] = None, stop: Optional[threading.Event] = None) -> Result:
    """Run argv; its session is killed when the time has passed or stop is set (status 124 either way)."""
    try:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env=dict(os.environ, **(env or {})), start_new_session=True,
        )
    except OSError as problem:
        return Result(NOT_STARTED, "", str(problem))
    deadline = time.monotonic() + timeout
    while True:
        try:
            out, err = process.communicate(timeout=max(0.0, min(0.2, deadline - time.monotonic())))
            break
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline or (stop is not None and stop.is_set()):
                return _kill(process, timeout)
    rc = process.returncode
    return Result(128 - rc if rc < 0 else rc, _text(out), _text(err))


def _kill(process: subprocess.Popen, timeout: float) -> Result:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        out, err = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        # A grandchild in a session of its own keeps the pipes open; what it says no longer matters.
        out, err = b"", b""
    return Result(TIMED_OUT, _text(out), _text(err) + "stopped after {0} s".format(timeout))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
