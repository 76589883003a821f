"""The same cluster with its leadership handed over, and with a machine whose PostgreSQL does not come back on trixie.

First run: m2 cannot start PostgreSQL on trixie, is rolled back by its watcher, and the application halts; the rest of the fleet, m4 with
an application of its own, goes on. Then a person repairs m2, and the second run takes the cluster to its end.
"""

from __future__ import annotations

import pytest

from tests.fleet import ending

from .clustered import DOWNTIME, cluster, play, tell_downtime

# What a site's provisioning leaves behind: as soon as the machine is trixie, PostgreSQL is told to load what is not there.
SITE = """#!/bin/sh
grep -q trixie /etc/os-release || exit 0
sed -i 's/"bin_dir"/"parameters": {"shared_preload_libraries": "site_audit"}, "bin_dir"/' /etc/patroni/config.yml
"""
DROP_IN = "[Service]\nExecStartPre=+/bin/sh /etc/patroni/site.sh\n"


@pytest.fixture(name="handed", scope="module")
def _handed():
    yield from cluster("patroni-handover", "handover", 4)


@pytest.fixture(name="halted", scope="module")
def _halted(handed):
    machine = handed[0].fleet["m2"]
    machine.ssh("cat >/etc/patroni/site.sh", stdin=SITE)
    machine.ssh("install -D -m 644 /dev/stdin /etc/systemd/system/patroni.service.d/site.conf && systemctl daemon-reload", stdin=DROP_IN)
    return play(*handed, "halted", "upgrade_series")


@pytest.fixture(name="meanwhile", scope="module")
def _meanwhile(handed, halted):    # pylint: disable=unused-argument
    """What the cluster is like while it waits for the person: (GET /cluster, lease)."""
    run = handed[0]
    run.cluster.until(run.cluster.whole, "every member to be well again")
    return run.cluster.cluster(), run.endpoint.leases()["db"]


@pytest.fixture(name="finished", scope="module")
def _finished(handed, meanwhile):    # pylint: disable=unused-argument
    handed[0].fleet["m2"].ssh("rm /etc/systemd/system/patroni.service.d/site.conf && systemctl daemon-reload")
    return play(*handed, "finished", "upgrade_series")


def test_the_watcher_notices_that_postgresql_does_not_come_back_and_takes_the_machine_back(halted):
    assert halted.series["m2"] == "bookworm", ending(halted.done)
    assert halted.after["m2"] != halted.before["m2"]
    assert "pg2: PostgreSQL runs under Patroni" in halted.done.stdout, "the reason is the check that failed"


def test_the_application_halts_and_the_rest_of_the_fleet_goes_on(halted):
    assert halted.done.returncode != 0
    assert halted.series == {"m1": "bookworm", "m2": "bookworm", "m3": "bookworm", "m4": "trixie"}, ending(halted.done)
    assert {name: halted.after[name] == halted.before[name] for name in ("m1", "m3")} == {"m1": True, "m3": True}, "they were not touched"
    assert "m2" in halted.done.stdout.split("What to do next:")[1], "the report names the machine to look at"


def test_the_halted_cluster_stays_pinned_whole_and_led_as_before(halted, meanwhile):
    said, lease = meanwhile
    assert [pin["application"] for pin in halted.pins] == ["db"]
    assert said["pause"] and lease["holder"] == "pg1"
    assert halted.leaders == [("pg1", 1)]


def test_after_the_repair_the_second_run_takes_every_machine_to_trixie(finished):
    assert finished.done.returncode == 0, ending(finished.done)
    assert set(finished.series.values()) == {"trixie"}
    assert finished.after["m4"] == finished.before["m4"], "m4 was there already and must be left alone"
    assert (finished.pins, finished.paused) == ([], False)


def test_leadership_changes_once_as_asked_for_and_never_by_itself(handed, finished):
    holders = [holder for holder, term in finished.leaders]
    assert len(holders) == 2 and holders[0] == "pg1", finished.leaders
    assert finished.leaders[1][1] == finished.leaders[0][1] + 1, "one timeline more"
    address = {member: machine.ip for member, machine in handed[0].cluster.members.items()}
    assert handed[1].leaders() == [(address[holder], timeline) for holder, timeline in finished.leaders], "every acknowledged write says the same"


def test_no_acknowledged_write_is_lost(handed, finished):    # pylint: disable=unused-argument
    assert handed[1].lost() == {"pg1": [], "pg2": [], "pg3": []}


def test_writes_pause_only_while_the_leadership_is_handed_over(handed, finished, record_property):    # pylint: disable=unused-argument
    outages = tell_downtime("handover", handed[1], record_property)
    assert all(outage.seconds < DOWNTIME for outage in outages)
