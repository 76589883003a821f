# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the provider `patroni` makes of members that are silent, down, behind or unfit: real Patronis of 3.0 and 4.0, real PostgreSQL."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lease_endpoint.errors import Denied, LeaseError, Stale, Unreachable
from lease_endpoint.providers.patroni import Patroni
from tests.etcd import Certificates
from tests.patroni_cluster import PatroniCluster, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def _cluster():
    with PatroniCluster(("3.0", "4.0", "3.0")) as cluster:
        yield cluster


def provider_of(cluster, **more):
    options = cluster.options(**{"timeout": 2, "patience": 10, **more})
    del options["provider"]
    return Patroni("db", {key: value for key, value in options.items() if value is not None})


@pytest.fixture
def cluster(_cluster):
    """Whole, not paused, led by whoever leads."""
    yield _cluster
    for member in _cluster.members:
        if member.up:
            member.thaw()
        else:
            member.boot()
    _cluster.configure(pause=None, synchronous_mode=None, maximum_lag_on_failover=1048576)
    _cluster.until(lambda: not _cluster.paused() and _cluster.whole(), "the cluster to be whole again")


@pytest.fixture
def db(cluster):
    provider = provider_of(cluster)
    yield provider
    provider.close()


def follower(cluster, number=0):
    """A unit that does not lead."""
    leads = cluster.leading_unit()
    return [member.unit for member in cluster.members if member.unit != leads][number]


def health(read):
    return {member.unit: member.healthy for member in read.members}


def tended(db, displaced, claim, seconds=60):
    """What was told until `claim(reading)`, tending as the steward does."""
    told, end = [], time.monotonic() + seconds
    while True:
        try:
            told += db.tend(displaced)
            if claim(db.read()):
                return told
        except Unreachable:
            pass
        assert time.monotonic() < end, told
        time.sleep(0.5)


def test_leader_that_loses_power_keeps_the_leadership_under_the_pin_and_has_its_postgresql_back_in_the_same_term(cluster, db):
    before = db.read()
    displaced = db.displaced()
    db.freeze(displaced)
    cluster[before.holder].cut()
    cluster.until(lambda: db.read().holder is None, "the leader's key to run out", 40)
    assert all(member.rest("GET", "/patroni")["role"] == "replica" for member in cluster.members if member.unit != before.holder), "nobody promotes"
    cluster[before.holder].boot()
    told = tended(db, displaced, lambda read: read.holder == before.holder and health(read)[before.holder])
    after = db.read()
    assert (after.holder, after.term) == (before.holder, before.term)
    assert told == [f"PostgreSQL of {before.holder} was down while paused and has been started"]
    db.thaw(displaced)
    assert cluster.until(cluster.whole, "all to follow") and db.read().term == before.term


def test_replica_that_reboots_under_the_pin_is_started_and_one_that_was_down_before_is_left_down(cluster, db):
    down, reboots = follower(cluster, 0), follower(cluster, 1)
    cluster.configure(pause=True)
    cluster.until(lambda: all(member.rest("GET", "/patroni").get("pause") for member in cluster.members), "everybody to be paused")
    cluster[down].stop_postgres()
    cluster.until(lambda: not health(db.read())[down], "it to be seen down")
    displaced = {**db.displaced(), "pause": False}  # as if the pause were ours
    db.freeze(displaced)
    cluster[reboots].cut()
    cluster[reboots].boot()
    told = tended(db, displaced, lambda read: health(read)[reboots])
    assert told == [f"PostgreSQL of {reboots} was down while paused and has been started"]
    assert health(db.read())[down] is False
    assert db.tend(displaced) == [] and health(db.read())[down] is False
    cluster[down].rest("POST", "/restart", {})


def test_nothing_is_started_under_a_pause_that_somebody_else_had_set_before(cluster, db):
    cluster.configure(pause=True)
    unit = follower(cluster)
    displaced = db.displaced()
    assert displaced["pause"] is True and unit in displaced["running"]
    db.freeze(displaced)
    cluster[unit].stop_postgres()
    cluster.until(lambda: not health(db.read())[unit], "it to be seen down")
    assert db.tend(displaced) == [] and health(db.read())[unit] is False
    db.thaw(displaced)
    assert cluster.paused(), "undone what was not ours"
    cluster[unit].rest("POST", "/restart", {})


def test_silent_replica_is_waited_for_a_ttl_then_named_and_a_silent_leader_is_never_done_without(cluster):
    db = provider_of(cluster, patience=2)
    leads, unit = cluster.leading_unit(), follower(cluster)
    displaced = db.displaced()
    cluster[leads].freeze()
    with pytest.raises(Unreachable, match=leads):
        db.freeze(displaced)
    cluster[leads].thaw()
    db.thaw(displaced)
    cluster[unit].freeze()
    begun = time.monotonic()
    read = db.freeze(displaced)
    assert time.monotonic() - begun >= 20 and read.frozen and read.holder == leads
    silent = next(member for member in read.members if member.unit == unit)
    assert silent.healthy is False and "did not answer" in silent.msg
    cluster[unit].thaw()
    db.thaw(displaced)


def test_handover_is_refused_to_whoever_would_lose_something_with_a_sentence_that_says_why(cluster, db):
    read, unit = db.read(), follower(cluster)

    def refused(to, term=read.term):
        with pytest.raises(LeaseError) as found:
            db.transfer(to, term)
        assert db.read().holder == read.holder
        return found.value

    assert isinstance(refused(unit, read.term + 1), Stale)
    assert isinstance(refused("db/9"), Denied) and "no member of db" in refused("db/9").msg
    cluster.configure(synchronous_mode=True)
    rows = cluster.until(lambda: [row for row in cluster.view()["members"] if row["role"] == "sync_standby"], "a synchronous standby")
    other = next(member.unit for member in cluster.members if member.name != rows[0]["name"] and member.unit != read.holder)
    assert "no synchronous standby" in refused(other).msg
    cluster.configure(synchronous_mode=None)
    cluster.configure(maximum_lag_on_failover=1)
    receiver = _wal_receiver(cluster[unit])
    os.kill(receiver, signal.SIGSTOP)
    try:
        _write(cluster, read.holder)
        cluster.until(lambda: (next(member for member in db.read().members if member.unit == unit).lag or 0) > 1, "it to lag")
        assert "bytes behind" in refused(unit).msg and "maximum_lag_on_failover" in refused(unit).msg
    finally:
        os.kill(receiver, signal.SIGCONT)
    displaced = db.displaced()
    db.freeze(displaced)
    cluster[unit].stop_postgres()
    cluster.until(lambda: "PostgreSQL is stopped" in next(member for member in db.read().members if member.unit == unit).msg, "it to be seen down")
    assert "PostgreSQL is stopped" in refused(unit).msg
    cluster[unit].freeze()
    assert "did not answer" in refused(unit).msg
    cluster[unit].thaw()
    cluster[unit].rest("POST", "/restart", {})
    db.thaw(displaced)


def test_handover_under_the_pin_is_over_when_its_former_leader_runs_again_as_a_follower(cluster, db):
    read, unit = db.read(), follower(cluster)
    displaced = db.displaced()
    db.freeze(displaced)
    after = db.transfer(unit, read.term)
    former = cluster[read.holder].rest("GET", "/patroni", timeout=5)
    assert (former["role"], former["state"] in ("running", "streaming")) == ("replica", True), former
    assert (after.holder, health(after)[read.holder]) == (unit, True)
    db.thaw(displaced)


def _wal_receiver(member):
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"walreceiver" in path.read_bytes() and os.readlink(path.parent / "cwd") == str(member.data):
                return int(path.parent.name)
        except OSError:
            continue
    raise AssertionError(f"{member.name} does not stream")


def _write(cluster, unit):
    """Something for the others to lag behind by."""
    member = cluster[unit]
    cluster._as_user([str(cluster.bin / "psql"), f"host={member.home} port={member.port} user=postgres dbname=postgres", "-qc",
                      "CREATE TABLE IF NOT EXISTS filler AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)"])


def test_wrong_password_and_foreign_authority_are_told_as_what_they_are(cluster, tmp_path):
    wrong = tmp_path / "password"
    wrong.write_text("wrong", encoding="ascii")
    db = provider_of(cluster, password_file=str(wrong))
    with pytest.raises(Unreachable, match="does not let us in.*check username, password_file"):
        db.freeze({"pause": False})
    assert not cluster.paused()
    wrong.write_text(cluster.password_file.read_text(encoding="ascii"), encoding="ascii")
    assert db.freeze({"pause": False}).frozen, "a new password takes effect at once"
    db.thaw({"pause": False})
    stranger = provider_of(cluster, ca_file=str(Certificates(tmp_path / "stranger").ca))
    with pytest.raises(Unreachable, match="certificate verify failed"):
        stranger.read()


def test_leader_that_is_none_of_the_members_given_is_not_taken_for_no_leader(cluster):
    leads = cluster.leading_unit()
    members = {member.unit: member.url for member in cluster.members if member.unit != leads}
    with pytest.raises(Unreachable, match="none of the members given here"):
        provider_of(cluster, members=members).read()
