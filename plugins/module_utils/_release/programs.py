# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Short programs whose output is read. Private room of the collection.

Long work (apt, a user's upgrade command) goes through the watcher's Context.call, which outlives the watcher; what is run
here is over in seconds, and repeating it is harmless.
"""

from __future__ import annotations

import os
import subprocess
from typing import Mapping, Optional, Sequence

from .._watcher.steps import Result

NOT_STARTED = 127
TIMED_OUT = 124


def run(argv: Sequence[str], timeout: Optional[float] = 60, env: Optional[Mapping[str, str]] = None) -> Result:
    """
    Result(rc, out, err) of argv. env is added to our environment; timeout is in seconds, None for ever.

    Never raises for a program that fails: rc is 127 when it cannot be started, 124 when it was ended at its timeout.
    Messages are asked for in English, because some of them are read.
    """
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, LC_ALL="C.UTF-8", **dict(env or {})),
            timeout=timeout,
            universal_newlines=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(TIMED_OUT, "", "{0} was not done after {1} s".format(argv[0], timeout))
    except OSError as error:
        return Result(NOT_STARTED, "", "{0}: {1}".format(argv[0], error.strerror))
    return Result(done.returncode, done.stdout, done.stderr)


def said(result: Result) -> str:
    """The last line that a program said, for an error message; stderr before stdout."""
    lines = (result.err.strip() or result.out.strip()).splitlines()
    return lines[-1].strip() if lines else "exit status {0} and no word".format(result.rc)
