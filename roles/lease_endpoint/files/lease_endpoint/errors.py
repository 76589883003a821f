# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closed set of answers that are not "yes": one kind for each next move of the caller.

A refusal ("no, and here is why") and an ignorance ("could not find out") never share an HTTP status.
"""

from __future__ import annotations

from typing import Any


class LeaseError(Exception):
    """An answer with a kind for programs, a sentence for people and, if any, more fields for the body."""

    kind = "invalid"
    status = 400

    def __init__(self, msg: str, **more: Any) -> None:
        super().__init__(msg)
        self.msg = msg
        self.more = more

    def body(self) -> dict[str, Any]:
        return {"kind": self.kind, "msg": self.msg, **self.more}


class Denied(LeaseError):  # somebody else holds it: wait or give up
    kind, status = "denied", 409


class NotHeld(LeaseError):  # the caller is not the holder: read again, do not retry
    kind, status = "not_held", 409


class NoLeader(LeaseError):  # nothing live there: stop before touching the machine
    kind, status = "no_leader", 409


class Pinned(LeaseError):  # a pin forbids it; `pinners` names them
    kind, status = "pinned", 409


class Stale(LeaseError):  # revision or term moved on: read again, decide again
    kind, status = "stale", 409


class Halted(LeaseError):  # stopped after a lapse: a person decides
    kind, status = "halted", 409


class Unknown(LeaseError):  # no or no valid token: 401, so that clients know to show another one
    kind, status = "forbidden", 401


class Forbidden(LeaseError):  # the right is missing: change rights, do not retry
    kind, status = "forbidden", 403


class TooMany(LeaseError):  # this caller or address asks more often than it may: wait `retry_in` seconds, then retry
    kind, status = "too_many", 429


class Unsupported(LeaseError):  # this provider cannot: choose another plan
    kind, status = "unsupported", 501


class Invalid(LeaseError):  # malformed or out of bounds: fix the caller
    kind, status = "invalid", 400


class NotDurable(LeaseError):  # the ledger could not be read or written: nothing changed, repair, then retry
    kind, status = "not_durable", 507


class Unreachable(LeaseError):  # the system that was asked did not answer: nothing is known, retry, act on nothing
    kind, status = "unreachable", 504


class Unsure(LeaseError):  # it may have been done or not: read, then decide anew
    kind, status = "timeout", 504


class NoActive(LeaseError):  # this replica does not answer by itself, and knows of none that does: nothing changed, retry in a moment
    kind, status = "stopping", 503

    def __init__(self, msg: str, **more: Any) -> None:
        super().__init__(msg, **{"retry_in": 1, **more})


class Stopping(LeaseError):  # the endpoint shuts down: retry later
    kind, status = "stopping", 503
