# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

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
    spool.leave(str(tmp_path), {"do": "rollback", "request_id": "good"})
    (tmp_path / "spool" / "a.json").write_text('{"v": 1, "do": "roll')
    (tmp_path / "spool" / "b.json").write_text('{"v": 1, "do": "status"}')
    assert [request["request_id"] for path, request in spool.waiting(str(tmp_path))] == ["good"]
    assert sorted(os.listdir(tmp_path / "spool")) == ["a.json.damaged", "b.json.damaged", "good.json"]
