# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each verb of the control socket does with the watcher. A refusal is an answer; nothing here raises."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Optional

from . import protocol, states
from .protocol import ProtocolError, answer, refusal
from .record import NotDurable
from .states import (
    ABORTED, ARMED, COMMITTED, COMMITTING, HELD, INVALID, REBOOTING, ROLLBACK_FAILED, UPGRADING, WATCHING,
)
from .health import HEALTHY
from .watcher import Watcher, told

Message = Dict[str, Any]
HISTORY = 20
# Whoever wants it to wait for longer wants it to be held.
MOST_GRACE = 30 * 86400.0
MOST_DISRUPTION = 3600.0
MOST_WINDOWS = 20


def handle(watcher: Watcher, request: Message) -> Message:
    """The answer to a checked request (subscribe and wait belong to the conversation). What it promises is durable."""
    record = watcher.record
    earlier = record["requests"].get(request.get("request_id")) if request["do"] in protocol.CHANGING else None
    try:
        if earlier is not None:
            if earlier.get("do") != request["do"]:
                raise ProtocolError("bad_request", "this request_id was already used for {0}".format(earlier.get("do")))
            return earlier
        if watcher.leaving and request["do"] in protocol.CHANGING:
            raise ProtocolError("stopping", "the watcher is leaving; ask again when it has been started")
        if request.get("if_generation") not in (None, record["generation"]):
            raise ProtocolError("stale_generation", "the record has generation {0} by now".format(record["generation"]))
        return VERBS[request["do"]](watcher, request)
    except ProtocolError as problem:
        return refusal(request, problem.kind, problem.msg, state=watcher.book.state, generation=watcher.record["generation"])
    except NotDurable as problem:
        return refusal(request, "not_durable", str(problem), state=watcher.book.state, generation=watcher.record["generation"])


def status(watcher: Watcher) -> Message:
    """Everything worth knowing, from what is in memory and durable."""
    record, spec, now = watcher.record, watcher.spec, watcher.clock.wall()
    left = record["not_after_remaining"]
    return {
        "state": record["state"], "generation": record["generation"], "upgrade_id": record["upgrade_id"], "run": spec["run"], "machine": spec["machine"],
        "source_series": spec["source_series"], "target_series": spec["target_series"], "series": watcher.machine.series(spec),
        "now": round(now, 3), "since": record["since"], "phase": record["phase"], "done": record["done"], "drained": "drain" in record["done"],
        "reason": record["reason"], "aborting": record["aborting"], "irreversible": record["irreversible"],
        "can_roll_back": watcher.machine.can_go_back(spec, record["memory"]),
        "grace_remaining": round(record["grace_remaining"], 1),
        "not_after": None if left is None else round(now + left, 1),
        "last_health": watcher.health.as_list() if watcher.health else [],
        "healthy": watcher.health is not None and watcher.health.verdict(watcher.clock.now()) == HEALTHY,
        "windows": [{"what": window["what"], "remaining": round(window["remaining"], 1)} for window in record["windows"]],
        "retain_remaining": round(record["retain_remaining"]) if watcher.keeps() else None, "cleaning": record["cleaning"],
        "report": record["memory"].get("report"),
        "pid": os.getpid(), "boot_id": watcher.machine.boot_id, "seq": watcher.book.journal.last_seq,
        "history": watcher.book.journal.last(HISTORY),
    }


def _already(watcher: Watcher, request: Message) -> Message:
    return answer(request, "already", state=watcher.book.state, generation=watcher.record["generation"])


def _wrong(watcher: Watcher, request: Message, advice: str) -> ProtocolError:
    return ProtocolError("wrong_state", "{0} means nothing in {1}: {2}".format(request["do"], watcher.book.state, advice))


def _accept(watcher: Watcher, request: Message, event: str, reason: Optional[str], **changes: Any) -> Message:
    """Make the request durable as a transition; what it leads to is begun, not done."""
    result = answer(request, "accepted")
    watcher.book.move(event, reason=reason, request=request, answer=result, **changes)
    return result


def _accept_in_place(watcher: Watcher, request: Message, **changes: Any) -> Message:
    result = answer(request, "accepted", state=watcher.book.state)
    watcher.book.change(request, result, **changes)
    return result


def _go(watcher: Watcher) -> None:
    # What was accepted is durable. If its beginning cannot be recorded now, the next tick tries again.
    try:
        watcher.go_on()
    except NotDurable:
        pass


def _status(watcher: Watcher, request: Message) -> Message:
    return answer(request, "status", **status(watcher))


def _drain(watcher: Watcher, request: Message) -> Message:
    record = watcher.record
    if "drain" in record["begun"] and not record["aborting"] and record["state"] in (ARMED, UPGRADING, REBOOTING, WATCHING):
        return _already(watcher, request)
    if record["state"] != ARMED or record["aborting"]:
        raise _wrong(watcher, request, "arm an upgrade first")
    result = _accept_in_place(watcher, request, begun=["drain"])
    _go(watcher)
    return result


def _upgrade(watcher: Watcher, request: Message) -> Message:
    state = watcher.book.state
    if watcher.record["aborting"]:
        raise _wrong(watcher, request, "the upgrade is being aborted")
    if state in (UPGRADING, REBOOTING, WATCHING, COMMITTING, COMMITTED):
        return _already(watcher, request)
    if state != ARMED:
        raise _wrong(watcher, request, "resume it, roll it back or arm a new one")
    result = _accept(watcher, request, "upgrade", request.get("reason"))
    _go(watcher)
    return result


def _reason_to_go_back(watcher: Watcher, request: Message) -> str:
    """The reason that is recorded with a rollback. Raises ProtocolError when there is to be none."""
    state = watcher.book.state
    if state in (ARMED, ABORTED) or (state == UPGRADING and not watcher.record["irreversible"]):
        raise ProtocolError("no_artifact", "nothing has been changed yet, so there is nothing to roll back; abort instead")
    if state == COMMITTING:
        raise ProtocolError("busy", "the upgrade is just being committed; ask again")
    if not watcher.machine.can_go_back(watcher.spec, watcher.record["memory"]):
        raise ProtocolError("no_artifact", "there is neither a snapshot nor a rollback command, so nothing leads back to {0}".format(
            watcher.spec["source_series"]))
    if watcher.record["cleaning"]:
        raise ProtocolError("no_artifact", "what led back to {0} is just being deleted".format(watcher.spec["source_series"]))
    reason = request.get("reason") or "asked for"
    if watcher.spec["no_return"]:
        forced = request.get("force") or []
        passed = watcher.machine.points_passed(watcher.spec)
        refused = [(name, why) for name, why in passed if name not in forced]
        if refused:
            raise ProtocolError("too_late", "{0}; force it by naming: {1}".format(told(refused), ", ".join(sorted({name for name, _why in refused}))))
        if passed:
            reason += " (forced, although {0})".format(told(passed))
    return reason


def _rollback(watcher: Watcher, request: Message) -> Message:
    if watcher.book.state in states.BACK:
        return _already(watcher, request)
    result = _accept(watcher, request, "rollback", _reason_to_go_back(watcher, request))
    watcher.overtake()
    _go(watcher)
    return result


def _may_roll_back(watcher: Watcher, request: Message) -> Message:
    """Whether a rollback would be accepted now. A verb of its own, so that no other watcher takes the question for the request."""
    if watcher.book.state in states.BACK:
        return _already(watcher, request)
    _reason_to_go_back(watcher, request)
    return answer(request, "would", state=watcher.book.state, generation=watcher.record["generation"])


def _commit(watcher: Watcher, request: Message) -> Message:
    state = watcher.book.state
    if state in (COMMITTING, COMMITTED):
        return _already(watcher, request)
    if state in states.BACK or state == ROLLBACK_FAILED:
        raise ProtocolError("rollback_in_progress", "the rollback has been decided and goes on")
    if state not in (WATCHING, HELD):
        raise _wrong(watcher, request, "only an upgrade that is being watched or held can be committed")
    health = watcher.health
    if not request.get("force") and (health is None or health.verdict(watcher.clock.now()) != HEALTHY):
        raise ProtocolError("unhealthy", "{0}; commit with force if you know better".format(health.complaint() if health else "nothing was looked at yet"))
    result = _accept(watcher, request, "commit", request.get("reason") or "asked for")
    _go(watcher)
    return result


def _abort(watcher: Watcher, request: Message) -> Message:
    record = watcher.record
    if record["state"] == ABORTED or record["aborting"]:
        return _already(watcher, request)
    if record["state"] not in (ARMED, UPGRADING):
        raise ProtocolError("too_late", "the upgrade is {0}; roll it back instead".format(record["state"]))
    if record["irreversible"]:
        raise ProtocolError("too_late", "the phase {0} has begun to change the machine; roll it back instead".format(record["phase"]))
    result = _accept_in_place(watcher, request, aborting=request.get("reason") or "asked for")
    watcher.overtake()
    _go(watcher)
    return result


def _hold(watcher: Watcher, request: Message) -> Message:
    if watcher.book.state == HELD:
        return _already(watcher, request)
    if watcher.book.state != WATCHING:
        raise _wrong(watcher, request, "only an upgrade that is being watched can be held")
    return _accept(watcher, request, "hold", request.get("reason") or "asked for", held_from=WATCHING)


def _resume(watcher: Watcher, request: Message) -> Message:
    if watcher.book.state != HELD:
        raise _wrong(watcher, request, "only what is held can be resumed")
    event = {UPGRADING: "resume upgrade", REBOOTING: "resume reboot"}.get(watcher.record["held_from"], "resume")
    # Held because it came up on another series; since then somebody has brought it to the target.
    if event == "resume reboot" and watcher.machine.series(watcher.spec) == watcher.spec["target_series"] and watcher.record["booted"]:
        event = "resume"
    result = _accept(watcher, request, event, request.get("reason") or "asked for", held_from=None)
    watcher.forget_reboot()
    _go(watcher)
    return result


def _extend(watcher: Watcher, request: Message) -> Message:
    record, seconds = watcher.record, request.get("seconds")
    if record["state"] not in (WATCHING, HELD):
        raise ProtocolError("too_late", "the grace counts while an upgrade is watched; it is {0}".format(record["state"]))
    if not seconds:
        raise ProtocolError("bad_request", "extend needs seconds")
    left = record["not_after_remaining"]
    grace = record["grace_remaining"] + seconds
    if grace > MOST_GRACE:
        raise ProtocolError("over_max_total", "that would be {0:.0f} s of grace, and {1:.0f} s are the most; hold it instead".format(grace, MOST_GRACE))
    result = answer(request, "accepted", state=record["state"], grace_remaining=round(grace, 1))
    watcher.book.change(request, result, grace_remaining=grace, not_after_remaining=None if left is None else left + seconds)
    return result


def _expect_disruption(watcher: Watcher, request: Message) -> Message:
    state, seconds = watcher.book.state, request.get("seconds")
    if state not in (WATCHING, HELD):
        raise _wrong(watcher, request, "only while an upgrade is watched or held do its checks count")
    what = request.get("what") or request.get("reason")
    if not seconds or not what:
        raise ProtocolError("bad_request", "expect_disruption needs seconds, and what is going to happen")
    windows = watcher.record["windows"] + [{"id": request["request_id"], "what": what, "remaining": float(seconds)}]
    # What lasts for hours is no disruption; somebody would have forgotten the watcher.
    if seconds > MOST_DISRUPTION or len(windows) > MOST_WINDOWS:
        raise ProtocolError("over_max_total", "a disruption lasts {0:.0f} s at most, and {1} may be announced; hold the upgrade instead".format(
            MOST_DISRUPTION, MOST_WINDOWS))
    result = answer(request, "accepted", state=state, window=request["request_id"])
    watcher.book.change(request, result, windows=windows)
    watcher.book.tell("log", msg="expected for {0:.0f} s: {1}".format(seconds, what))
    return result


def _clean(watcher: Watcher, request: Message) -> Message:
    if watcher.book.state not in states.KEEPING:
        raise _wrong(watcher, request, "what leads back is needed until the upgrade is over")
    if watcher.record["cleaning"] or not watcher.keeps():
        return _already(watcher, request)
    result = _accept_in_place(watcher, request, cleaning=request.get("reason") or "asked for")
    _go(watcher)
    return result


def _shutdown(watcher: Watcher, request: Message) -> Message:
    if watcher.book.state not in states.SETTLED:
        raise _wrong(watcher, request, "the upgrade {0} is not over".format(watcher.record["upgrade_id"]))
    watcher.leave()
    return answer(request, "accepted", state=watcher.book.state)


VERBS: Dict[str, Callable[[Watcher, Message], Message]] = {
    "status": _status, "may_roll_back": _may_roll_back,
    "drain": _drain, "upgrade": _upgrade, "rollback": _rollback, "commit": _commit, "abort": _abort, "hold": _hold,
    "resume": _resume, "extend": _extend, "expect_disruption": _expect_disruption, "clean": _clean, "shutdown": _shutdown,
}

# States a client may wait for; anything else in `for` is a mistake worth an answer.
NAMED_WAITS = {"terminal": states.TERMINAL | {INVALID}, "settled": states.SETTLED}
ALL_STATES = states.ALL | {INVALID}
