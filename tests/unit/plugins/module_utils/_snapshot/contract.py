# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What every kind of snapshot keeps, as one suite of tests. A kind is tried by a class that inherits it and has a fixture `box`:

    box.root, box.state     directories (pathlib): the system, and the watcher's state directory on it
    box.kind()              the kind, made anew as a restarted watcher would
    box.reboot()            what a reboot does to box.root
    box.left()              what the kind has on the machine just now: any value, equal when nothing was added
    box.knows_its_end       whether a revert that is through is seen to be through
"""

from __future__ import annotations

import json

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import proof
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed, run_step


def settle(box):
    """Make the box a machine on bookworm with a watcher."""
    (box.root / "etc").mkdir(parents=True)
    (box.root / "etc" / "series").write_text("bookworm", encoding="ascii")
    (box.state / "log").mkdir(parents=True)
    (box.state / "marker.json").write_text("generation 1", encoding="ascii")
    (box.state / "lock").write_text("", encoding="ascii")


def upgrade(box):
    (box.root / "etc" / "series").write_text("trixie", encoding="ascii")
    (box.root / "etc" / "new").write_text("trixie", encoding="ascii")
    (box.state / "log" / "upgrade.log").write_text("dpkg: error", encoding="ascii")
    (box.state / "marker.json").write_text("generation 9", encoding="ascii")


def series(box):
    return (box.root / "etc" / "series").read_text(encoding="ascii")


def marker(box):
    return (box.state / "marker.json").read_text(encoding="ascii")


def revert(box, record, most=None):
    return [run_step(step) for step in box.kind().revert_steps(record, str(box.state))[:most]]


class Contract:
    def test_sound_machine_has_no_problem(self, box):
        assert box.kind().check() is None
        assert isinstance(box.kind().notes(), list)

    def test_phase_that_was_cut_off_takes_the_snapshot_that_it_has_made(self, box):
        record = box.kind().create("to-trixie/m1/x")
        assert box.kind().create("to-trixie/m1/x") == record
        assert json.loads(json.dumps(record)) == record, "it lies in the marker"

    def test_machine_comes_back_with_its_old_system_and_its_newest_record(self, box):
        record = box.kind().create("x")
        upgrade(box)
        assert any(revert(box, record))
        box.kind().carry(record, str(box.state))
        box.reboot()
        assert series(box) == "bookworm"
        assert not (box.root / "etc" / "new").exists()
        assert marker(box) == "generation 9"
        assert (box.state / "log" / "upgrade.log").read_text(encoding="ascii") == "dpkg: error"

    def test_revert_that_is_through_has_nothing_left_to_do(self, box):
        record = box.kind().create("x")
        upgrade(box)
        revert(box, record)
        again = revert(box, record)
        box.reboot()
        assert not box.knows_its_end or not any(again + revert(box, record))
        box.kind().carry(record, str(box.state))
        assert (series(box), marker(box)) == ("bookworm", "generation 9")

    def test_revert_goes_on_wherever_it_was_cut_off(self, box):
        record = box.kind().create("x")
        upgrade(box)
        for begun in range(1, len(box.kind().revert_steps(record, str(box.state))) + 1):
            revert(box, record, begun)
        box.reboot()
        assert (series(box), marker(box)) == ("bookworm", "generation 9")

    def test_machine_that_loses_power_is_the_old_one_or_the_new_one_and_has_its_record(self, box):
        record = box.kind().create("x")
        upgrade(box)
        for begun in range(1, len(box.kind().revert_steps(record, str(box.state))) + 1):
            revert(box, record, begun)
            box.reboot()
            assert (box.root / "etc" / "new").exists() == (series(box) == "trixie")
            assert marker(box) == "generation 9"
        assert series(box) == "bookworm"

    def test_second_upgrade_after_a_rollback_is_rolled_back_as_well(self, box):
        for attempt in ("first", "second"):
            assert box.kind().check() is None
            record = box.kind().create(attempt)
            upgrade(box)
            revert(box, record)
            box.reboot()
            assert series(box) == "bookworm"

    def test_dropping_leaves_nothing_and_may_be_repeated(self, box):
        before = box.left()
        record = box.kind().create("x")
        box.kind().drop(record)
        box.kind().drop(record)
        assert box.left() == before
        assert series(box) == "bookworm"

    def test_dropping_never_takes_what_runs_or_boots(self, box):
        record = box.kind().create("x")
        upgrade(box)
        revert(box, record)
        box.kind().drop(record)
        box.reboot()
        box.kind().drop(record)
        box.reboot()
        assert (series(box), marker(box)) == ("bookworm", "generation 9")

    def test_proof_leaves_nothing(self, box):
        before = box.left()
        assert proof.prove(box.kind()) is None
        assert proof.prove(box.kind()) is None
        assert box.left() == before

    def test_proof_uses_up_what_a_proof_that_was_cut_off_has_left(self, box):
        before = box.left()
        box.kind().create(proof.NAME)
        assert proof.prove(box.kind()) is None
        assert box.left() == before

    def test_snapshot_that_is_gone_is_not_taken_for_a_way_back(self, box):
        record = box.kind().create("x")
        upgrade(box)
        box.kind().drop(record)
        with pytest.raises(StepFailed):
            revert(box, record)
        assert series(box) == "trixie"
