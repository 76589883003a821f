# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markers that were damaged, or written by somebody else: read as one that was once written, as INVALID, or gone on from. Never as no upgrade."""

from __future__ import annotations

import json
import os
import pathlib
import random
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import marker as markers, record as records
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Damaged, Marker
from tests.fuzz import garbage
from tests.fuzz.talk import Memory, Paper
from tests.rig.oracle import WrongState
from tests.rig.watcher import Rig

# A life on the disk costs as much as a hundred readings, and the next one hears nothing new by it: one in so many has a disk.
ON_DISK = 10


class Markers:
    """One rig in a directory of its own; try_one() damages what it has written, in one of three ways."""

    def __init__(self, directory: pathlib.Path, dice: random.Random) -> None:
        self._dice = dice
        self._rig = Rig(directory, reboot=False)
        self._rig.upgrade()
        self._rig.ask("extend", seconds=5, request_id="one")
        self._path, self._previous = pathlib.Path(self._rig.marker.path), pathlib.Path(self._rig.marker.previous)
        self._whole = {path: path.read_bytes() for path in (self._path, self._previous)}
        self._records = {path: json.loads(data) for path, data in self._whole.items()}
        # What lies there now, so that only what is to be another thing is written.
        self._lies: dict[pathlib.Path, bytes | None] = dict(self._whole)
        self.counts = {"as it was": 0, "the one before": 0, "INVALID": 0, "gone on from": 0}

    def try_one(self) -> None:
        self.counts[self._dice.choice((self._one_damaged, self._both_damaged, self._signed_by_somebody_else))()] += 1

    def _put(self, path: pathlib.Path, data: bytes | None = None) -> None:
        given = self._whole[path] if data is None else data
        if self._lies[path] != given:
            path.write_bytes(given)
            self._lies[path] = given

    def _one_damaged(self) -> str:
        self._put(self._path, garbage.damaged(self._dice, self._whole[self._path]))
        self._put(self._previous)
        return self._read_as(may_be_invalid=False)

    def _both_damaged(self) -> str:
        self._put(self._path, garbage.damaged(self._dice, self._whole[self._path]))
        self._put(self._previous, garbage.damaged(self._dice, self._whole[self._previous]))
        return self._read_as(may_be_invalid=True)

    def _read_as(self, may_be_invalid: bool) -> str:
        try:
            found = Marker(self._rig.directory).read()
        except Damaged:
            if not may_be_invalid:
                raise WrongState("a damaged marker beside a whole one before it was called INVALID") from None
            return "INVALID"
        if found == self._records[self._path]:
            return "as it was"
        if found == self._records[self._previous]:
            return "the one before"
        raise WrongState("a damaged marker was read as %r" % (found,))

    def _signed_by_somebody_else(self) -> str:
        """The checksum is right and the content is not ours: another program, or a person with an editor and a plan."""
        record = garbage.changed(self._dice, {key: value for key, value in self._records[self._path].items() if key != "sha256"})
        record["sha256"] = markers.checksum(record)
        self._put(self._path, json.dumps(record).encode())
        self._put(self._previous)
        try:
            found = Marker(self._rig.directory).read()
            sound = records.sound(t.cast(t.Any, found))
        except Damaged:
            return "INVALID"
        if found == self._records[self._previous]:
            return "the one before"
        self._go_on(sound)
        return "gone on from"

    def _go_on(self, record: dict[str, t.Any]) -> None:
        """A watcher on this record answers and lives, and every record after it follows from the one before."""
        rig = self._rig
        rig.begun.clear()
        rig.looks.clear()
        if self._dice.randrange(ON_DISK):
            paper, journal = Paper(), Memory(rig.directory)
            paper.record = record
            rig.watch(records.Book(record, t.cast(t.Any, paper), journal, t.cast(t.Any, rig.clock)))
        else:
            self._lies = dict.fromkeys(self._lies)
            rig.watch(records.Book(record, Marker(rig.directory), rig.journal, t.cast(t.Any, rig.clock)))
        for verb in ("status", "extend", "hold"):
            rig.ask(verb, seconds=1)
        rig.let_pass(2)
        journal_file = pathlib.Path(rig.journal.path)
        if journal_file.exists() and os.path.getsize(journal_file) > 100000:
            journal_file.unlink()
