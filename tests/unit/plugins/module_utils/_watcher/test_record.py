# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record whose checksum is right and that is not ours all the same is INVALID, whoever has written it."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import record as records
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Damaged


def test_record_of_every_state_on_the_way_is_sound(rig):
    machine = rig()
    machine.upgrade()
    machine.ask("rollback")
    machine.go_back()
    assert records.sound(machine.record)["state"] == "ROLLED_BACK"


@pytest.mark.parametrize("change, says", [
    ({"state": "DREAMING"}, "unknown state DREAMING"),
    ({"held_from": "nowhere"}, "unknown state"),
    ({"spec": {}}, "spec that cannot be carried out"),
    ({"upgrade_id": "another"}, "of another upgrade"),
    ({"grace_remaining": float("nan")}, "no grace_remaining"),
    ({"grace_remaining": True}, "no grace_remaining"),
    ({"done": [1]}, "no done"),
    ({"memory": None}, "no memory"),
    ({"requests": {"r": 1}}, "no requests"),
    ({"state": "HELD", "cleaning": "asked for"}, "being deleted"),
    ({"state": "UPGRADING", "irreversible": True, "aborting": "asked for"}, "cannot be undone any more"),
    ({"state": "WATCHING", "aborting": "asked for"}, "cannot be undone any more"),
    ({"windows": [{"id": "a", "what": "a word", "remaining": 1}] * 2}, "no windows"),
])
def test_record_that_cannot_be_gone_on_from_is_invalid(rig, change, says):
    """S7"""
    with pytest.raises(Damaged, match=says):
        records.sound(dict(rig().record, **change))


def test_record_that_lacks_a_key_is_invalid(rig):
    for key in set(records.SHAPE) - set(records.LATER):
        with pytest.raises(Damaged, match="no " + key):
            records.sound({name: value for name, value in rig().record.items() if name != key})


def test_record_of_an_older_program_is_gone_on_from_with_the_defaults_of_what_it_did_not_know(rig):
    """L6: one version for one upgrade is the rule, and a watcher that was replaced all the same goes on."""
    machine = rig()
    machine.upgrade()
    older = {key: value for key, value in machine.record.items() if key not in ("windows", "retain_remaining", "cleaning", "kept")}
    older["spec"] = {key: value for key, value in older["spec"].items() if key not in ("no_return", "retain")}
    found = records.sound(older)
    assert (found["windows"], found["cleaning"], found["kept"], found["retain_remaining"]) == ([], None, [], 7 * 86400)
    assert (found["spec"]["no_return"], found["spec"]["retain"]) == ([], 7)
    machine.watcher.book.record = found
    machine.let_pass(3)
    assert machine.ask("rollback")["result"] == "accepted"


def test_record_whose_method_cannot_be_had_is_gone_on_from_and_never_called_healthy(rig):
    """A program that was replaced may refuse what the one before took."""
    machine = rig(reboot=False)
    machine.upgrade()
    machine.marker.write(records.sound(dict(machine.record, spec=dict(machine.record["spec"], command={}))))
    machine.start()
    machine.shows["method"] = "unreachable"
    machine.let_pass(1000)
    assert machine.state in ("ROLLING_BACK", "HELD") and "method" in machine.record["reason"], machine.record["reason"]
