# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The method ubuntu against a double of do-release-upgrade (fake_upgrader.py). No test here has seen Ubuntu's archive."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import types

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import apt, methods, quiet, report, spare_ssh, ubuntu
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result, StepFailed

FAKE = pathlib.Path(__file__).with_name("fake_upgrader.py")
SOURCES = "deb http://archive.ubuntu.com/ubuntu jammy main\ndeb http://security.ubuntu.com/ubuntu jammy-security main\n"


@pytest.fixture(name="etc")
def _etc(tmp_path):
    place = tmp_path / "root" / "etc"
    (place / "apt/sources.list.d").mkdir(parents=True)
    (place / "update-manager").mkdir()
    (place / "update-manager/release-upgrades").write_text("# ours\n[DEFAULT]\nPrompt=never\n", encoding="ascii")
    (place / "apt/sources.list").write_text(SOURCES, encoding="ascii")
    (place / "apt/sources.list.d/pgdg.list").write_text("deb https://apt.example.org/pub jammy-pgdg main\n", encoding="ascii")
    (place / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=jammy\nVERSION_ID=22.04\n", encoding="ascii")
    return place


@pytest.fixture(name="machine")
def _machine(context, etc, tmp_path):
    """make(mode, **options) is the method on a machine whose upgrader behaves so; context is the machine."""
    state = types.SimpleNamespace(mode="well", environments=[])

    def upgrader(argv, env):
        state.environments.append(dict(env or {}))
        return subprocess.run([sys.executable, str(FAKE), str(etc), state.mode, *argv[1:]], stdout=subprocess.PIPE, text=True, check=False)

    plain_call, plain_run = context.call, context.run

    def call(argv, log, on_line=None, env=None):
        if argv[0] != ubuntu.UPGRADER:
            return plain_call(argv, log, on_line, env)
        done = upgrader(argv, env)
        context.calls.append(" ".join(argv))
        for line in done.stdout.splitlines():
            on_line(line)
        return done.returncode

    def run(argv, timeout=60, env=None):
        if argv[0] != ubuntu.UPGRADER:
            return plain_run(argv, timeout, env)
        done = upgrader(argv, env)
        return Result(done.returncode, done.stdout, "")

    context.call, context.run = call, run
    context.answers = [("dpkg-query", 0, "installed openssh-server\ninstalled python3\n")]
    still = quiet.Quiet(policy=str(tmp_path / "policy-rc.d"), booted=str(tmp_path / "no-systemd"))

    def make(mode="well", **options):
        state.mode = mode
        boots = options.pop("boots", None) or (lambda: "boot-1")
        spec = {"source_series": "jammy", "target_series": "noble", "series_file": str(etc / "os-release"), "ubuntu": options}
        return ubuntu.Ubuntu(spec, types.SimpleNamespace(state_dir=str(tmp_path / "state")), run_boot_id=boots, apt=apt.Apt(held_by=lambda path: None),
                             quiet=still, etc=str(etc), spare=spare_ssh.Spare(None))

    make.state = state
    return make


def phase(method, name):
    return next(item for item in method.phases if item.name == name)


def up_to(method, context, last):
    for item in method.phases:
        item.run(context)
        if item.name == last:
            return


def test_double_whole_upgrade_goes_through_and_leaves_settings_and_policy_as_they_were(machine, context, etc, tmp_path):
    method = machine()
    up_to(method, context, "prove")
    assert "ubuntu" in (etc / "os-release").read_text(encoding="ascii") and not (tmp_path / "policy-rc.d").exists()
    assert (etc / "update-manager/release-upgrades").read_text(encoding="ascii") == "# ours\n[DEFAULT]\nPrompt=never\n"
    assert not list((etc / "update-manager").rglob("series-upgrade*"))
    assert "do-release-upgrade -f DistUpgradeViewNonInteractive -m server" in context.calls
    assert (100.0, "fetching") in context.told
    assert report.told(context, "sources")[0]["action"] == "disabled"


def test_double_upgrader_is_told_neither_to_reboot_nor_to_remove_nor_to_ask_and_to_offer_long_term_releases_alone(machine, context, etc):
    method = machine(silence=600)
    up_to(method, context, "offered")
    override = (etc / "update-manager/release-upgrades.d/series-upgrade.cfg").read_text(encoding="ascii")
    assert "RealReboot=no" in override and "TerminalTimeout=600" in override and "RemoveObsoletes=no" in override
    assert "Prompt=lts" in (etc / "update-manager/release-upgrades").read_text(encoding="ascii")
    phase(method, "release-upgrade").run(context)
    environment = machine.state.environments[-1]
    assert (environment["DEBIAN_FRONTEND"], environment["RELEASE_UPGRADER_NO_SCREEN"], environment["NEEDRESTART_SUSPEND"]) == ("noninteractive", "1", "1")
    assert environment["SERIES_UPGRADE_ID"] == "to-trixie-1"


def test_double_nothing_before_the_upgrader_is_irreversible_and_all_of_it_is_undone(machine, context, etc):
    before = {path: path.read_bytes() for path in etc.rglob("*") if path.is_file()}
    method = machine()
    assert [item.name for item in method.phases if item.irreversible] == ["release-upgrade", "finish", "conffiles", "others", "release", "prove"]
    up_to(method, context, "preseed")
    for dummy in range(2):
        for item in reversed(method.phases):
            if item.undo is not None:
                item.undo(context)
        method.thaw(context)
    assert {path: path.read_bytes() for path in etc.rglob("*") if path.is_file()} == before


def test_double_updates_that_wait_are_refused_before_anything_is_changed(machine, context):
    context.answers.insert(0, ("--simulate dist-upgrade", 0, "Inst tzdata [2024a] (2025b Ubuntu:22.04/jammy-updates [all])\nConf tzdata\n"))
    with pytest.raises(StepFailed, match=r"1 updates of this release wait to be installed \(tzdata\). Install them"):
        up_to(machine(), context, "current")


@pytest.mark.parametrize("mode, said", [
    ("not-offered", "noble is not offered yet: long-term releases follow with their first point release"),
    ("never", "Who sets it back"),
    ("unreachable", "noble could not be asked for: Ubuntu's server .* is not reached"),
    ("other", r"offers 23.10 and not noble \(24.04\)"),
])
def test_double_release_that_is_not_offered_is_refused_before_anything_is_changed(machine, context, mode, said):
    with pytest.raises(StepFailed, match=said):
        up_to(machine(mode), context, "offered")


def test_upgrader_that_is_not_installed_is_named(machine, context):
    plain = context.run
    context.run = lambda argv, **more: Result(127, "", "") if argv[0] == ubuntu.UPGRADER else plain(argv, **more)
    with pytest.raises(StepFailed, match="install ubuntu-release-upgrader-core"):
        up_to(machine(), context, "offered")


@pytest.mark.parametrize("mode, said", [
    ("not-fetched", "do-release-upgrade has refused: Fetching the upgrade failed. There may be a network problem. Nothing was upgraded .exit status 0."),
    ("not-current", "Updates of this release wait to be installed"),
    ("not-rebooted", "An update wants a reboot first"),
    ("dies", "Nothing was upgraded .exit status 1."),
])
def test_double_end_of_the_upgrader_proves_nothing_where_the_sources_have_not_moved(machine, context, mode, said):
    method = machine()
    up_to(method, context, "preseed")
    machine.state.mode = mode
    with pytest.raises(StepFailed, match=said):
        phase(method, "release-upgrade").run(context)


def test_double_upgrader_that_fails_late_is_finished_by_apt(machine, context):
    method = machine("fails-late")
    up_to(method, context, "finish")
    assert (None, "do-release-upgrade ended with status 1; going on with what it has left") in context.told
    assert [line.split("Acquire::Retries=3 ")[1] for line in context.calls if "apt-get" in line][-2:] == ["update", "full-upgrade"]


def test_double_upgrader_that_a_reboot_has_cut_off_is_not_begun_again_but_finished(machine, context):
    boots = iter(["boot-1", "boot-2"])
    method = machine(boots=lambda: next(boots))
    up_to(method, context, "release-upgrade")
    phase(method, "release-upgrade").run(context)
    assert len([line for line in context.calls if line.startswith("do-release-upgrade")]) == 1


def test_double_upgrader_that_a_reboot_has_cut_off_before_it_had_begun_is_begun_again(machine, context):
    boots = iter(["boot-1", "boot-2"])
    method = machine(boots=lambda: next(boots))
    up_to(method, context, "preseed")
    machine.state.mode = "dies"
    with pytest.raises(StepFailed):
        phase(method, "release-upgrade").run(context)
    machine.state.mode = "well"
    phase(method, "release-upgrade").run(context)
    assert len([line for line in context.calls if line.startswith("do-release-upgrade")]) == 2


def test_double_source_of_others_is_switched_on_again_where_a_rule_says_so(machine, context, etc):
    method = machine(sources={"https://apt.example.org/*": "follow"})
    up_to(method, context, "prove")
    assert (etc / "apt/sources.list.d/pgdg.list").read_text(encoding="ascii") == "deb https://apt.example.org/pub noble-pgdg main\n"
    assert "Suites: noble noble-updates" in (etc / "apt/sources.list.d/ubuntu.sources").read_text(encoding="ascii")
    assert report.told(context, "sources") == [
        {"file": str(etc / "apt/sources.list.d/pgdg.list"), "uri": "https://apt.example.org/pub", "action": "moved", "why": "your rule says so"}]


def test_double_source_of_others_in_a_file_with_ubuntus_own_is_told_and_left(machine, context, etc):
    (etc / "apt/sources.list").write_text(SOURCES + "deb https://apt.example.org/x jammy main\n", encoding="ascii")
    up_to(machine(sources={"*": "follow"}), context, "prove")
    entry = next(entry for entry in report.told(context, "sources") if entry["uri"].endswith("/x"))
    assert entry["action"] == "disabled" and "switch it on by hand" in entry["why"]
    assert "moved to" in (etc / "apt/sources.list").read_text(encoding="ascii")


def test_double_package_that_must_stay_and_was_removed_fails_the_upgrade(machine, context):
    method = machine(protect=["freeradius"])
    context.answers = [("dpkg-query", 0, "installed openssh-server\ninstalled freeradius\n")]
    up_to(method, context, "release")
    context.answers = [("dpkg-query", 0, "installed openssh-server\n")]
    with pytest.raises(StepFailed, match="The upgrade has removed freeradius, which must stay"):
        phase(method, "prove").run(context)


def test_double_words_for_a_release_before_its_first_point_release_and_for_third_parties_are_passed_on(machine, context):
    method = machine(development=True, third_party=True)
    up_to(method, context, "release-upgrade")
    assert [line for line in context.calls if line.startswith("do-release")][0].endswith("-m server --devel-release --allow-third-party")


@pytest.mark.parametrize("options, said", [({"pins": []}, "series_upgrade_ubuntu has no option pins"), ({"development": "yes"}, "true or false, not 'yes'")])
def test_wrong_options_are_told_before_anything_is_armed(options, said):
    with pytest.raises(StepFailed, match=said):
        methods.method({"method": "ubuntu", "target_series": "noble", "ubuntu": options}, types.SimpleNamespace(state_dir="/nonexistent"))
