# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states of an upgrade on one machine. One table; the daemon, the tests and the picture in the docs are read from it."""

from __future__ import annotations

from typing import Dict, List, Tuple

ARMED = "ARMED"
UPGRADING = "UPGRADING"
REBOOTING = "REBOOTING"
WATCHING = "WATCHING"
HELD = "HELD"
COMMITTING = "COMMITTING"
COMMITTED = "COMMITTED"
ABORTED = "ABORTED"
ROLLBACK_REQUESTED = "ROLLBACK_REQUESTED"
ROLLING_BACK = "ROLLING_BACK"
ROLLED_BACK = "ROLLED_BACK"
ROLLBACK_FAILED = "ROLLBACK_FAILED"
# Not in the table: nobody comes here by a decision, and only a person leads out of it.
INVALID = "INVALID"

ALL = frozenset((ARMED, UPGRADING, REBOOTING, WATCHING, HELD, COMMITTING, COMMITTED, ABORTED, ROLLBACK_REQUESTED, ROLLING_BACK, ROLLED_BACK,
                 ROLLBACK_FAILED))
TERMINAL = frozenset((COMMITTED, ABORTED, ROLLED_BACK, ROLLBACK_FAILED))
# Nothing goes on by itself from here; who waits for an end may stop waiting.
SETTLED = TERMINAL | {HELD, INVALID}
# A new upgrade may be armed over these. ROLLBACK_FAILED is not among them: a person must have looked first.
REARMABLE = frozenset((COMMITTED, ABORTED, ROLLED_BACK))
# Where the snapshot may be deleted at last. Not ROLLBACK_FAILED: a person may need it yet.
KEEPING = frozenset((COMMITTED, ROLLED_BACK, ABORTED))
BACK = frozenset((ROLLBACK_REQUESTED, ROLLING_BACK, ROLLED_BACK))

TRANSITIONS: Dict[Tuple[str, str], str] = {
    (ARMED, "upgrade"): UPGRADING,
    (ARMED, "undone"): ABORTED,
    (UPGRADING, "undone"): ABORTED,
    (UPGRADING, "phases done"): REBOOTING,
    (UPGRADING, "phases done, no reboot"): WATCHING,
    (UPGRADING, "rollback"): ROLLBACK_REQUESTED,
    (UPGRADING, "failed"): HELD,
    (REBOOTING, "new boot"): WATCHING,
    (REBOOTING, "rollback"): ROLLBACK_REQUESTED,
    (REBOOTING, "failed"): HELD,
    (WATCHING, "healthy"): COMMITTING,
    (WATCHING, "commit"): COMMITTING,
    (WATCHING, "rollback"): ROLLBACK_REQUESTED,
    (WATCHING, "hold"): HELD,
    (HELD, "resume"): WATCHING,
    (HELD, "resume reboot"): REBOOTING,
    (HELD, "resume upgrade"): UPGRADING,
    (HELD, "commit"): COMMITTING,
    (HELD, "rollback"): ROLLBACK_REQUESTED,
    (COMMITTING, "recorded"): COMMITTED,
    (COMMITTED, "rollback"): ROLLBACK_REQUESTED,
    (ROLLBACK_REQUESTED, "begin"): ROLLING_BACK,
    (ROLLING_BACK, "seen"): ROLLED_BACK,
    (ROLLING_BACK, "failed"): ROLLBACK_FAILED,
    (ROLLBACK_FAILED, "rollback"): ROLLBACK_REQUESTED,
    (COMMITTED, "arm"): ARMED,
    (ABORTED, "arm"): ARMED,
    (ROLLED_BACK, "arm"): ARMED,
}


class NotAllowed(Exception):
    """This event means nothing in this state."""


def after(state: str, event: str) -> str:
    """The state that follows; raises NotAllowed."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise NotAllowed("{0} does not follow {1}".format(event, state))


def allows(state: str, event: str) -> bool:
    return (state, event) in TRANSITIONS


def picture() -> str:
    """The table as a Mermaid state diagram, for docs/control_protocol.md."""
    lines: List[str] = ["stateDiagram-v2", "    [*] --> {0}: arm".format(ARMED)]
    lines += ["    {0} --> {1}: {2}".format(state, then, event) for (state, event), then in TRANSITIONS.items() if event != "arm"]
    lines += ["    {0} --> [*]".format(state) for state in (COMMITTED, ABORTED, ROLLED_BACK, ROLLBACK_FAILED)]
    return "\n".join(lines)
