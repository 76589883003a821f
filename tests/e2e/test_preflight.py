"""The preflight on a real machine: what it foretells is what happens, it leaves no trace, and what it offers to repair is repaired."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from tests.fleet import Endpoint, NativeFleet, ending
from tests.fleet.controller import ANSIBLE
from tests.testbed import Fleet

ACCEPTED = [{"id": "no_snapshot", "reason": "it is a test"}]
# Everything that may differ because somebody has logged in, and what the machine writes by itself.
RESTLESS = "/proc /sys /run /dev /tmp /var/tmp /var/log /root /.btrfs /srv /var/lib/systemd /var/lib/private"
TREE = "find / -xdev %s -printf '%%p %%y %%m %%U:%%G %%s %%T@ %%l\\n' | sort" % " ".join(f"-path {place} -prune -o" for place in RESTLESS.split())
OTHER = "http://10.77.0.1:3142/nosuch"
# A package that cannot be configured while /etc/not-yet is there, and one of which only its configuration will be left.
SEED = """set -e
mkdir -p /tmp/seed/{late,gone}/DEBIAN /tmp/seed/gone/etc
printf 'Package: late\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@localhost>\\nDescription: t\\n' >/tmp/seed/late/DEBIAN/control
printf '#!/bin/sh\\n! test -e /etc/not-yet\\n' >/tmp/seed/late/DEBIAN/postinst
chmod 755 /tmp/seed/late/DEBIAN/postinst
sed s/late/gone/ /tmp/seed/late/DEBIAN/control >/tmp/seed/gone/DEBIAN/control
echo /etc/gone.conf >/tmp/seed/gone/DEBIAN/conffiles; echo x >/tmp/seed/gone/etc/gone.conf
dpkg-deb --build /tmp/seed/gone /tmp/gone.deb; dpkg-deb --build /tmp/seed/late /tmp/late.deb
dpkg --install /tmp/gone.deb; dpkg --remove gone
touch /etc/not-yet; dpkg --install /tmp/late.deb && exit 1; rm /etc/not-yet
apt-mark hold two-series-lib
echo 'series=mine' >/etc/two-series/app.conf
echo 'vm.swappiness=10' >/etc/sysctl.conf
echo 'deb %s bookworm main' >/etc/apt/sources.list.d/other.list
""" % OTHER
REPAIRED = {"dpkg_broken", "held", "residual", "source_disabled", "sysctl_conf"}


@pytest.fixture(name="native", scope="module")
def _native(tmp_path_factory):
    with Fleet.up(f"preflight-{os.getpid()}", machines=1, image="two-series", owner=os.getpid()) as fleet:
        reports = tmp_path_factory.mktemp("reports")
        yield NativeFleet(fleet, Endpoint(fleet).start(), series_upgrade_report_dir=str(reports), series_upgrade_accepted_findings=ACCEPTED).install()


def report(native) -> dict:
    """Return what the last preflight has kept."""
    return json.loads(pathlib.Path(native.variables["series_upgrade_report_dir"], "to-trixie-preflight.json").read_text(encoding="utf-8"))


def found(native) -> dict:
    """Return {id: finding} of the last preflight."""
    return {finding["id"]: finding for finding in report(native)["findings"]}


def look(native, *words: str) -> subprocess.CompletedProcess:
    done = native.play("preflight", *words)
    print(done.stdout)
    return done


@pytest.fixture(name="seeded", scope="module")
def _seeded(native):
    native.fleet["m1"].ssh(f"bash -c {shlex.quote(SEED)}")
    return look(native)


def test_what_was_broken_is_found_and_forbids_the_upgrade(native, seeded):
    assert seeded.returncode != 0
    assert REPAIRED <= set(found(native)), ending(seeded)
    assert "NOT READY" in seeded.stdout and "held" in seeded.stdout
    assert report(native)["machines"]["m1"]["state"] == "blocked"


def test_the_target_is_foretold_without_a_trace_of_it_on_the_machine(native, seeded):    # pylint: disable=unused-argument
    told = found(native)
    assert [entry["file"] for entry in told["conffile_conflict"]["data"]["files"]] == ["/etc/two-series/app.conf"]
    assert told["source_follows"]["data"]["has_target"] is False
    assert told["predicted"]["data"]["download_mb"] == 0    # four packages of a few hundred bytes
    assert native.fleet["m1"].ssh("find /var/tmp /tmp /run -maxdepth 1 -name series-upgrade-preflight-\\*").stdout == ""


@pytest.fixture(name="repaired", scope="module")
def _repaired(native, seeded):    # pylint: disable=unused-argument
    playbook = pathlib.Path(native.variables["series_upgrade_report_dir"], "to-trixie-preflight-repair.yml")
    command = [f"{ANSIBLE}-playbook", "-i", str(native.fleet.inventory_path), "-i", str(native.inventory), str(playbook)]
    done = native.fleet.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=native.env)
    print(playbook.read_text(encoding="utf-8"), done.stdout)
    assert done.returncode == 0, ending(done)
    return look(native)


def test_the_repairs_it_wrote_leave_nothing_that_forbids_the_upgrade(native, repaired):
    assert repaired.returncode == 0, ending(repaired)
    assert not REPAIRED & set(found(native))
    assert report(native)["ready"] is True
    assert "swappiness=10" in native.fleet["m1"].ssh("cat /etc/sysctl.d/98-from-sysctl-conf.conf").stdout


def test_check_of_the_whole_run_shows_the_report_and_changes_nothing(native, repaired):    # pylint: disable=unused-argument
    before, book = native.fleet["m1"].ssh(TREE).stdout, report(native)
    done = native.play("upgrade_series", "--check")
    print(done.stdout)
    assert done.returncode == 0, ending(done)
    assert re.search(r"Preflight to trixie: 1 machine, .*: ready", done.stdout)
    assert native.fleet["m1"].ssh(TREE).stdout == before
    assert report(native) == book
    assert native.endpoint.ask("/v1/pins")["pins"] == []


def test_a_mirror_that_cannot_be_reached_is_not_predicted_and_never_no(native, repaired):    # pylint: disable=unused-argument
    machine = native.fleet["m1"]
    machine.ssh("cp -a /etc/apt /tmp/apt-before; sed -i s/:3142/:9/ /etc/apt/sources.list $(find /etc/apt/sources.list.d -type f)")
    try:
        done = look(native)
    finally:
        machine.ssh("rm -r /etc/apt; mv /tmp/apt-before /etc/apt")
    told = found(native)
    assert done.returncode == 0, ending(done)
    assert "predicted" not in told
    assert "could not be predicted" in told["not_predicted"]["what"] and told["not_predicted"]["severity"] == "warning"


def test_packages_are_fetched_beforehand_when_that_is_asked_for_and_never_by_a_check(native, repaired):    # pylint: disable=unused-argument
    fetch = ("-e", "{preflight_fetch: true}")

    def kept() -> set:
        return {path.split("_")[0] for path in native.fleet["m1"].ssh("cd /var/cache/apt/archives; ls").stdout.split() if path.endswith(".deb")}

    before = kept()
    assert look(native, "--check", *fetch).returncode == 0 and kept() == before
    assert look(native, *fetch).returncode == 0
    told = found(native)["predicted"]
    assert told["what"].endswith("have been fetched.") and "to fetch" not in told["what"]
    assert kept() - before >= set(told["data"]["new"]) and kept() > before


def test_the_upgrade_does_what_was_foretold(native, repaired):    # pylint: disable=unused-argument
    assert look(native).returncode == 0
    told = found(native)
    shown = "dpkg-query --show --showformat '${Package} ${Version}\\n'"
    before = set(native.fleet["m1"].ssh(shown).stdout.splitlines())
    done = native.play("upgrade_series")
    print(done.stdout)
    assert done.returncode == 0, ending(done)
    after = set(native.fleet["m1"].ssh(shown).stdout.splitlines())
    changed = {line.split()[0] for line in after - before}
    assert len(changed) == told["predicted"]["data"]["upgraded"] + len(told["predicted"]["data"]["new"])
    assert {line.split()[0] for line in before} - {line.split()[0] for line in after} == set(told["predicted"]["data"]["removed"])
    beside = native.fleet["m1"].ssh("find /etc -name '*.dpkg-dist'").stdout.split()
    assert beside == [entry["file"] + ".dpkg-dist" for entry in told["conffile_conflict"]["data"]["files"]]
