# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Quiet on the machine while its packages change: nobody else runs apt, and no service restarts behind a pin's back.

hold() writes down how everything was before it touches anything; release() makes it so again. Both may be repeated, after a crash
too; what the machine forgets at a reboot (masks under /run) a later hold() sets again. Private room of the collection.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence

from . import kept
from .._watcher.steps import Context, StepFailed
from .said import said

# Whatever starts apt by itself. They are masked for this boot only: a machine that we never come back to is whole after its next one.
UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "apt-daily.service",
    "apt-daily-upgrade.service",
    "unattended-upgrades.service",
    "packagekit.service",
)
# The services that run apt are not stopped: ending dpkg in mid-work is what we want to avoid. apt's locks tell when they are done.
STOPPED = tuple(unit for unit in UNITS if unit not in ("apt-daily.service", "apt-daily-upgrade.service"))

POLICY = "/usr/sbin/policy-rc.d"
POLICY_TEXT = """#!/bin/sh
# Written by series-upgrade for the time of an upgrade; what was here before is put back at its end.
# Services run on as they are until the machine reboots: a restart now could cost a pinned application its leader.
# Only ssh may restart, or nobody could log in while its files are new and its daemon is old.
[ "$1" = --quiet ] && shift
case "$1" in
    ssh | ssh.* | sshd | sshd.*) exit 0 ;;
esac
exit 101
"""

OURS = kept.encoded(POLICY_TEXT)

KEY = "quiet"


class Quiet:
    """restarts: "hold" keeps maintainer scripts from touching services, "allow" lets them. policy, booted: where to look, for tests."""

    def __init__(self, restarts: str = "hold", policy: str = POLICY, booted: str = "/run/systemd/system") -> None:
        self._restarts = restarts
        self._policy = policy
        self._booted = booted

    def hold(self, context: Context) -> None:
        """Returns when the machine is quiet and its state before that is durable. Raises StepFailed."""
        before = context.recall(KEY)
        if before is None:
            before = self._before(context)
            context.remember(KEY, before)
        if before["masked"]:
            self._systemctl(context, ["mask", "--runtime", "--quiet"] + before["masked"])
        if before["active"]:
            self._systemctl(context, ["stop", "--quiet"] + before["active"])
        if before["policy"] is not None:
            kept.write(self._policy, POLICY_TEXT.encode(), 0o755)

    def release(self, context: Context) -> None:
        """Returns when everything is as it was before the first hold(). Without one it does nothing. Raises StepFailed."""
        before = context.recall(KEY)
        if before is None:
            return
        if before["policy"] is not None:
            # A policy that is no longer ours was written by somebody who knew better, a package for instance.
            if kept.look(self._policy).get("content") == OURS:
                kept.put_back(self._policy, before["policy"])
            else:
                context.progress(None, "left {0} alone: somebody has changed it during the upgrade".format(self._policy))
        if before["masked"]:
            self._systemctl(context, ["unmask", "--runtime", "--quiet"] + before["masked"])
        # The target may have dropped a unit that the source had.
        present = [unit["Id"] for unit in self._show(context, before["active"]) if unit.get("LoadState") == "loaded"]
        active = [unit for unit in before["active"] if unit in present]
        if active:
            self._systemctl(context, ["start", "--quiet"] + active)
        context.remember(KEY, None)

    def _before(self, context: Context) -> Dict[str, Any]:
        before: Dict[str, Any] = {"masked": [], "active": [], "policy": None}
        if self._restarts == "hold":
            found = kept.look(self._policy)
            # One of ours without a record is what an earlier attempt, given up in the middle, has left behind.
            before["policy"] = {"kind": "absent"} if found.get("content") == OURS else found
        for unit in self._show(context, UNITS):
            if unit.get("LoadState") == "loaded":
                before["masked"].append(unit["Id"])
                if unit.get("ActiveState") == "active" and unit["Id"] in STOPPED:
                    before["active"].append(unit["Id"])
        return before

    def _show(self, context: Context, units: Sequence[str]) -> List[Dict[str, str]]:
        """What systemd knows of these units; nothing where systemd does not run (a container, a chroot)."""
        if not units or not os.path.isdir(self._booted):
            return []
        return _blocks(self._systemctl(context, ["show", "--property=Id,LoadState,ActiveState"] + list(units)))

    @staticmethod
    def _systemctl(context: Context, words: List[str]) -> str:
        result = context.run(["systemctl"] + words, timeout=120)
        if result.rc != 0:
            raise StepFailed("systemctl {0} failed: {1}".format(words[0], said(result)))
        return result.out


def _blocks(text: str) -> List[Dict[str, str]]:
    """The units that `systemctl show` describes: blocks of NAME=VALUE with an empty line between."""
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n") if block.strip()]
