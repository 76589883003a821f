"""A real Patroni cluster taken from bookworm to trixie under writes, its leader held: the three machines reboot, the timeline stays.

The client of this test writes all the time and keeps what was acknowledged on its own side; it is the oracle for what was lost.
"""

from __future__ import annotations

import pytest

from tests.fleet import ending

from .clustered import DOWNTIME, boots, cluster, play, tell_downtime


@pytest.fixture(name="held", scope="module")
def _held():
    yield from cluster("patroni-hold", "hold", 3)


@pytest.fixture(name="upgraded", scope="module")
def _upgraded(held):
    return play(*held, "upgraded", "upgrade_series")


@pytest.fixture(name="refused", scope="module")
def _refused(held, upgraded):     # pylint: disable=unused-argument
    """Somebody wants to go back when the last etcd member has gone."""
    return play(*held, "refused", "rollback", "-e", "series_upgrade_rollback=m2")


def test_every_machine_gets_to_trixie(upgraded):
    assert upgraded.done.returncode == 0, ending(upgraded.done)
    assert set(upgraded.series.values()) == {"trixie"}
    assert not set(upgraded.before.items()) & set(upgraded.after.items()), "every machine has rebooted"


def test_the_machine_of_the_leader_goes_last(upgraded):
    committed = [line.split(":")[0] for line in upgraded.done.stdout.splitlines() if ": COMMITTED" in line]
    assert list(dict.fromkeys(committed))[-1] == "m1"


def test_leader_and_timeline_stay_while_pinned(held, upgraded):
    assert upgraded.leaders == [("pg1", 1)]
    assert held[1].leaders() == [(held[0].fleet["m1"].ip, 1)], "every acknowledged write went to the one leader, on the one timeline"
    assert "db: unpinned, leadership changes while pinned: 0" in upgraded.done.stdout


def test_no_acknowledged_write_is_lost(held, upgraded):    # pylint: disable=unused-argument
    assert held[1].lost() == {"pg1": [], "pg2": [], "pg3": []}


def test_writes_pause_once_while_the_leader_reboots(held, upgraded, record_property):
    outages = [outage for outage in tell_downtime("hold", held[1], record_property) if outage.begin < upgraded.ended]
    assert outages and max(outage.seconds for outage in outages) < DOWNTIME


def test_the_cluster_runs_the_new_patroni_and_etcd_and_the_old_postgresql(held, upgraded):    # pylint: disable=unused-argument
    run = held[0]
    for machine in run.fleet.machines:
        said = machine.ssh("patroni --version; etcd --version; runuser -u postgres -- psql -qAtc 'SHOW server_version_num'").stdout
        assert "patroni 4.0" in said and "etcd Version: 3.5" in said and "\n15" in said, said
    assert run.cluster.etcd.whole()


def test_nothing_is_left_pinned_or_paused(upgraded):
    assert upgraded.pins == []
    assert not upgraded.paused


def test_a_rollback_beyond_the_last_etcd_member_is_refused_with_the_reason_and_touches_nothing(held, refused):
    assert refused.done.returncode != 0
    assert "no member of 3.4 joins" in " ".join(refused.done.stdout.split()), ending(refused.done)
    assert refused.before == refused.after == boots(held[0].fleet)
    assert set(refused.series.values()) == {"trixie"}
    assert not refused.paused


def test_the_oracle_would_have_seen_a_lost_write(held, refused):    # pylint: disable=unused-argument
    """Last of all: a row is taken away behind the client's back."""
    run, writer = held
    run.fleet["m1"].ssh("runuser -u postgres -- psql -qc 'DELETE FROM written WHERE id = 7'")
    assert writer.lost() == {"pg1": [7], "pg2": [7], "pg3": [7]}
