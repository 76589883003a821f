# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short run of `make fuzz`, the same every time; and proof that it would see what it looks for."""

from __future__ import annotations

import os
import random

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import marker as markers, record as records, requests as verbs
from tests.fuzz import __main__ as fuzz
from tests.fuzz.talk import Talk
from tests.rig.oracle import WrongState
from tests.rig.watcher import Rig


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def test_requests_that_nobody_would_send_neither_crash_the_watcher_nor_bring_it_into_a_wrong_state(tmp_path_factory):
    counts = fuzz.requests(10000, 20261128, tmp_path_factory.mktemp("f"))
    assert {"accepted", "already", "bad_request", "unknown_verb", "stale_generation", "not_durable", "COMMITTED", "ROLLED_BACK", "ABORTED"} <= set(counts)


def test_markers_that_nobody_has_written_are_invalid_or_the_one_before_and_never_no_upgrade(tmp_path):
    counts = fuzz.markers(500, 20261128, tmp_path)
    assert min(counts.values()) > 0 and len(counts) == 4


def test_verb_that_leads_out_of_a_promised_rollback_is_seen(tmp_path_factory, monkeypatch):
    monkeypatch.setitem(verbs.VERBS, "hold", lambda watcher, request: verbs._accept_in_place(watcher, request, state="HELD"))
    with pytest.raises(WrongState, match="does not follow"):
        fuzz.requests(4000, 1, tmp_path_factory.mktemp("f"))


def test_refusal_that_has_changed_something_is_seen(tmp_path_factory, monkeypatch):
    def lie(watcher, request):
        watcher.book.change(reason="changed")
        raise verbs.ProtocolError("busy", "nothing was done")

    monkeypatch.setitem(verbs.VERBS, "resume", lie)
    with pytest.raises(WrongState, match="refused and has changed"):
        fuzz.requests(4000, 1, tmp_path_factory.mktemp("f"))


def test_seed_tells_the_whole_run(tmp_path_factory):
    lines = []
    for _run in range(2):
        talk = Talk(tmp_path_factory.mktemp("f"), random.Random(5))
        lines.append([talk.line() for _number in range(200)])
        talk.close()
    assert lines[0] == lines[1]


def test_stand_in_of_a_watcher_goes_the_whole_way(tmp_path):
    rig = Rig(tmp_path)
    rig.upgrade()
    rig.ask("rollback")
    rig.go_back()
    assert rig.state == "ROLLED_BACK"


def test_damaged_marker_that_is_believed_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(markers, "checksum", lambda record: record.get("sha256", "none"))
    with pytest.raises(WrongState, match="was read as"):
        fuzz.markers(2000, 1, tmp_path)


def test_record_of_an_editor_that_leads_to_a_wrong_state_is_seen(tmp_path, monkeypatch):
    """One that says of an upgrade which is being watched that its snapshot is just being deleted."""
    monkeypatch.setattr(records, "_be_possible", lambda record: None)
    with pytest.raises(WrongState, match="what leads back is deleted in WATCHING"):
        fuzz.markers(2000, 1, tmp_path)
