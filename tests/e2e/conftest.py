"""Fleets for the end-to-end tests: real machines, an endpoint with TLS, two native applications."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from tests.fleet import Controller, Endpoint, NativeFleet
from tests.testbed import Fleet

# The operator's own idea of health, on every machine: a machine with the file is ill as soon as it runs trixie.
ILL = "/srv/data/ill-on-trixie"
CHECK = {"name": "{{ inventory_hostname }} is not ill", "kind": "command", "command": f"test ! -e {ILL} || ! grep -q trixie /etc/os-release"}


def _native(name: str, image: str):
    with Fleet.up(f"{name}-{os.getpid()}", machines=3, image=image, owner=os.getpid()) as fleet:
        native = NativeFleet(fleet, Endpoint(fleet).start(), series_upgrade_checks=[CHECK])
        try:
            yield native.install()
        finally:
            keep_logs(native)


def keep_logs(native: Controller) -> None:
    """With LEASEHOLD_KEEP_LOGS=DIRECTORY, what the machines say of themselves outlives them."""
    keep = os.environ.get("LEASEHOLD_KEEP_LOGS")
    if not keep:
        return
    place = pathlib.Path(keep, native.fleet.name)
    place.mkdir(parents=True, exist_ok=True)
    seen = [found for home in (native.endpoint.home, native.fleet.state / "patroni") for found in home.glob("*.jsonl")]
    for said in [*native.fleet.state.glob("*.log"), *seen, native.endpoint.home / "log"]:
        shutil.copy(said, place)
    for report in (native.fleet.state / "reports").glob("*.*"):
        shutil.copy(report, place)
    for machine in native.fleet.machines:
        shutil.copy(native.fleet.state / machine.name / "console", place / f"{machine.name}.console")
        record = "cd /var/lib/series-upgrade && find . -name '*.json*' -o -type f -path '*/log/*' | xargs tail -n +1"
        said = machine.ssh(f"journalctl --no-pager; {record}", check=False)
        (place / f"{machine.name}.journal").write_text(said.stdout, encoding="utf-8")


@pytest.fixture(name="bookworm", scope="module")
def _bookworm():
    yield from _native("bookworm", "bookworm")


@pytest.fixture(name="two_series", scope="module")
def _two_series():
    yield from _native("two-series", "two-series")
