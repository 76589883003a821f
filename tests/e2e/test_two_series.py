"""What needs many upgrades and no real archive: machines whose series differ by four small packages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet import Sampler, changes


@pytest.fixture(name="unpinned", scope="module")
def _unpinned(two_series):
    """A whole run that pins nothing."""
    with Sampler(two_series.endpoint, "unpinned", every=0.5) as seen:
        done = two_series.play("upgrade_series", "-e", "{series_upgrade_pin: false}")
    print(done.stdout)
    return done, seen


def test_without_pins_leadership_changes(two_series, unpinned):
    """So that the other tests' "no change" means something: their onlooker would see one."""
    done, seen = unpinned
    assert done.returncode == 0, done.stdout
    assert set(two_series.series().values()) == {"trixie"}, done.stdout
    assert any(changes(seen.history(application)) for application in ("db", "cache"))


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
    assert done.returncode == 0, done.stdout
    assert set(two_series.series().values()) == {"bookworm"}
    for application in ("db", "cache"):
        assert changes(seen.history(application)) == []
        assert any(pinned for _time, _holder, _term, pinned in seen.history(application))


def test_a_power_cut_in_the_middle_of_an_upgrade_costs_a_rerun_at_most(two_series, back):    # pylint: disable=unused-argument
    victim = two_series.fleet["m2"]

    def upgrading() -> bool:
        said = victim.ssh("python3 /var/lib/series-upgrade/watcher.pyz status", check=False).stdout
        return "UPGRADING" in said and any(phase in said for phase in ("download", "full-upgrade"))

    with Sampler(two_series.endpoint, "power-cut", every=0.5) as seen, ThreadPoolExecutor(1) as pool:
        run = pool.submit(two_series.play, "upgrade_series")
        two_series.until(lambda: run.done() or upgrading(), "m2 is upgrading", 300)
        victim.cut_power()
        print(run.result().stdout)
        rerun = two_series.play("upgrade_series")
    assert rerun.returncode == 0, rerun.stdout
    assert set(two_series.series().values()) == {"trixie"}
    for application in ("db", "cache"):
        assert changes(seen.history(application)) == []
    assert two_series.endpoint.ask("/v1/pins")["pins"] == []
