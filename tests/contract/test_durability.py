# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was answered is kept: kill -9, restarts, a full disk, a damaged ledger, clock steps, long outages."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error

import pytest

from tests.contract.endpoint import Endpoint, cli, until


def test_every_answered_pin_survives_kill_under_load(endpoint, db):
    for number in range(4):
        endpoint.claim(f"{db}-{number}", "u/0", 300)
    answered, ended = [set() for _each in range(4)], threading.Event()

    def load(number):
        round_ = 0
        while not ended.is_set():
            round_ += 1
            try:
                if endpoint.pin(f"{db}-{number}", f"r{round_}")["ok"]:
                    answered[number].add(f"admin/r{round_}")
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, AssertionError):
                return

    threads = [threading.Thread(target=load, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: all(len(done) >= 15 for done in answered))
    endpoint.kill()
    ended.set()
    for thread in threads:
        thread.join()
    endpoint.start()
    for number in range(4):
        kept = {pin["pinner"] for pin in endpoint.lease(f"{db}-{number}")["pins"]}
        assert answered[number] <= kept
        assert len(kept - answered[number]) <= 1, "more than the one request that was cut off"


def test_restart_keeps_term_pins_halts_and_tombstones(endpoint, db):
    other = db + "-halted"
    for name in (db, other):
        endpoint.claim(name, "db/0", 300)
    endpoint.resign(db, "db/0", 1)
    endpoint.claim(db, "db/1", 300)
    endpoint.pin(other, duration=60)
    endpoint.pass_time(61)
    endpoint.pin(db, session="s1")
    before = endpoint.lease(db), endpoint.lease(other)
    endpoint.restart()
    after = endpoint.lease(db), endpoint.lease(other)
    for old, new in zip(before, after):
        for key in ("holder", "term", "revision", "pinned", "halted", "units"):
            assert old[key] == new[key], key
    assert after[0]["pins"][0]["session"] == "s1" and after[1]["halted"] is not None
    assert abs(after[0]["pins"][0]["until_in"] - before[0]["pins"][0]["until_in"]) < 15
    assert any(stone["application"] == other for stone in endpoint.call("GET", "/v1/pins").body["tombstones"])
    assert endpoint.renew(db, "db/1", 2).status == 200


def test_outage_longer_than_everything_expires_nothing_and_gives_a_full_duration(endpoint, db):
    endpoint.claim(db, "db/0", 60)
    free = db + "-free"
    endpoint.claim(free, "db/0", 60)
    endpoint.pin(db, duration=60)
    endpoint.pass_time(50)
    endpoint.claim(db + "-tick", "db/0", 10)  # any write saves the time
    endpoint.kill()
    endpoint.pass_time(7200)
    killed = time.monotonic()
    endpoint.start()

    def full():
        """What must be left now: whoever goes on may have begun at any moment since."""
        return 58 - (time.monotonic() - killed)

    lease = endpoint.lease(db)
    assert lease["pinned"] and lease["halted"] is None and lease["holder"] == "db/0" and lease["expires_in"] > full()
    assert lease["pins"][0]["until_in"] > full(), "a pinner that could not renew either"
    assert endpoint.lease(free)["expires_in"] > full()
    assert endpoint.claim(free, "db/1").kind == "denied"


def test_lease_that_had_run_out_before_an_outage_stays_free(endpoint, db):
    endpoint.claim(db, "db/0", 10)
    endpoint.pass_time(20)
    endpoint.claim(db + "-tick", "db/0", 10)  # any write saves the time
    endpoint.restart()
    assert endpoint.lease(db)["holder"] is None


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
def test_wall_clock_step_neither_expires_nor_prolongs(endpoint, db, step):
    endpoint.claim(db, "db/0", 60)
    endpoint.pin(db, duration=120)
    before = endpoint.lease(db)
    endpoint.step_wall_clock(step)
    after = endpoint.lease(db)
    assert abs(after["expires_in"] - before["expires_in"]) < 5
    assert abs(after["pins"][0]["until_in"] - before["pins"][0]["until_in"]) < 5
    assert abs(after["expires_at"] - before["expires_at"] - step) < 5
    endpoint.restart()
    assert endpoint.lease(db)["pinned"] is True
    endpoint.pass_time(121)
    assert endpoint.lease(db)["pinned"] is False


def test_full_disk_is_an_error_and_changes_nothing(endpoint, db):
    endpoint.claim(db, "db/0", 300)
    endpoint.pin(db, "kept")
    endpoint.limit_files_to(4096)
    try:
        body = {"items": [{"application": db}], "run": "lost", "reason": "test", "duration": 60}
        for path, sent in (("/v1/pin", body), ("/v1/unpin", {"items": body["items"], "run": "kept"})):
            refused = endpoint.call("POST", path, sent)
            assert (refused.status, refused.kind) == (507, "not_durable"), refused
        assert [pin["run"] for pin in endpoint.lease(db)["pins"]] == ["kept"]
    finally:
        endpoint.limit_files_to(None)
    assert endpoint.pin(db, "later")["ok"] is True
    endpoint.restart()
    assert [pin["run"] for pin in endpoint.lease(db)["pins"]] == ["kept", "later"]


def test_pin_that_cannot_lapse_durably_is_unknown_not_unpinned(endpoint, db):
    endpoint.claim(db, "db/0", 300)
    endpoint.pin(db, duration=60)
    endpoint.limit_files_to(4096)
    try:
        endpoint.pass_time(61)
        unknown = endpoint.call("GET", "/v1/leases?application=" + db)
        assert (unknown.status, unknown.kind) == (507, "not_durable")
    finally:
        endpoint.limit_files_to(None)
    assert endpoint.lease(db)["halted"] is not None


def test_damaged_ledger_is_not_an_empty_one(tmp_path):
    damaged = Endpoint(tmp_path)
    damaged.start()
    try:
        damaged.claim("db", "db/0")
    finally:
        assert damaged.stop() == 0
    for path in (tmp_path / "data").glob("ledger.sqlite*"):
        path.write_bytes(b"half written" * 100)
    refused = cli("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    assert refused.returncode == 1 and "ledger" in refused.stderr and "Traceback" not in refused.stderr


def test_damaged_tokens_are_not_no_tokens(tmp_path):
    damaged = Endpoint(tmp_path)
    damaged.start()
    try:
        (tmp_path / "data/tokens.json").write_bytes(b'[{"half')
        refused = damaged.call("GET", "/v1/whoami")
        assert (refused.status, refused.kind) == (507, "not_durable")
    finally:
        assert damaged.stop() == 0
    refused = cli("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    assert refused.returncode == 1 and "tokens" in refused.stderr


def test_half_written_log_loses_only_what_was_never_answered(tmp_path):
    cut = Endpoint(tmp_path)
    cut.start()
    try:
        cut.claim("db", "db/0")
        cut.pin("db")
        cut.kill()
        with open(tmp_path / "data/ledger.sqlite-wal", "ab") as wal:
            wal.write(b"\x00torn" * 500)
        cut.start()
        assert cut.lease("db")["pinned"] is True
    finally:
        cut.stop()


def test_second_endpoint_on_the_same_ledger_is_refused(tmp_path):
    first = Endpoint(tmp_path)
    first.start()
    try:
        refused = cli("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    finally:
        first.stop()
    assert refused.returncode == 1 and "already serving" in refused.stderr


def test_stop_ends_open_event_streams_and_exits_cleanly(tmp_path):
    watched = Endpoint(tmp_path)
    watched.start()
    listening = http.client.HTTPConnection(watched.url.partition("//")[2], timeout=10)
    listening.request("GET", "/v1/events", headers={"Lease-Protocol": "1", "Authorization": "Bearer " + watched.tokens["admin"]})
    stream = listening.getresponse()
    assert stream.readline() == b"event: state\n"
    assert watched.stop() == 0
    listening.close()
