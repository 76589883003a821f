# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short histories under faults; `python -m tests.linear` runs long ones. The checker is shown to find bugs that are sown into the endpoint."""

from __future__ import annotations

import pytest

from tests.etcd import missing
from tests.linear.rounds import deposing, losing, of_replicated, of_single, replicated, single

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_history_over_three_replicas_is_linearizable_while_members_and_replicas_are_killed_stopped_and_cut_off(tmp_path, record_property):
    with replicated(tmp_path) as (etcd, replicas, wires):
        report = of_replicated(etcd, replicas, wires, "short", 1000, seed=1, peace=1.5, longest=60)
    record_property("history", str(report))
    assert not report.wrong, "\n".join(report.wrong)
    assert report.known > 100 and report.faults


def test_history_over_sqlite_is_linearizable_while_it_is_killed_its_disk_is_full_and_its_clock_steps(tmp_path, record_property):
    with single(tmp_path) as endpoint:
        report = of_single(endpoint, "short", 1000, seed=1, peace=0.5, longest=60)
    record_property("history", str(report))
    assert not report.wrong, "\n".join(report.wrong)
    assert report.known > 100 and report.faults


def test_checker_finds_lost_answers_of_a_replica_that_answers_before_etcd_has(tmp_path):
    with replicated(tmp_path, 2, bug="early") as (_etcd, replicas, _wires):
        urls = [replica.own_url for replica in replicas.all]

        def kill():
            replicas.active().kill()

        def restart():
            next(one for one in replicas.all if not one.running).start()

        assert any(losing(kill, restart, urls, replicas.admin, f"sown-{seed}", seed) for seed in range(4))


def test_checker_finds_stale_reads_of_a_replica_that_does_not_ask_for_its_seat(tmp_path):
    with replicated(tmp_path, 2, bug="stale") as (_etcd, replicas, _wires):
        assert any(deposing(replicas, f"sown-{seed}", seed) for seed in range(4))


def test_checker_finds_what_a_replica_writes_that_does_not_compare_its_seat(tmp_path):
    with replicated(tmp_path, 2, bug="twice") as (_etcd, replicas, _wires):
        assert any(deposing(replicas, f"sown-{seed}", seed, more=20) for seed in range(4))


@pytest.mark.parametrize("more", [0, 20])
def test_nothing_is_found_in_the_same_stories_without_a_bug(tmp_path, more):
    with replicated(tmp_path, 2) as (_etcd, replicas, _wires):
        assert deposing(replicas, "honest", 0, more) == []


def test_checker_finds_lost_answers_of_an_endpoint_that_answers_before_its_file_has(tmp_path):
    with single(tmp_path, bug="early") as endpoint:
        found = (losing(endpoint.kill, endpoint.start, [endpoint.url], endpoint.tokens["admin"], f"sown-{seed}", seed) for seed in range(4))
        assert any(found)
