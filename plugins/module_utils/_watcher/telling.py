# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A status as a person reads it, on the machine and on the controller: how it stands, how well it is, what has happened.

Pure. A status may be an older watcher's, or what its record says when none runs, so whatever it lacks is left out.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List

from . import states

WIDTH = max(len(state) for state in states.TRANSITIONS.values())
# Lines of the past that fit on a screen with the rest.
SHOWN = 10
DECIDING = (states.WATCHING, states.HELD)
AT_WORK = (states.ARMED, states.UPGRADING, states.ROLLING_BACK)
WITH_A_WAY_BACK = (states.UPGRADING, states.REBOOTING, states.WATCHING, states.HELD, states.COMMITTING, states.COMMITTED, states.ROLLBACK_FAILED)

Status = Dict[str, Any]


def lines_of(status: Status, now: float, shown: int = SHOWN) -> List[str]:
    """All of it. NOW: the time on the machine's clock."""
    if status["state"] == states.INVALID:
        return ["INVALID: {0}".format(status["reason"])]
    lines = ["{0}  {1} -> {2}  ({3})".format(status["state"], status["source_series"], status["target_series"], status["upgrade_id"])]
    lines += ["  " + line for line in standing(status, now)]
    for title, part in (("Health", health(status)), ("History", history(status, shown))):
        if part:
            lines += [title] + ["  " + line for line in part]
    return lines


def standing(status: Status, now: float) -> List[str]:
    """How it stands, and what it waits for."""
    state = status["state"]
    lines = ["for {0}{1}".format(duration(now - status["since"]), ", because: " + status["reason"] if status.get("reason") else "")]
    if "pid" in status and status["pid"] is None:
        lines.append("NO WATCHER RUNS; this is what it has recorded last")
    if state in AT_WORK and status.get("phase"):
        lines.append("in phase {0}".format(status["phase"]))
    if state in DECIDING:
        lines.append(waiting(status, now))
    if state in WITH_A_WAY_BACK and status.get("can_roll_back") is not None:
        lines.append("{0} go back to {1}".format("can" if status["can_roll_back"] else "CANNOT", status["source_series"]))
    return lines


def waiting(status: Status, now: float) -> str:
    """What a state that waits needs before it is decided."""
    left = status.get("grace_remaining")
    needed = "grace {0} left: to be healthy for so long before it is committed".format(duration(left)) if left is not None else "the grace left is not known"
    if status["state"] == states.HELD:
        return "held until a person says resume, commit or rollback; then " + needed
    latest = status.get("not_after")
    return needed + (", decided in {0} at the latest".format(duration(latest - now)) if latest is not None else "")


def health(status: Status, bad_only: bool = False) -> List[str]:
    """What every check has seen last, and why that is so."""
    checks = [check for check in status.get("last_health") or [] if not bad_only or check["class"] != "ok"]
    width = max([len(check["name"]) for check in checks] or [0])
    lines = []
    for check in checks:
        more = [] if check.get("required", True) else ["not required"]
        more += ["missed {0} time{1}".format(check["misses"], "" if check["misses"] == 1 else "s")] if check.get("misses") else []
        lines.append("{0:<11} {1:<{2}}  {3}{4}".format(
            check["class"], check["name"], width, check.get("msg") or "not looked at yet", " ({0})".format(", ".join(more)) if more else ""))
    return lines


def history(status: Status, shown: int = SHOWN, ago: bool = False) -> List[str]:
    """The last events; of percentages only one that nothing has followed. AGO: told from the status' own time, for another machine's clock."""
    events = status.get("history") or []
    events = [event for event in events if event["event"] != "progress" or event is events[-1]]
    return [event_line(event, status.get("now") if ago else None) for event in events[-shown:]]


def event_line(event: Dict[str, Any], now: Any = None) -> str:
    """One event, with its local time, or with its age when NOW is given."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["ts"])) if now is None else "{0:>9} ago".format(duration(now - event["ts"]))
    percent = "{0:.0f} %  ".format(event["percent"]) if event["event"] == "progress" and event.get("percent") is not None else ""
    return "{0}  {1:<{2}}  {3}{4}".format(when, event["state"], WIDTH, percent, event["msg"] or event.get("phase") or event["event"]).rstrip()


def duration(seconds: float) -> str:
    seconds = max(0, int(seconds))
    return "{0} s".format(seconds) if seconds < 120 else "{0} min".format(seconds // 60) if seconds < 7200 else "{0} h".format(seconds // 3600)
