# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log as a file: whole lines, in whatever happens to it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from lease_endpoint import audit as room
from lease_endpoint.audit import AuditFile, asking
from lease_endpoint.errors import NotDurable
from lease_endpoint.records import Entry
from lease_endpoint.rights import Caller
from tests.contract.endpoint import PACKAGE

ALICE = Caller("alice", ("pin",), None, None, "0123456789ab", "10.0.0.7")
PIN = Entry(1_800_000_000.5, "alice", "pin", "db", "alice/r1 pinned db with db/0, term 1: upgrade")
LAPSE = Entry(1_800_000_000.5, "endpoint", "lapse", "queue", "the pin of bob/r1 reached its deadline")


@pytest.fixture(name="audit")
def audit_(tmp_path):
    return AuditFile(tmp_path / "audit.jsonl")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_line_tells_who_what_why_and_from_where(audit):
    with asking(ALICE, run="r1", reason="upgrade", session=None):
        audit.commit([PIN])
    assert lines(audit.path) == [{
        "at": 1_800_000_000.5, "outcome": "done", "verb": "pin", "application": "db", "identity": "alice", "token": "0123456789ab", "address": "10.0.0.7",
        "run": "r1", "reason": "upgrade", "msg": PIN.msg}]


def test_what_fell_due_is_not_put_on_whoever_came_next(audit):
    with asking(ALICE, run="r1", reason="upgrade"):
        audit.commit([LAPSE])
    assert set(lines(audit.path)[0]) == {"at", "outcome", "verb", "application", "identity", "msg"}


def test_only_its_owner_reads_it_and_an_old_one_is_kept(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_text('{"old": 1}\n', encoding="utf-8")
    AuditFile(path).commit([PIN])
    assert path.stat().st_mode & 0o777 == 0o600
    assert lines(path)[0] == {"old": 1} and len(lines(path)) == 2


def test_moved_away_by_a_rotation_it_goes_on_in_a_new_file_and_loses_no_line(audit, tmp_path):
    audit.commit([PIN])
    os.rename(audit.path, tmp_path / "audit.jsonl.1")
    audit.commit([LAPSE])
    assert [line["verb"] for path in (tmp_path / "audit.jsonl.1", audit.path) for line in lines(path)] == ["pin", "lapse"]


def test_no_change_without_its_line_and_after_repair_it_goes_on(audit, tmp_path):
    # Root may write anywhere, so the directory is taken away instead of made read-only.
    os.rename(tmp_path, tmp_path.with_name("elsewhere"))
    for _each in range(2):
        with pytest.raises(NotDurable, match="nothing was changed"):
            audit.commit([PIN])
    audit.refused("pin", "forbidden", "no", ALICE)
    os.rename(tmp_path.with_name("elsewhere"), tmp_path)
    audit.commit([LAPSE])
    assert [line["verb"] for line in lines(audit.path)] == ["lapse"]


FULL = """
import json, signal, sys, resource
from pathlib import Path
from lease_endpoint.audit import AuditFile
from lease_endpoint.errors import NotDurable
from lease_endpoint.records import Entry
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
audit, entry = AuditFile(Path(sys.argv[1])), Entry(1.0, "alice", "pin", "db", "x" * 100)
audit.commit([entry])
resource.setrlimit(resource.RLIMIT_FSIZE, (audit.path.stat().st_size + 150, resource.RLIM_INFINITY))
for text in ("does not fit " * 20, "fits"):
    try:
        audit.commit([Entry(2.0, "alice", "pin", "db", text)])
        print("written")
    except NotDurable:
        print("refused")
"""


def test_full_disk_leaves_no_half_line(tmp_path):
    ran = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "audit.jsonl")], env={**os.environ, "PYTHONPATH": str(PACKAGE)}, text=True,
                         capture_output=True, timeout=30, check=True)
    assert ran.stdout.split() == ["refused", "written"]
    assert [line["msg"] for line in lines(tmp_path / "audit.jsonl")] == ["x" * 100, "fits"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY and signal.getsignal(signal.SIGXFSZ) is not None


def test_commit_that_fails_after_its_line_is_told(audit):
    audit.commit([PIN])
    audit.undone([PIN])
    assert [line["outcome"] for line in lines(audit.path)] == ["done", "undone"]


def test_same_refusal_is_counted_within_a_minute_and_not_written_again(audit, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    for _each in range(5):
        audit.refused("pin", "forbidden", "no", ALICE, application="db")
    audit.refused("pin", "forbidden", "no", ALICE, application="queue")
    now[0] += 61
    audit.refused("pin", "forbidden", "no", ALICE, application="db")
    assert [(line["application"], line.get("repeated")) for line in lines(audit.path)] == [("db", None), ("queue", None), ("db", 4)]


def test_flood_of_refusals_does_not_fill_the_disk(audit, monkeypatch):
    monkeypatch.setattr(room, "REFUSALS_KEPT", 10)
    for number in range(100):
        audit.refused("whoami", "forbidden", "no token", None, address="10.0.0.%d" % number)
    assert len(lines(audit.path)) == 10


def test_directory_that_is_not_there_is_said_at_the_start(tmp_path):
    with pytest.raises(NotDurable, match="--audit-log"):
        AuditFile(tmp_path / "nowhere" / "audit.jsonl")
