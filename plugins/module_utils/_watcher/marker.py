# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The durable record of the upgrade that this machine is in. Only the holder of the lock writes it.

A record is a dict; the keys that this room knows are schema, generation (grows by one at every write), writer
{pid, start, boot_id} and sha256 (of the rest). What else is in it belongs to the watcher.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict, Optional, Tuple

from . import files

SCHEMA = 1
NAME = "marker.json"
# Room for a few records; given back when the disk is full, because a rollback must be recordable then.
RESERVE_NAME = "reserve"
RESERVE_BYTES = 256 * 1024
# A record has some kilobytes. Whatever is larger was not written here.
MAX_BYTES = 16 * 1024 * 1024


class Damaged(Exception):
    """There is a record but it cannot be read. Nobody may conclude that there is no upgrade."""


class NotDurable(Exception):
    """The record could not be written; on the disk everything is as before."""


class Marker:
    """The marker in a state directory. `writer` names the process that writes, for people who look at the file later."""

    def __init__(self, directory: str, writer: Optional[Dict[str, Any]] = None) -> None:
        self.path = os.path.join(directory, NAME)
        self.previous = self.path + ".prev"
        self._reserve = os.path.join(directory, RESERVE_NAME)
        self._writer = writer or {}
        # The checksum of a record that may be on the disk although its writing was refused.
        self._unsure: Optional[str] = None

    def read(self) -> Optional[Dict[str, Any]]:
        """The record; None when there is none. Raises Damaged when neither the record nor its predecessor can be read."""
        return self._read()[0]

    def _read(self) -> Tuple[Optional[Dict[str, Any]], bool]:
        try:
            return load(self.path), True
        except FileNotFoundError:
            # The rename that puts the marker in place is atomic, so a missing marker beside a previous one was removed by hand.
            if not os.path.exists(self.previous):
                return None, True
            raise Damaged("{0} is missing although {1} is there".format(self.path, self.previous))
        except Damaged as problem:
            try:
                return load(self.previous), False
            except (FileNotFoundError, Damaged):
                raise problem

    def write(self, record: Dict[str, Any]) -> Dict[str, Any]:
        """Put record in place of the one it was made from (same generation) and return it as written, with its new generation.

        Raises NotDurable; then the former record is still the valid one.
        """
        try:
            current, whole = self._read()
        except Damaged as problem:
            raise NotDurable("the marker was damaged by somebody else: {0}".format(problem))
        found = current["generation"] if current else 0
        ours = current is not None and current["sha256"] == self._unsure
        if whole and not ours and found != record.get("generation", 0):
            raise NotDurable("somebody else wrote the marker: generation {0} instead of {1}".format(found, record.get("generation", 0)))
        new = dict(record, schema=SCHEMA, generation=record.get("generation", 0) + 1, writer=self._writer)
        new.pop("sha256", None)
        new["sha256"] = checksum(new)
        data = _as_bytes(new)
        try:
            # A torn marker must not become the previous one: it would push out the last whole record.
            self._replace(data, self.previous if whole and not ours else None)
        except OSError as problem:
            self._take_back(new["sha256"], current)
            raise NotDurable("the marker could not be written: {0}".format(problem))
        self._unsure = None
        return new

    def _take_back(self, checksum_of_new: str, before: Optional[Dict[str, Any]]) -> None:
        """A write has failed: should the new record be in its place already (the directory was not synced), put back the one before.

        When that fails as well, the record on the disk is one that nobody was promised; the next write goes over it.
        """
        try:
            if load(self.path)["sha256"] != checksum_of_new:
                return
            self._unsure = checksum_of_new
            if before is None:
                os.unlink(self.path)
            else:
                files.replace(self.path, _as_bytes(before))
            self._unsure = None
        except (Damaged, OSError):
            pass

    def _replace(self, data: bytes, keep_as: Optional[str]) -> None:
        try:
            files.replace(self.path, data, keep_as)
        except OSError:
            if not os.path.exists(self._reserve):
                raise
            os.unlink(self._reserve)
            files.replace(self.path, data, keep_as)

    def reserve(self) -> None:
        """Keep disk space for the records to come. Raises OSError when there is none."""
        if not os.path.exists(self._reserve):
            files.replace(self._reserve, os.urandom(RESERVE_BYTES))

    def restore(self, record: Optional[Dict[str, Any]]) -> None:
        """Undo of an arming that was not taken over: put back what was there, or remove the marker."""
        if record is not None:
            files.replace(self.path, _as_bytes(record))
            return
        for path in (self.previous, self.path):
            if os.path.exists(path):
                os.unlink(path)


def _as_bytes(record: Dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1, sort_keys=True).encode("utf-8") + b"\n"


def load(path: str) -> Dict[str, Any]:
    """One record file, checked. Raises Damaged, or FileNotFoundError."""
    try:
        record = json.loads(files.read(path, MAX_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as problem:
        raise Damaged("{0} cannot be read: {1}".format(path, problem))
    if not isinstance(record, dict):
        raise Damaged("{0} holds no record".format(path))
    if record.get("schema") != SCHEMA:
        raise Damaged("{0} has the unknown schema {1!r}".format(path, record.get("schema")))
    if record.get("sha256") != checksum(record):
        raise Damaged("{0} does not match its checksum".format(path))
    if isinstance(record.get("generation"), bool) or not isinstance(record.get("generation"), int):
        raise Damaged("{0} does not tell its generation".format(path))
    return record


def checksum(record: Dict[str, Any]) -> str:
    body = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()
