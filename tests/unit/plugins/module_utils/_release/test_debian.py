# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import apt, debian, methods, quiet
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed

SOURCES = "deb http://mirror.debian.org/debian bookworm main\ndeb http://apt.example.com/x bookworm main\n"


@pytest.fixture
def etc(tmp_path):
    place = tmp_path / "etc"
    (place / "apt" / "sources.list.d").mkdir(parents=True)
    (place / "apt" / "sources.list").write_text(SOURCES, encoding="ascii")
    (place / "apt" / "sources.list").chmod(0o640)
    own = "Types: deb\nURIs: http://mirror.debian.org/debian-security\nSuites: bookworm-security\n"
    (place / "apt" / "sources.list.d" / "own.sources").write_text(own, encoding="ascii")
    (place / "apt" / "sources.list.d" / "own.sources.bak").write_text("deb http://x bookworm main\n", encoding="ascii")
    (place / "os-release").write_text("VERSION_CODENAME=bookworm\n", encoding="ascii")
    return place


@pytest.fixture
def made(etc, tmp_path):
    def make(**options):
        spec = {"source_series": "bookworm", "target_series": "trixie", "series_file": str(etc / "os-release"), "debian": options}
        still = quiet.Quiet(policy=str(tmp_path / "policy-rc.d"), booted=str(tmp_path / "no-systemd"))
        return debian.Debian(spec, apt=apt.Apt(held_by=lambda path: None), quiet=still, etc=str(etc))

    return make


def phase(method, name):
    return next(item for item in method.phases if item.name == name)


def whole_upgrade(context, etc, method):
    def settle(argv):
        if argv[-1] == "full-upgrade" and "--download-only" not in argv:
            (etc / "os-release").write_text("VERSION_CODENAME=trixie\n", encoding="ascii")

    context.on_call = settle
    context.answers.append(("indextargets", 0, "trixie trixie\n"))
    for item in method.phases:
        item.run(context)


def test_phases_follow_the_release_notes_and_nothing_before_the_packages_is_irreversible(made):
    phases = made().phases
    assert [item.name for item in phases] == [
        "backup", "quiet", "sources", "update", "download", "upgrade", "full-upgrade", "release", "prove"]
    assert [item.irreversible for item in phases] == [False] * 5 + [True] * 4


def test_whole_upgrade_runs_in_two_steps_and_leaves_no_trace_of_its_quiet(made, context, etc, tmp_path):
    whole_upgrade(context, etc, made())
    asked = [line.split("Acquire::Retries=3 ")[1] for line in context.calls]
    assert asked == ["update", "--download-only full-upgrade", "upgrade --without-new-pkgs", "full-upgrade"]
    assert not (tmp_path / "policy-rc.d").exists()
    assert "trixie main\n# disabled" in (etc / "apt" / "sources.list").read_text(encoding="ascii")
    assert (etc / "apt" / "sources.list").stat().st_mode & 0o777 == 0o640
    assert "trixie-security" in (etc / "apt" / "sources.list.d" / "own.sources").read_text(encoding="ascii")
    assert "bookworm" in (etc / "apt" / "sources.list.d" / "own.sources.bak").read_text(encoding="ascii")


def test_every_phase_may_run_twice(made, context, etc):
    method = made()
    context.answers.append(("indextargets", 0, "trixie trixie\n"))
    for item in method.phases[:-1]:
        item.run(context)
        item.run(context)
    assert (etc / "apt" / "sources.list").read_text(encoding="ascii").count("# disabled") == 1


def test_aborting_puts_sources_and_policy_back_byte_for_byte(made, context, etc, tmp_path):
    before = {path: path.read_bytes() for path in (etc / "apt").rglob("*") if path.is_file()}
    method = made()
    for item in method.phases[:3]:
        item.run(context)
    for _twice in range(2):
        for item in reversed(method.phases):
            if item.undo is not None:
                item.undo(context)
        method.thaw(context)
    assert {path: path.read_bytes() for path in (etc / "apt").rglob("*") if path.is_file()} == before
    assert not (tmp_path / "policy-rc.d").exists()
    assert len([line for line in context.runs if line.endswith(" update")]) == 1


def test_no_source_of_the_target_stops_before_anything_is_written(made, context, etc):
    (etc / "apt" / "sources.list.d" / "own.sources").unlink()
    (etc / "apt" / "sources.list").write_text("deb http://apt.example.com/x bookworm main\n", encoding="ascii")
    with pytest.raises(StepFailed, match="No apt source of this machine leads to trixie. Say in series_upgrade_debian.sources"):
        phase(made(), "sources").run(context)
    assert "disabled" not in (etc / "apt" / "sources.list").read_text(encoding="ascii")
    phase(made(sources={"*": "follow"}), "sources").run(context)
    assert (etc / "apt" / "sources.list").read_text(encoding="ascii") == "deb http://apt.example.com/x trixie main\n"


def test_lists_without_the_target_are_a_failure(made, context):
    context.answers = [("indextargets", 0, "bookworm bookworm\n")]
    with pytest.raises(StepFailed, match="none of trixie is among them"):
        phase(made(), "update").run(context)


@pytest.mark.parametrize("lost, protect", [("openssh-server", []), ("postgresql-15", ["postgresql*"]), ("sudo:amd64", [])])
def test_upgrade_that_would_remove_what_must_stay_is_stopped_before_it_begins(made, context, lost, protect):
    context.answers = [("--simulate", 0, "Remv %s [1]\nRemv libssl3 [3]\n" % lost)]
    with pytest.raises(StepFailed, match="would remove %s, which must stay" % lost):
        phase(made(protect=protect), "download").run(context)
    assert context.calls == []


def test_removals_that_are_usual_are_told(made, context):
    context.answers = [("--simulate", 0, "Remv libssl3 [3]\n")]
    phase(made(), "download").run(context)
    assert (None, "to be removed on the way: libssl3") in context.told


def test_machine_that_does_not_show_the_target_is_not_proved(made, context):
    with pytest.raises(StepFailed, match="still says bookworm and not trixie"):
        phase(made(), "prove").run(context)


def test_machine_with_broken_packages_is_not_proved(made, context, etc):
    (etc / "os-release").write_text("VERSION_CODENAME=trixie\n", encoding="ascii")
    context.answers = [("dpkg --audit", 0, "The following packages are only half configured:\n app\n")]
    with pytest.raises(StepFailed, match="dpkg is not content: The following packages are only half configured: app"):
        phase(made(), "prove").run(context)


def test_kept_configuration_files_are_told(made, context, etc):
    (etc / "os-release").write_text("VERSION_CODENAME=trixie\n", encoding="ascii")
    (etc / "app.conf.dpkg-dist").write_text("", encoding="ascii")
    phase(made(), "prove").run(context)
    assert os.path.join(str(etc), "app.conf.dpkg-dist") in context.told[-1][1]


@pytest.mark.parametrize("spec, restarts", [({}, "hold"), ({"reboot": True}, "hold"), ({"reboot": False}, "allow"),
                                            ({"reboot": False, "debian": {"restarts": "hold"}}, "hold")])
def test_restarts_are_held_only_where_a_reboot_follows(spec, restarts):
    assert debian.Debian(dict(spec, target_series="trixie"))._quiet._restarts == restarts  # pylint: disable=protected-access


def test_registry_names_the_methods_and_refuses_others(context):
    assert methods.method({"method": "debian", "target_series": "trixie"}, context).name == "debian"
    assert methods.method({"method": "command", "target_series": "trixie", "command": {"upgrade": "true"}}, context).name == "command"
    with pytest.raises(StepFailed, match="There is no method 'yum'; there are command, debian."):
        methods.method({"method": "yum"}, context)
