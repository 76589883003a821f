# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fetched before the units are drained, and that nothing but apt's caches is any different afterwards."""

from __future__ import annotations

import os
import types

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import ahead, apt, debian, quiet, spare_ssh
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed

TEXTS = {"/etc/apt/sources.list": "deb http://deb.example.org trixie main\n", "/etc/apt/sources.list.d/own.sources": "Types: deb\n"}


@pytest.fixture
def fetcher(tmp_path):
    (tmp_path / "lists").mkdir()
    return ahead.Ahead(apt.Apt(held_by=lambda path: None), str(tmp_path / "ahead"), str(tmp_path / "lists"))


@pytest.fixture
def made(tmp_path, fetcher):
    """A method whose machine has one source of its own."""
    (tmp_path / "etc/apt").mkdir(parents=True)
    (tmp_path / "etc/apt/sources.list").write_text("deb http://mirror.debian.org/debian bookworm main\n", encoding="ascii")
    spec = {"source_series": "bookworm", "target_series": "trixie", "debian": {}}
    return debian.Debian(
        spec, types.SimpleNamespace(state_dir=str(tmp_path / "state")), apt=apt.Apt(held_by=lambda path: None), etc=str(tmp_path / "etc"),
        quiet=quiet.Quiet(policy=str(tmp_path / "policy-rc.d"), booted=str(tmp_path / "no")), spare=spare_ssh.Spare(None), ahead=fetcher)


def fetch(method, context):
    (phase,) = method.ahead
    phase.run(context)


def bring_lists(place, seen):
    """As apt does at an update: two lists, their lock, and what is half fetched. SEEN gets what it was shown."""
    def act(argv):
        if argv[-1] == "update":
            seen.update((str(path.relative_to(place)), (path.stat().st_mode & 0o777, path.is_file() and path.read_text(encoding="ascii")))
                        for path in place.rglob("*"))
            for name in ("a_InRelease", "a_Packages", "lock", "partial/half"):
                (place / "lists" / name).write_text(name, encoding="ascii")
                os.utime(place / "lists" / name, (1, 1))
    return act


def test_lists_and_packages_come_by_sources_and_lists_of_their_own(fetcher, context, tmp_path):
    seen = {}
    context.on_call = bring_lists(tmp_path / "ahead", seen)
    fetcher.fetch(context, TEXTS, "upgrade.log")
    assert [line.split("Dir::Cache::srcpkgcache= ")[1] for line in context.calls] == ["update", "--download-only full-upgrade"]
    for line in context.calls:
        for word in ("Dir::Etc::SourceList=%s/ahead/sources.list " % tmp_path, "Dir::State::Lists=%s/ahead/lists " % tmp_path):
            assert word in line
        assert "Dir::Cache::Archives" not in line, "packages go where the upgrade looks for them"
    assert seen["sources.list"] == (0o600, TEXTS["/etc/apt/sources.list"]) and seen["sources.list.d/own.sources"] == (0o600, "Types: deb\n")
    assert seen["lists"][0] == 0o755, "apt's own user finds the way"


def test_lists_are_given_to_the_machines_apt_with_their_dates_and_nothing_else_is_left(fetcher, context, tmp_path):
    context.on_call = bring_lists(tmp_path / "ahead", {})
    for dummy in range(2):
        fetcher.fetch(context, TEXTS, "upgrade.log")
        assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == ["a_InRelease", "a_Packages", "partial"]
        assert (tmp_path / "lists/a_Packages").stat().st_mtime == 1
        assert list((tmp_path / "lists/partial").iterdir()) == [] and not (tmp_path / "ahead").exists()


def test_what_cannot_be_fetched_fails_while_the_units_still_run_and_gives_nothing(made, context, tmp_path):
    context.answers = [("--download-only", 100, "E: Failed to fetch http://mirror.debian.org/x  404  Not Found")] * apt.ATTEMPTS
    context.on_call = bring_lists(tmp_path / "ahead", {})
    with pytest.raises(StepFailed, match="404"):
        fetch(made, context)
    assert list((tmp_path / "lists").iterdir()) == []
    made.thaw(context)
    assert not (tmp_path / "ahead").exists()


def test_sources_of_the_machine_stay_and_those_of_the_target_are_asked(made, context, tmp_path):
    seen = {}
    context.on_call = bring_lists(tmp_path / "ahead", seen)
    fetch(made, context)
    assert seen["sources.list"][1] == "deb http://mirror.debian.org/debian trixie main\n"
    assert (tmp_path / "etc/apt/sources.list").read_text(encoding="ascii") == "deb http://mirror.debian.org/debian bookworm main\n"
    assert context.recall("sources") is None


def test_no_source_of_the_target_is_told_before_a_unit_is_drained(made, context, tmp_path):
    (tmp_path / "etc/apt/sources.list").write_text("deb http://apt.example.com/x bookworm main\n", encoding="ascii")
    with pytest.raises(StepFailed, match="No apt source of this machine leads to trixie"):
        fetch(made, context)
    assert context.calls == []


def test_where_dpkg_was_interrupted_packages_are_fetched_when_that_is_mended(made, context):
    context.answers = [("dpkg --audit", 0, "The following packages are only half configured:\n app\n")]
    fetch(made, context)
    assert context.calls == [] and "when that is mended" in context.told[-1][1]


def test_no_place_for_lists_is_told_as_what_it_is(fetcher, context, tmp_path):
    (tmp_path / "ahead").write_text("no directory", encoding="ascii")
    with pytest.raises(StepFailed, match="There is no place to fetch packages to: .*ahead"):
        fetcher.fetch(context, TEXTS, "upgrade.log")
