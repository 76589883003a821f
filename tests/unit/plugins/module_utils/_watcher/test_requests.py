# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb answers: repeatable by its id, compared with what was read, durable before it is said."""

from __future__ import annotations

import errno

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import files
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.record import NotDurable


def test_same_request_twice_gets_the_same_answer(rig):
    """C7"""
    machine = rig()
    first = machine.ask("upgrade", request_id="r1")
    machine.end("drain")
    assert machine.ask("upgrade", request_id="r1") == first


def test_same_request_gets_the_same_answer_from_a_new_watcher(rig):
    """C7"""
    machine = rig()
    machine.upgrade()
    first = machine.ask("rollback", request_id="r1")
    machine.start()
    assert machine.ask("rollback", request_id="r1") == first


def test_request_id_of_another_verb_is_refused(rig):
    machine = rig()
    machine.ask("upgrade", request_id="r1")
    assert machine.ask("abort", request_id="r1")["kind"] == "bad_request"


def test_refusal_is_decided_anew(rig):
    machine = rig()
    assert machine.ask("commit", request_id="r1")["kind"] == "wrong_state"
    machine.upgrade()
    machine.let_pass(3)
    assert machine.ask("commit", request_id="r1")["result"] == "accepted"


def test_request_about_an_older_record_is_stale(rig):
    machine = rig()
    seen = machine.ask("status")["generation"]
    machine.ask("drain")
    answer = machine.ask("upgrade", if_generation=seen)
    assert answer["kind"] == "stale_generation"
    assert machine.state == "ARMED"


def test_commit_of_an_unhealthy_machine_needs_force(rig):
    machine = rig()
    machine.upgrade()
    machine.shows["db answers"] = "failed"
    machine.let_pass(3)
    answer = machine.ask("commit")
    assert answer["kind"] == "unhealthy"
    assert "db answers is failed" in answer["msg"]
    assert machine.ask("commit", force=True)["result"] == "accepted"


def test_abort_is_too_late_once_the_machine_is_being_changed(rig):
    machine = rig()
    machine.ask("upgrade")
    machine.end("drain")
    machine.end("prepare")
    assert machine.ask("abort")["kind"] == "too_late"


def test_shutdown_is_refused_while_an_upgrade_lives(rig):
    """S10, L7"""
    machine = rig()
    machine.upgrade()
    answer = machine.ask("shutdown")
    assert answer["kind"] == "wrong_state"
    assert "to-trixie/m1/1" in answer["msg"]
    machine.ask("hold")
    assert machine.ask("shutdown")["ok"]


@pytest.mark.parametrize("do", ["upgrade", "rollback", "commit", "hold", "extend"])
def test_request_that_cannot_be_recorded_is_not_done(rig, monkeypatch, do):
    """C8"""
    machine = rig()
    if do != "upgrade":
        machine.upgrade()
        machine.let_pass(3)
    before = machine.state

    def full(path, data, keep_as=None, mode=0o600):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(files, "replace", full)
        answer = machine.ask(do, seconds=5)
        assert answer["kind"] == "not_durable"
        assert machine.state == before
    machine.start()
    assert machine.state == before
    machine.let_pass(3)
    assert machine.ask(do, seconds=5)["result"] == "accepted"


def test_status_tells_what_leads_to_a_decision(rig):
    """H5"""
    machine = rig()
    machine.upgrade()
    machine.let_pass(3)
    status = machine.ask("status")
    assert {key: status[key] for key in ("state", "series", "source_series", "target_series", "run", "machine", "healthy", "drained")} == {
        "state": "WATCHING", "series": "trixie", "source_series": "bookworm", "target_series": "trixie", "run": "to-trixie", "machine": "m1",
        "healthy": True, "drained": True,
    }
    assert [check["name"] for check in status["last_health"]] == ["series", "db answers"]
    assert status["history"][-1]["seq"] == status["seq"]


@pytest.mark.parametrize("end", ["COMMITTED", "ROLLED_BACK"])
def test_status_and_history_are_told_after_the_end_and_by_later_watchers(rig, end):
    """S5"""
    machine = rig(reboot=False)
    machine.upgrade()
    if end == "ROLLED_BACK":
        machine.ask("rollback", reason="the users complain")
        machine.go_back()
    else:
        machine.let_pass(15)
        machine.end("commit")
    machine.start()
    machine.clock.at += 30 * 86400
    machine.let_pass(3)
    status = machine.ask("status")
    assert (status["state"], status["upgrade_id"]) == (end, "to-trixie/m1/1")
    assert end in [event["state"] for event in status["history"]]


def test_boot_that_cannot_be_recorded_is_looked_at_again_and_never_repeated(rig, monkeypatch):
    """T3, C8"""
    machine = rig()
    machine.ask("upgrade")
    for name in ("drain", "prepare", "change", "prove"):
        machine.end(name)
    assert machine.begun[-1] == "reboot"
    real, writes = files.replace, []

    def full_after_the_first(path, data, keep_as=None, mode=0o600):
        writes.append(path)
        if len(writes) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data, keep_as, mode)

    with monkeypatch.context() as disk:
        disk.setattr(files, "replace", full_after_the_first)
        with pytest.raises(NotDurable):
            machine.boot("trixie")
        with pytest.raises(NotDurable):
            machine.let_pass(1)
    machine.let_pass(1)
    assert (machine.state, machine.begun.count("reboot"), machine.begun[-1]) == ("WATCHING", 1, "resume")
