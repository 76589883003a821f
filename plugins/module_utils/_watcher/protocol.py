# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of the control socket: one JSON object a line. docs/control_protocol.md is the same on one page."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

VERSION = 1
SOCKET_NAME = "control.sock"
# sun_path holds 108 bytes, the last of them the terminating zero.
MAX_PATH = 107
# A request is a few hundred bytes; a peer that sends more than this without a newline is not speaking our language.
MAX_LINE = 64 * 1024

VERBS = ("status", "may_roll_back", "drain", "upgrade", "rollback", "commit", "abort", "hold", "resume", "extend", "expect_disruption", "clean",
         "subscribe", "wait", "shutdown")
# Verbs that change the record. They need a request_id, so that a retry after a cut connection is safe.
CHANGING = ("drain", "upgrade", "rollback", "commit", "abort", "hold", "resume", "extend", "expect_disruption", "clean")

# Why a request was not done; a client decides by this word, the msg is for people.
KINDS = (
    "bad_request",          # not JSON, not an object, a field of the wrong type or missing
    "unsupported_version",  # v is not 1
    "unknown_verb",
    "too_long",             # a line above MAX_LINE; the connection is closed after this answer
    "forbidden",            # the peer is neither root, nor the watcher's own user, nor in the allowed group
    "wrong_state",          # this verb means nothing in this state
    "too_late",             # the decision that it would change has been made, or a point of no return has been passed
    "over_max_total",       # nobody watches for so long
    "no_artifact",          # there is nothing to go back to
    "stale_generation",     # the record has changed since the caller looked
    "busy",                 # an irreversible phase is running; ask again when it has ended
    "unhealthy",            # commit without force while the required checks are not healthy
    "rollback_in_progress",
    "not_durable",          # the record could not be written; the state is unchanged
    "invalid",              # the marker cannot be read; nothing is done until a person has looked
    "timeout",              # wait: the time given has passed
    "stopping",             # the watcher is leaving; connect again
)


class ProtocolError(Exception):
    """A request that gets a refusal as its answer. kind is one of KINDS, msg one sentence."""

    def __init__(self, kind: str, msg: str) -> None:
        super().__init__(msg)
        self.kind = kind
        self.msg = msg


def encode(message: Dict[str, Any]) -> bytes:
    """One object as one line, newline included."""
    return json.dumps(dict({"v": VERSION}, **message), separators=(",", ":"), sort_keys=True).encode("utf-8") + b"\n"


def parse(line: bytes) -> Dict[str, Any]:
    """The object of a line, whatever is in it. Raises ProtocolError."""
    try:
        message = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError("bad_request", "a message is one JSON object on one line")
    if not isinstance(message, dict):
        raise ProtocolError("bad_request", "a message is a JSON object")
    return message


def decode(line: bytes) -> Dict[str, Any]:
    """A request of the wire as a checked object. Raises ProtocolError."""
    request = parse(line)
    # A null is a field that was left out.
    request = {key: value for key, value in request.items() if value is not None}
    if request.get("v") != VERSION:
        raise ProtocolError("unsupported_version", "this watcher speaks version {0} of the protocol".format(VERSION))
    if request.get("do") not in VERBS:
        raise ProtocolError("unknown_verb", "the watcher knows these verbs: {0}".format(", ".join(VERBS)))
    _check_text(request, "request_id", required=request["do"] in CHANGING)
    _check_text(request, "reason")
    _check_number(request, "if_generation")
    _check_number(request, "seconds")
    _check_number(request, "since")
    _check_number(request, "timeout")
    _check_text(request, "what")
    for key in ("reason", "what"):
        if key in request:
            # They are shown on terminals later on.
            request[key] = "".join(letter if letter.isprintable() else " " for letter in request[key]).strip() or "not told"
    _check_force(request)
    return request


def _check_force(request: Dict[str, Any]) -> None:
    force = request.get("force", False)
    if request["do"] not in ("rollback", "may_roll_back"):
        if not isinstance(force, bool):
            raise ProtocolError("bad_request", "force is true or false")
        return
    # Whoever goes back over a point of no return says of which application.
    names = [force] if isinstance(force, str) else force if isinstance(force, list) else [] if force is False else [None]
    if len(names) > 1000 or not all(isinstance(name, str) and 0 < len(name) <= 1000 for name in names):
        raise ProtocolError("bad_request", "force of a rollback is the name of an application, or a list of them")
    request["force"] = names


def _check_text(request: Dict[str, Any], key: str, required: bool = False) -> None:
    value = request.get(key)
    if value is None and not required:
        return
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise ProtocolError("bad_request", "{0} must be a text of 1 to 1000 characters".format(key))
    if key == "request_id" and not value.isprintable():
        raise ProtocolError("bad_request", "{0} must be a text of printable characters".format(key))


def _check_number(request: Dict[str, Any], key: str) -> None:
    value = request.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e9):
        raise ProtocolError("bad_request", "{0} must be a number from 0 to 1000000000".format(key))


def answer(request: Optional[Dict[str, Any]], result: str, **more: Any) -> Dict[str, Any]:
    """A good answer; `do` and `request_id` are echoed so that a client can match it."""
    return dict(_echo(request), ok=True, result=result, **more)


def refusal(request: Optional[Dict[str, Any]], kind: str, msg: str, **more: Any) -> Dict[str, Any]:
    """A refusal: nothing was changed by this request."""
    return dict(_echo(request), ok=False, result="rejected", kind=kind, msg=msg, **more)


def _echo(request: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    return {key: request[key] for key in ("do", "request_id") if request and key in request}


class Lines:
    """Cuts a byte stream into lines. feed() raises ProtocolError("too_long") when a line passes MAX_LINE."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> List[bytes]:
        parts = (self._rest + data).split(b"\n")
        self._rest = parts.pop()
        if len(self._rest) > MAX_LINE or any(len(part) > MAX_LINE for part in parts):
            self._rest = b""
            raise ProtocolError("too_long", "a line may have {0} bytes".format(MAX_LINE))
        return [part for part in parts if part.strip()]
