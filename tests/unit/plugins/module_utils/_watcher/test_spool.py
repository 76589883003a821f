# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import spool


def test_request_left_is_found_once_per_file_oldest_first(tmp_path):
    first = spool.leave(str(tmp_path), {"do": "rollback", "request_id": "b/../1"})
    second = spool.leave(str(tmp_path), {"do": "abort", "request_id": "a"})
    os.utime(first, (1, 1))
    assert [(path, request["do"]) for path, request in spool.waiting(str(tmp_path))] == [(first, "rollback"), (second, "abort")]
    assert os.path.dirname(first) == str(tmp_path / "spool")


def test_no_spool_is_no_request(tmp_path):
    assert list(spool.waiting(str(tmp_path))) == []


def test_damaged_request_is_moved_aside_and_blocks_no_other(tmp_path):
    """M9"""
    spool.leave(str(tmp_path), {"do": "rollback", "request_id": "good"})
    (tmp_path / "spool" / "a.json").write_text('{"v": 1, "do": "roll')
    (tmp_path / "spool" / "b.json").write_text('{"v": 1, "do": "status"}')
    assert [request["request_id"] for path, request in spool.waiting(str(tmp_path))] == ["good"]
    assert sorted(os.listdir(tmp_path / "spool")) == ["a.json.damaged", "b.json.damaged", "good.json"]


def test_two_ids_never_lie_in_one_file(tmp_path):
    left = {spool.leave(str(tmp_path), {"do": "abort", "request_id": name}) for name in ("a/b", "a_b", "a.b", "x" * 150 + "1", "x" * 150 + "2")}
    assert len(left) == 5
    assert {os.path.dirname(path) for path in left} == {str(tmp_path / "spool")}


def test_request_in_a_spool_that_others_can_write_to_is_not_heard(tmp_path):
    """A spool that is not its owner's alone is none: whoever can put a file in could ask for a rollback."""
    spool.leave(str(tmp_path), {"do": "rollback", "request_id": "theirs"})
    os.chmod(tmp_path / "spool", 0o777)
    with pytest.raises(PermissionError, match="others can write here"):
        list(spool.waiting(str(tmp_path)))
    with pytest.raises(PermissionError):
        spool.leave(str(tmp_path), {"do": "rollback", "request_id": "ours"})


def test_spool_that_is_a_link_elsewhere_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    spool.leave(str(elsewhere), {"do": "rollback", "request_id": "r"})
    os.symlink(elsewhere / "spool", tmp_path / "spool")
    with pytest.raises(PermissionError):
        list(spool.waiting(str(tmp_path)))


def test_request_of_another_user_is_put_aside(tmp_path, monkeypatch):
    path = spool.leave(str(tmp_path), {"do": "rollback", "request_id": "theirs"})
    real = os.fstat

    def somebody_elses(fd):
        return os.stat_result([*real(fd)[:4], 12345, *real(fd)[5:]])

    monkeypatch.setattr(os, "fstat", somebody_elses)
    assert list(spool.waiting(str(tmp_path))) == []
    assert os.path.exists(path + ".damaged")


@pytest.mark.parametrize("what", ["link", "dangling link", "pipe", "directory", "too long", "in the way"])
def test_what_is_no_file_of_ours_is_put_aside_and_blocks_no_other(tmp_path, what):
    spool.leave(str(tmp_path), {"do": "rollback", "request_id": "good"})
    (tmp_path / "outside.json").write_text('{"v":1,"do":"abort","request_id":"outside"}')
    bad = tmp_path / "spool" / "bad.json"
    if what == "link":
        bad.symlink_to(tmp_path / "outside.json")
    elif what == "dangling link":
        bad.symlink_to(tmp_path / "nowhere")
    elif what == "pipe":
        os.mkfifo(bad)
    elif what == "directory":
        bad.mkdir()
    elif what == "too long":
        bad.write_text('{"v":1,"do":"abort","request_id":"long"%s}' % (" " * 70000))
    else:
        bad.write_text("no request")
        (tmp_path / "spool" / "bad.json.damaged" / "full").mkdir(parents=True)
    assert [request["request_id"] for path, request in spool.waiting(str(tmp_path))] == ["good"]
    assert (tmp_path / "outside.json").exists()
