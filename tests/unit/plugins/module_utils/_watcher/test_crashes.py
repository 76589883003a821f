# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at every durable write of a whole life: whatever was on the disk, a new watcher comes to the same end."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Marker


class Killed(Exception):
    pass


class Mortal(Marker):
    """Dies at its n-th write, before it or after it."""

    writes = 0
    dies_at = None
    after = False

    def write(self, record):
        Mortal.writes += 1
        dies = Mortal.writes == Mortal.dies_at
        if dies and not Mortal.after:
            raise Killed()
        written = super().write(record)
        if dies:
            raise Killed()
        return written


def live(machine, want):
    """One process of the watcher, doing what it is asked; the requests are repeated by their ids as a client does after a cut."""
    watcher = machine.watcher
    for _turn in range(200):
        state = machine.state
        if state == "ARMED" and not machine.record["aborting"]:
            machine.ask("upgrade", request_id="up")
        elif state == "WATCHING" and want == "ROLLED_BACK" and watcher.work is None:
            machine.ask("rollback", request_id="back")
        elif watcher.work is not None:
            name = watcher.work.name
            if name == "prove":
                machine.machine.live = "trixie"
            if name == "rollback-put back":
                machine.machine.live = "bookworm"
            fails = want == "ABORTED" and name == "prepare"
            machine.end(name, error="no room" if fails else None, value=name == "rollback-seen" or None)
        elif state == want:
            return
        else:
            machine.let_pass(1)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("want", ["COMMITTED", "ROLLED_BACK", "ABORTED"])
def test_watcher_killed_at_any_write_ends_as_if_it_had_lived(rig, want, after):
    """L2"""
    machine = rig(reboot=False, grace=5, interval=0.5)
    Mortal.after = after
    for dies_at in range(1, 60):
        machine.machine.live = "bookworm"
        machine.arm()
        Mortal.writes, Mortal.dies_at = 0, dies_at
        try:
            machine.start(Mortal)
            live(machine, want)
            assert machine.state == want
            assert dies_at > 5, "this life was too short to prove anything"
            return
        except Killed:
            Mortal.dies_at = None
        machine.start(Mortal)
        live(machine, want)
        assert machine.state == want
    raise AssertionError("a life has fewer writes than this")
