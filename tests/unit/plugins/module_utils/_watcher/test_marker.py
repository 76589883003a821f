# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker: whole or not there, one writer, never taken for absent."""

from __future__ import annotations

import errno
import json
import os

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import files, marker as markers
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.marker import Damaged, Marker, NotDurable


@pytest.fixture
def marker(tmp_path):
    return Marker(str(tmp_path), writer={"pid": 7})


def tear(marker, how="half"):
    with open(marker.path, "r+b") as file:
        if how == "half":
            file.truncate(os.path.getsize(marker.path) // 2)
        elif how == "garbage after":
            file.seek(0, 2)
            file.write(b"}}}")
        else:
            text = file.read().replace(b'"ARMED"', b'"COMMITTED"')
            file.seek(0)
            file.write(text)


def test_no_marker_is_absent(marker):
    assert marker.read() is None


def test_record_is_read_as_written_with_generation_and_writer(marker):
    """M2"""
    written = marker.write({"state": "ARMED"})
    assert marker.read() == written
    assert (written["generation"], written["writer"], written["schema"]) == (1, {"pid": 7}, 1)
    assert marker.write(written)["generation"] == 2


def test_marker_is_for_its_owner_only(marker):
    marker.write({"state": "ARMED"})
    assert os.stat(marker.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["half", "garbage after", "another state"])
def test_damaged_marker_gives_the_one_before(marker, how):
    """M4"""
    first = marker.write({"state": "ARMED"})
    marker.write(dict(first, state="ARMED", reason="x"))
    tear(marker, how)
    assert marker.read() == first


def test_damaged_marker_without_one_before_is_not_absent(marker):
    """M4, S7"""
    marker.write({"state": "ARMED"})
    tear(marker)
    with pytest.raises(Damaged):
        marker.read()


def test_marker_that_somebody_removed_is_not_absent(marker):
    marker.write(marker.write({"state": "ARMED"}))
    os.unlink(marker.path)
    with pytest.raises(Damaged, match="is missing although"):
        marker.read()


def test_unknown_schema_is_not_absent(marker):
    """M2, M4"""
    written = marker.write({"state": "ARMED"})
    with open(marker.path, "w", encoding="utf-8") as file:
        json.dump(dict(written, schema=99), file)
    with pytest.raises(Damaged, match="unknown schema 99"):
        marker.read()


def test_directory_in_the_place_of_the_marker_is_not_absent(marker):
    os.mkdir(marker.path)
    with pytest.raises(Damaged):
        marker.read()


def test_two_writers_cannot_both_win(marker, tmp_path):
    """M3"""
    seen = marker.write({"state": "ARMED"})
    Marker(str(tmp_path)).write(dict(seen, state="UPGRADING"))
    with pytest.raises(NotDurable, match="generation 2 instead of 1"):
        marker.write(dict(seen, state="ABORTED"))
    assert marker.read()["state"] == "UPGRADING"


def test_write_over_a_torn_marker_keeps_the_last_whole_one_as_previous(marker):
    first = marker.write({"state": "ARMED"})
    second = marker.write(first)
    tear(marker)
    third = marker.write(second)
    assert marker.read() == third
    tear(marker)
    assert marker.read() == first


def test_order_on_the_disk_is_file_then_rename_then_directory(marker, monkeypatch):
    """M1"""
    acts = []
    real = {"fsync": os.fsync, "rename": os.rename}
    monkeypatch.setattr(os, "fsync", lambda fd: (acts.append("sync " + ("directory" if os.path.isdir("/proc/self/fd/%d" % fd) else "file")), real["fsync"](fd)))
    monkeypatch.setattr(os, "rename", lambda old, new: (acts.append("rename " + os.path.basename(new)), real["rename"](old, new)))
    marker.write(marker.write({"state": "ARMED"}))
    assert acts == ["sync file", "rename marker.json", "sync directory",
                    "sync file", "rename marker.json.prev", "rename marker.json", "sync directory"]


def test_full_disk_changes_nothing_and_leaves_nothing(marker, tmp_path, monkeypatch):
    """M1, C8"""
    written = marker.write({"state": "ARMED"})

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotDurable, match="No space left"):
        marker.write(dict(written, state="UPGRADING"))
    assert marker.read() == written
    assert sorted(os.listdir(tmp_path)) == ["marker.json"]


def test_reserved_space_is_given_back_when_the_disk_is_full(marker, tmp_path, monkeypatch):
    """C8"""
    marker.reserve()
    written = marker.write({"state": "ARMED"})
    real = os.fsync

    def full(fd):
        if (tmp_path / "reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    assert marker.write(dict(written, state="ROLLBACK_REQUESTED"))["generation"] == 2


def test_leftovers_of_dead_writers_are_swept(marker, tmp_path):
    """M8"""
    marker.write({"state": "ARMED"})
    (tmp_path / "marker.json.123.tmp").write_text("half")
    files.sweep(str(tmp_path))
    assert os.listdir(tmp_path) == ["marker.json"]


def test_link_in_the_way_of_the_temporary_file_is_not_followed(marker, tmp_path):
    """M1"""
    (tmp_path / ("marker.json.%d.tmp" % os.getpid())).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotDurable):
        marker.write({"state": "ARMED"})
    assert not (tmp_path / "elsewhere").exists()


def test_undone_arming_puts_back_what_was_there(marker):
    first = marker.write({"state": "COMMITTED"})
    marker.write(dict(first, state="ARMED"))
    marker.restore(first)
    assert marker.read() == first
    marker.restore(None)
    assert marker.read() is None


@pytest.mark.parametrize("what", ["link", "pipe", "too large", "deep"])
def test_what_was_not_put_there_by_a_watcher_is_not_read_as_its_marker(marker, tmp_path, monkeypatch, what):
    written = marker.write({"state": "ARMED"})
    os.unlink(marker.path)
    if what == "link":
        (tmp_path / "whole").write_text(json.dumps(written))
        os.symlink(tmp_path / "whole", marker.path)
    elif what == "pipe":
        os.mkfifo(marker.path)
    elif what == "deep":
        (tmp_path / "marker.json").write_bytes(b"[" * 100000)
    else:
        monkeypatch.setattr(markers, "MAX_BYTES", 100)
        (tmp_path / "marker.json").write_text(json.dumps(written))
    with pytest.raises(Damaged):
        marker.read()


@pytest.mark.parametrize("what", ["directory", "link", "file"])
def test_whatever_stands_in_the_place_of_the_temporary_file_is_neither_followed_nor_overwritten(marker, tmp_path, what):
    written = marker.write({"state": "ARMED"})
    temporary, outside = tmp_path / ("marker.json.%d.tmp" % os.getpid()), tmp_path / "outside"
    outside.write_text("theirs")
    if what == "directory":
        temporary.mkdir()
    elif what == "link":
        temporary.symlink_to(outside)
    else:
        os.link(outside, temporary)
    with pytest.raises(NotDurable):
        marker.write(dict(written, state="UPGRADING"))
    assert (marker.read(), outside.read_text()) == (written, "theirs")


@pytest.mark.parametrize("also", [False, True])
def test_record_whose_directory_could_not_be_synced_is_taken_back_and_never_wedges_the_next(marker, monkeypatch, also):
    """M1, C8"""
    first = marker.write(marker.write({"state": "ARMED"}))
    real = files.sync_directory

    def broken(path):
        if also:
            # Nor can anything be put back.
            monkeypatch.setattr(os, "rename", lambda old, new: broken(new))
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(files, "sync_directory", broken)
        disk.setattr(os, "rename", os.rename)
        with pytest.raises(NotDurable):
            marker.write(dict(first, state="UPGRADING"))
    monkeypatch.undo()
    assert files.sync_directory is real
    if not also:
        assert marker.read()["state"] == "ARMED"
    third = marker.write(dict(first, state="ABORTED"))
    assert (marker.read(), third["generation"]) == (third, first["generation"] + 1)
