# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import protocol


def line(**request):
    return json.dumps(request).encode()


@pytest.mark.parametrize("wire, kind", [
    (b"hello", "bad_request"),
    (b"\xff", "bad_request"),
    (b"[1]", "bad_request"),
    (line(do="status"), "unsupported_version"),
    (line(v=2, do="status"), "unsupported_version"),
    (line(v=1, do="explode"), "unknown_verb"),
    (line(v=1, do=["status"]), "unknown_verb"),
    (line(v=1, do="rollback"), "bad_request"),
    (line(v=1, do="rollback", request_id=""), "bad_request"),
    (line(v=1, do="rollback", request_id="r", reason={"a": 1}), "bad_request"),
    (line(v=1, do="extend", request_id="r", seconds=-1), "bad_request"),
    (line(v=1, do="extend", request_id="r", seconds=True), "bad_request"),
    (line(v=1, do="commit", request_id="r", force="yes"), "bad_request"),
    (line(v=1, do="subscribe", since="all"), "bad_request"),
    (b"[" * 60000, "bad_request"),
    (line(v=1, do="status", request_id=["r"]), "bad_request"),
    (line(v=1, do="rollback", request_id="r\n"), "bad_request"),
    (line(v=1, do="extend", request_id="r", seconds=float("nan")), "bad_request"),
])
def test_what_is_no_request_is_refused_by_kind(wire, kind):
    """C5"""
    with pytest.raises(protocol.ProtocolError) as refusal:
        protocol.decode(wire)
    assert refusal.value.kind == kind
    assert kind in protocol.KINDS


def test_answer_echoes_what_it_answers():
    request = protocol.decode(line(v=1, do="rollback", request_id="r1"))
    assert protocol.answer(request, "accepted", state="ROLLBACK_REQUESTED") == {
        "do": "rollback", "request_id": "r1", "ok": True, "result": "accepted", "state": "ROLLBACK_REQUESTED"}
    assert protocol.refusal(request, "busy", "later")["result"] == "rejected"


def test_lines_are_cut_wherever_the_bytes_arrive():
    lines, wire, got = protocol.Lines(), line(v=1, do="status") + b"\n\n" + line(v=1, do="wait") + b"\n", []
    for byte in wire:
        got += lines.feed(bytes([byte]))
    assert [protocol.decode(one)["do"] for one in got] == ["status", "wait"]


def test_line_without_an_end_is_not_collected_for_ever():
    lines = protocol.Lines()
    with pytest.raises(protocol.ProtocolError, match="65536 bytes"):
        for _block in range(17):
            lines.feed(b"x" * 4096)


def test_field_that_is_null_was_left_out():
    assert protocol.decode(b'{"v":1,"do":"subscribe","since":null}') == {"v": 1, "do": "subscribe"}


def test_reason_is_fit_to_be_shown_on_a_terminal():
    assert protocol.decode(line(v=1, do="rollback", request_id="r", reason="slow\x1b[2J\nand \ud800 ill\n"))["reason"] == "slow [2J and   ill"
