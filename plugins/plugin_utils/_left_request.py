# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
How a brake is pulled on a machine whose watcher is dead: the request is left in the spool, and a watcher started that hears it.

Private room of the collection, pure. docs/control_protocol.md has the rules, under "When nobody answers".
"""

from __future__ import annotations

import json
import shlex
import typing as t

# What must be possible without a watcher, and is right whenever it is heard: a machine goes back, stays as it is, or waits for a person. What
# lets a machine go on is only for somebody who has seen how it is, and a watcher that is dead has not been seen.
BRAKES = ("rollback", "abort", "hold")
# How the script ends: there is no record to go by; the request could not be written; this user may not look.
NOT_ARMED, NOT_LEFT, NOT_LET_IN = 3, 4, 5
# The command on the machine does it with the lock in hand. In the middle of an upgrade there may be no Python to run it with; then the
# request is put down by hand, and the service goes on trying until it can start.
SCRIPT = """\
cd {state_dir} 2>/dev/null || {{ test -d {state_dir} && exit {not_let_in}; exit {not_armed}; }}
test -e marker.json || exit {not_armed}
if python3 -c 'import argparse, json, socket' 2>/dev/null; then exec python3 watcher.pyz {command} 2>&1; fi
umask 077
mkdir -p spool && printf '%s\\n' {line} >spool/{name}.new && sync spool/{name}.new && mv spool/{name}.new spool/{name}.json && sync spool || exit {not_left}
echo {do}: accepted by the spool, for there is no Python to be a watcher now
systemctl start --no-block series-upgrade-watcher.service 2>&1
"""


def script(state_dir: str, do: str, request_id: str, reason: str | None = None, force: t.Sequence[str] | None = None) -> str:
    """
    For a POSIX shell on the machine. DO is one of BRAKES; FORCE belongs to a rollback; REQUEST_ID is plain letters and digits, and names the file.

    Says "accepted" when something new is asked for.
    """
    request: dict[str, t.Any] = {"v": 1, "do": do, "request_id": request_id}
    command = [do, "--state-dir=" + state_dir, "--request-id=" + request_id]
    if reason:
        request["reason"] = reason
        command.append("--reason=" + reason)
    if force and do == "rollback":
        request["force"] = list(force)
        command += ["--force=" + name for name in force]
    return SCRIPT.format(
        state_dir=shlex.quote(state_dir), not_armed=NOT_ARMED, not_left=NOT_LEFT, not_let_in=NOT_LET_IN, do=do, command=" ".join(map(shlex.quote, command)),
        line=shlex.quote(json.dumps(request)), name=request_id,
    )
