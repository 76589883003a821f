# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import types

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import apt, debian, methods, quiet, report, spare_ssh
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
        tools = types.SimpleNamespace(state_dir=str(tmp_path / "state"))
        return debian.Debian(spec, tools, apt=apt.Apt(held_by=lambda path: None), quiet=still, etc=str(etc), spare=spare_ssh.Spare(None))

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
        "backup", "quiet", "mend", "spare-ssh", "spare-login", "sources", "update", "download", "preseed",
        "upgrade", "full-upgrade", "conffiles", "release", "prove"]
    assert [item.irreversible for item in phases] == [False] * 9 + [True] * 5


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
    for item in method.phases[:6]:
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
    (etc / "old.conf.dpkg-dist").write_text("of an earlier upgrade", encoding="ascii")
    phase(made(), "backup").run(context)
    (etc / "app.conf.dpkg-dist").write_text("", encoding="ascii")
    phase(made(), "conffiles").run(context)
    beside = os.path.join(str(etc), "app.conf.dpkg-dist")
    assert beside in context.told[-1][1]
    assert report.told(context, "conffiles") == [{"file": os.path.join(str(etc), "app.conf"), "kept": "yours", "beside": beside}]


def test_new_version_takes_its_place_where_the_rule_for_the_file_says_so_and_a_crash_changes_nothing_of_that(made, context, etc, monkeypatch):
    for name in ("app.conf", "other.conf"):
        (etc / name).write_text("mine", encoding="ascii")
    method = made(conffiles={str(etc / "app.*"): "new"})
    phase(method, "backup").run(context)
    for name in ("app.conf", "other.conf"):
        (etc / (name + ".dpkg-dist")).write_text("theirs", encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *names: (dummy for dummy in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StepFailed, match="could not take its new version: No space left on device. Do it by hand, then resume."):
            phase(method, "conffiles").run(context)
    for dummy in range(2):
        phase(method, "conffiles").run(context)
        assert [(etc / name).read_text(encoding="ascii") for name in ("app.conf", "app.conf.dpkg-old", "other.conf")] == ["theirs", "mine", "mine"]
        assert [(entry["kept"], os.path.basename(entry["beside"])) for entry in report.told(context, "conffiles")] == [
            ("new", "app.conf.dpkg-old"), ("yours", "other.conf.dpkg-dist")]
        assert not (etc / "app.conf.dpkg-dist").exists()


def test_interrupted_dpkg_is_mended_before_anything_is_begun_and_again_after_a_crash(made, context):
    method = made()
    context.answers = [("dpkg --audit", 0, "The following packages are only half configured:\n app\n")]
    with pytest.raises(StepFailed, match="was interrupted before this upgrade and cannot be mended: The following packages are only half configured: app"):
        phase(method, "mend").run(context)
    context.answers, context.calls = [], []
    phase(method, "mend").run(context)
    assert [("--configure -a" in line, "--fix-broken install" in line) for line in context.calls] == [(True, False), (False, True)]


def test_whole_dpkg_is_not_mended(made, context):
    phase(made(), "mend").run(context)
    assert context.calls == []


def test_pins_are_not_heeded_but_for_those_that_the_user_names(context, etc, tmp_path):
    folder = etc / "apt" / "preferences.d"
    folder.mkdir()
    for name in ("pgdg.pref", "old", "old.bak"):
        (folder / name).write_text("Package: x\nPin: release n=bookworm\nPin-Priority: 900\n", encoding="ascii")
    spec = {"source_series": "bookworm", "target_series": "trixie", "debian": {"pins": ["*/pgdg*"], "spare_ssh": False}}
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "of-an-earlier-attempt").touch()
    method = debian.Debian(spec, context, etc=str(etc))
    phase(method, "sources").run(context)
    words = method._apt.command("update")  # pylint: disable=protected-access
    assert "Dir::Etc::Preferences=/dev/null" in words
    place = next(word.split("=", 1)[1] for word in words if word.startswith("Dir::Etc::PreferencesParts="))
    assert os.listdir(place) == ["pgdg.pref"] and place.startswith(str(tmp_path))
    assert report.told(context, "pins") == [str(folder / "old")]
    assert sorted(os.listdir(folder)) == ["old", "old.bak", "pgdg.pref"]


def test_library_that_only_changes_its_name_for_the_64_bit_time_is_not_lost(made, context):
    context.answers = [("--simulate", 0, "Remv libssl3 [3]\nInst libssl3t64 (3.5)\nRemv old [1]\n")]
    phase(made(protect=["libssl*"]), "download").run(context)
    assert (report.told(context, "renamed"), report.told(context, "removed")) == ({"libssl3": "libssl3t64"}, ["old"])


def test_what_is_left_over_is_reported_and_what_cannot_be_found_out_is_not_none(made, context, etc):
    (etc / "os-release").write_text("VERSION_CODENAME=trixie\n", encoding="ascii")
    context.answers = [
        ("?obsolete", 0, "python3.11/now 3.11.2-6 amd64 [installed,local]\n"),
        ("dpkg-query", 0, "installed app\nconfig-files gone\n"),
        ("autoremove", 100, "E: broken"),
    ]
    phase(made(), "prove").run(context)
    told = {key: report.told(context, key) for key in ("obsolete", "residual", "unneeded")}
    assert told == {"obsolete": ["python3.11"], "residual": ["gone"], "unneeded": None}
    assert context.told[-1][1] == "left over: 1 obsolete, 1 residual, unneeded packages could not be looked for"


def test_unit_that_has_failed_since_the_upgrade_makes_it_ill_and_one_that_had_before_does_not(made, context):
    failed = "old.service loaded failed failed Old\n"
    context.answers = [("list-units", 0, failed)]
    method = made(may_fail=["fwupd*"])
    phase(method, "backup").run(context)
    assert method.look("failed units", context)[0] == "ok"
    context.answers = [("list-units", 0, failed + "● app.service loaded failed failed App\nfwupd-refresh.service loaded failed failed F\n")]
    assert method.look("failed units", context) == ("failed", "failed since the upgrade: app.service")
    context.answers = [("list-units", 1, "Failed to connect to bus")]
    assert method.look("failed units", context)[0] == "unreachable"


@pytest.mark.parametrize("options, said", [
    ({"spare_shh": False}, "has no option spare_shh"), ({"conffiles": {"/etc/x": "mine"}}, "to keep or new"),
    ({"preseed": "grub-pc"}, "is a list of lines"), ({"preseed": ["grub-pc"]}, "is a list of lines"), ({"pins": "x"}, "pins is a list"),
    ({"spare_ssh": {"port": "1022"}}, "port is '1022'; give a number"), ({"spare_ssh": {"prot": 1}}, "patience, port, required"),
])
def test_wrong_options_are_told_before_anything_is_armed(options, said):
    with pytest.raises(StepFailed, match=said):
        debian.Debian({"target_series": "trixie", "debian": options})


def test_end_of_an_upgrade_is_witnessed(made, context, etc):
    (etc / "os-release").write_text("VERSION_CODENAME=trixie\n", encoding="ascii")
    context.answers = [("journalctl", 0, "Accepted publickey for root from 192.0.2.1 port 4711 ssh2: ED25519 SHA256:x\n")]
    method = made()
    phase(method, "backup").run(context)
    method.witness(context)
    assert report.told(context, "proof") == {"release": "trixie", "rebooted": False, "failed_units": [], "dpkg_audit": ""}
    context.memory["boot_before"] = "another boot"
    method.witness(context)
    assert report.told(context, "proof")["rebooted"] is True
    assert report.told(context, "ssh")["login"] == "Accepted publickey for root from 192.0.2.1"


@pytest.mark.parametrize("spec, restarts", [({}, "hold"), ({"reboot": True}, "hold"), ({"reboot": False}, "allow"),
                                            ({"reboot": False, "debian": {"restarts": "hold"}}, "hold")])
def test_restarts_are_held_only_where_a_reboot_follows(spec, restarts):
    assert debian.Debian(dict(spec, target_series="trixie"))._quiet._restarts == restarts  # pylint: disable=protected-access


def test_registry_names_the_methods_and_refuses_others(context):
    assert methods.method({"method": "debian", "target_series": "trixie"}, context).name == "debian"
    assert methods.method({"method": "command", "target_series": "trixie", "command": {"upgrade": "true"}}, context).name == "command"
    with pytest.raises(StepFailed, match="There is no method 'yum'; there are command, debian."):
        methods.method({"method": "yum"}, context)
