# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures for Prometheus, read from the ledger at the moment they are asked for."""

from __future__ import annotations

from typing import Iterator

from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lease_endpoint.broker import Broker


class _State(Collector):
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = self._broker.everything()
        term = GaugeMetricFamily("lease_term", "Number of the leadership period", labels=["application"])
        held = GaugeMetricFamily("lease_held", "1 when somebody holds the lease", labels=["application"])
        overdue = GaugeMetricFamily("lease_overdue", "1 when the holder is kept by a pin only", labels=["application"])
        pins = GaugeMetricFamily("lease_pins", "Living pins", labels=["application"])
        halted = GaugeMetricFamily("lease_halted", "1 when a pin lapsed and nobody has cleared that", labels=["application"])
        unreadable = GaugeMetricFamily("lease_unreadable", "1 when its leadership lives elsewhere and cannot be read; it then has no other figure of it",
                                       labels=["application"])
        frozen = GaugeMetricFamily("lease_frozen", "1 when leadership elsewhere is frozen", labels=["application"])
        owed = GaugeMetricFamily("lease_thaw_owed", "1 when leadership elsewhere is to be thawed and is not yet", labels=["application"])
        tries = GaugeMetricFamily("lease_freeze_tries", "Freezes or thaws in vain since the last success", labels=["application"])
        for lease in state["leases"]:
            labels = [lease["application"]]
            unreadable.add_metric(labels, "unreadable" in lease)
            if "unreadable" not in lease:
                term.add_metric(labels, lease["term"])
                held.add_metric(labels, lease["holder"] is not None)
                overdue.add_metric(labels, lease["overdue"])
            freeze = lease["freeze"]
            frozen.add_metric(labels, freeze is not None and freeze["wanted"] and freeze["confirmed"])
            owed.add_metric(labels, freeze is not None and not freeze["wanted"])
            tries.add_metric(labels, freeze["tries"] if freeze else 0)
            pins.add_metric(labels, len(lease["pins"]))
            halted.add_metric(labels, lease["halted"] is not None)
        yield from (term, held, overdue, pins, halted, unreadable, frozen, owed, tries)


class Metrics:
    """The registry of one app, so that two apps in one process do not meet."""

    def __init__(self, broker: Broker) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._refusals = Counter("lease_refusals", "Answers that were not yes", ["path", "kind"], registry=self._registry)
        self._state = _State(broker)

    def refused(self, path: str, kind: str) -> None:
        self._refusals.labels(path, kind).inc()

    def page(self) -> Response:
        """Raises when the state cannot be read: a missing figure must not look like a zero."""
        now = CollectorRegistry(auto_describe=False)
        now.register(self._state)
        return Response(generate_latest(now) + generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
