# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import telling

NOW = 10000.0


def event(ts, kind="state", state="WATCHING", **more):
    return {"seq": int(ts), "ts": ts, "event": kind, "state": state, "phase": None, "percent": None, "msg": "", **more}


def status(state="WATCHING", **more):
    return {
        "state": state, "source_series": "bookworm", "target_series": "trixie", "upgrade_id": "u1", "since": NOW - 30, "now": NOW, "reason": None,
        "phase": None, "pid": 7, "grace_remaining": 41.6, "not_after": None, "can_roll_back": True, "last_health": [], "history": [], **more,
    }


def test_a_watch_tells_its_grace_its_health_with_reasons_and_its_past():
    checks = [{"name": "series", "class": "ok", "required": True, "msg": "the machine runs trixie", "misses": 0},
              {"name": "db answers", "class": "failed", "required": False, "msg": "it says 503", "misses": 2}]
    found = status(last_health=checks, history=[event(NOW - 20, "check", msg="db answers: it says 503")], not_after=NOW + 600)
    lines = telling.lines_of(found, NOW)
    assert lines[:6] == [
        "WATCHING  bookworm -> trixie  (u1)", "  for 30 s",
        "  grace 41 s left: to be healthy for so long before it is committed, decided in 10 min at the latest", "  can go back to bookworm",
        "Health", "  ok          series      the machine runs trixie"]
    assert lines[6] == "  failed      db answers  it says 503 (not required, missed 2 times)"
    assert lines[7] == "History" and lines[8].endswith("WATCHING            db answers: it says 503") and len(lines) == 9


@pytest.mark.parametrize("found, words", [
    (status("HELD", reason="no new boot"), ["because: no new boot", "until a person says resume, commit or rollback", "grace 41 s"]),
    (status("COMMITTED", can_roll_back=False), ["CANNOT go back to bookworm"]),
    (status("UPGRADING", phase="full-upgrade"), ["in phase full-upgrade"]),
    (status("ROLLED_BACK", pid=None), ["NO WATCHER RUNS"]),
    ({"state": "INVALID", "reason": "it is torn"}, ["INVALID: it is torn"]),
], ids=lambda value: value["state"] if isinstance(value, dict) else "")
def test_every_state_tells_what_it_waits_for(found, words):
    text = "\n".join(telling.lines_of(found, NOW))
    assert all(word in text for word in words)


def test_percentages_do_not_push_the_past_off_the_screen():
    past = [event(NOW - 500, msg="new boot")] + [event(NOW - 400 + number, "progress", percent=number) for number in range(50)]
    told = telling.history(status(history=past), ago=True)
    assert [" ".join(line.split()) for line in told] == ["8 min ago WATCHING new boot", "5 min ago WATCHING 49 % progress"]


def test_a_status_that_lacks_something_is_told_without_it():
    older = {key: value for key, value in status().items() if key not in ("now", "not_after", "can_roll_back", "grace_remaining")}
    assert "the grace left is not known" in "\n".join(telling.lines_of(older, NOW))
