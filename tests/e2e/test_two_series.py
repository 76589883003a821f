"""What needs many upgrades and no real archive: machines whose series differ by four small packages."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet import Sampler, changes, ending, traces

FOLLOW = {"*/two-series*": "follow"}


def debian(**options) -> str:
    return json.dumps({"series_upgrade_pin": False, "series_upgrade_debian": {"sources": FOLLOW, **options}})


@pytest.fixture(name="aborted", scope="module")
def _aborted(two_series):
    """m3, whose upgrade fails at the last moment at which nothing has been changed, and what was to be seen there before and after."""
    machine = two_series.fleet["m3"]
    traces.set_up(machine)
    before = traces.read(machine)
    # A type that debconf does not know; it would only pass over it.
    done = two_series.play("upgrade_series", "-e", debian(preseed=["two-series-app two-series/question nosuchtype secret"]), "-e", "series_upgrade_scope=m3")
    print(done.stdout)
    return done, machine, before, traces.read(machine)


def test_failed_upgrade_puts_timers_policy_sources_answers_and_sshd_back_exactly(aborted):
    done, machine, before, after = aborted
    assert done.returncode != 0
    told = traces.report(machine)
    assert (told["state"], told["done"][-1]) == ("ABORTED", "download"), told
    assert told["reason"].startswith("debconf does not take all answers") and "secret" not in done.stdout
    assert told["spare_ssh"]["login"].startswith("Accepted publickey for root from 10.77.0.1")
    assert after == before


def test_packages_were_fetched_while_the_units_still_ran_and_nothing_was_left_to_fetch_after_the_drain(aborted):
    machine = aborted[1]
    assert traces.report(machine)["done"][:3] == ["fetch", "drain", "snapshot"]
    fetched, left = [line for line in machine.ssh("cat /var/lib/series-upgrade/log/upgrade.log").stdout.splitlines() if line.startswith("Need to get ")]
    assert not fetched.startswith("Need to get 0 B") and left.startswith("Need to get 0 B/"), (fetched, left)


def test_spare_sshd_lets_in_while_ssh_is_stopped_and_its_programs_and_settings_are_gone(aborted):
    machine = aborted[1]
    assert "'port': 1022" in traces.spare_sshd(machine, "start")
    gone = "systemctl stop ssh.socket ssh.service; mv /usr/sbin/sshd /usr/sbin/sshd.away; mv /etc/ssh/sshd_config /etc/ssh/sshd_config.away"
    back = "mv /usr/sbin/sshd.away /usr/sbin/sshd; mv /etc/ssh/sshd_config.away /etc/ssh/sshd_config; systemctl start ssh.service"
    assert traces.at_spare_port(machine, gone).returncode in (0, 5)     # 5: there is no ssh.socket
    try:
        assert machine.ssh("true", check=False).returncode == 255
        assert traces.at_spare_port(machine, "echo let in").stdout == "let in\n"
    finally:
        traces.at_spare_port(machine, back)
    traces.spare_sshd(machine, "stop")
    assert traces.at_spare_port(machine, "true").returncode == 255
    assert machine.ssh("systemctl cat ssh.service").stdout.count("RuntimeDirectoryPreserve") == 0


@pytest.fixture(name="unpinned", scope="module")
def _unpinned(two_series, aborted):    # pylint: disable=unused-argument
    """A whole run that pins nothing."""
    with Sampler(two_series.endpoint, "unpinned", every=0.5) as seen:
        done = two_series.play("upgrade_series", "-e", "{series_upgrade_pin: false}")
    print(done.stdout)
    return done, seen


def test_without_pins_leadership_changes(two_series, unpinned):
    """So that the other tests' "no change" means something: their onlooker would see one."""
    done, seen = unpinned
    assert done.returncode == 0, ending(done)
    assert set(two_series.series().values()) == {"trixie"}, ending(done)
    assert any(changes(seen.history(application)) for application in ("db", "cache"))


def test_upgrade_leaves_timers_and_policy_as_they_were_and_no_spare_sshd(two_series, aborted, unpinned):    # pylint: disable=unused-argument
    machine, before = aborted[1], aborted[2]
    kept = [line for line in before if not (".sources" in line or "/debconf/" in line or "sources.list" in line)]
    assert traces.read(machine, sources=False) == kept


def test_machine_tells_what_it_kept_who_came_in_and_that_it_is_whole(two_series, unpinned):    # pylint: disable=unused-argument
    told = traces.report(two_series.fleet["m3"])
    assert told["conffiles"] == [{"file": "/etc/two-series/app.conf", "kept": "yours", "beside": "/etc/two-series/app.conf.dpkg-dist"}]
    assert told["pins"] == ["/etc/apt/preferences.d/old.pref"]
    assert told["proof"] == {"release": "trixie", "rebooted": True, "failed_units": [], "dpkg_audit": ""}
    assert told["ssh"]["login"].startswith("Accepted publickey for root") and told["spare_ssh"]["login"].startswith("Accepted publickey for root")


@pytest.fixture(name="back", scope="module")
def _back(two_series, unpinned):    # pylint: disable=unused-argument
    """All machines rolled back, under pins. Leadership first goes back to where it does not pull m2 and m3 two ways."""
    two_series.hand_back()
    with Sampler(two_series.endpoint, "back", every=0.5) as seen:
        done = two_series.play("rollback", "-e", "series_upgrade_rollback=all")
    print(done.stdout)
    return done, seen


def test_all_machines_roll_back_under_pins_without_a_change(two_series, back):
    done, seen = back
    assert done.returncode == 0, ending(done)
    assert set(two_series.series().values()) == {"bookworm"}
    for application in ("db", "cache"):
        assert changes(seen.history(application)) == []
        assert any(pinned for _time, _holder, _term, pinned in seen.history(application))


def test_rollback_brings_back_timers_policy_and_pins_as_they_were(aborted, back):    # pylint: disable=unused-argument
    machine, before = aborted[1], aborted[2]
    assert traces.read(machine) == before


def test_a_power_cut_in_the_middle_of_a_hop_costs_a_rerun_at_most_and_the_next_hop_follows(two_series, back):    # pylint: disable=unused-argument
    victim = two_series.fleet["m2"]
    take_new = json.dumps({"series_upgrade_hops": ["trixie", "forky"], "series_upgrade_debian": {"sources": FOLLOW, "conffiles": {"/etc/two-series/*": "new"}}})

    def upgrading() -> bool:
        said = victim.ssh("python3 /var/lib/series-upgrade/watcher.pyz status", check=False).stdout
        return "UPGRADING" in said and any(phase in said for phase in ("download", "full-upgrade"))

    with Sampler(two_series.endpoint, "power-cut", every=0.5) as seen, ThreadPoolExecutor(1) as pool:
        run = pool.submit(two_series.play, "upgrade_series", "-e", take_new)
        two_series.until(lambda: run.done() or upgrading(), "m2 is upgrading", 300)
        victim.cut_power()
        print(run.result().stdout)
        # The same run goes on, and the next hop after it.
        rerun = two_series.play("upgrade_hops", "-e", take_new)
    assert rerun.returncode == 0, ending(rerun)
    assert "Hop 2 of 2: to forky (m1, m2, m3)." in rerun.stdout
    assert set(two_series.series().values()) == {"forky"}
    for application in ("db", "cache"):
        assert changes(seen.history(application)) == []
    assert two_series.endpoint.ask("/v1/pins")["pins"] == []
    config = two_series.fleet["m1"].ssh("cat /etc/two-series/app.conf /etc/two-series/app.conf.dpkg-old").stdout
    assert config == "series=14\nseries=12\nlocal=yes\n"
