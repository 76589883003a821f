# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target is predicted by a real apt and a real dpkg, on packages of the test's own; the machine's own apt is not touched. Needs no root."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight import conffiles, foreseen, isolated, serving, target
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.finding import Wanted
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.system import System
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import programs

pytestmark = pytest.mark.skipif(not shutil.which("apt-get") or not shutil.which("dpkg-deb"), reason="needs apt and dpkg")

WANTED = Wanted(start="bookworm", target="trixie")
# name: (depends, size in MB, other fields); all of trixie, version 2.
NEW = {
    "app": ("app-lib2", 3, "Breaks: app-plugin (<< 2)\n"),
    "app-lib2": ("", 1, ""),
    "linux-image-6.12.0-1": ("", 1, ""),
    "linux-image": ("linux-image-6.12.0-1", 1, ""),
    "settings": ("", 1, ""),
}
OLD = ("app", "app-plugin", "linux-image", "own-tool", "settings")
SHIPPED, CHANGED = "as it was\n", "as the operator has it\n"


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory):
    """A directory that apt takes for an archive with the suite trixie."""
    place = tmp_path_factory.mktemp("archive")
    lists = place / "dists/trixie/main/binary-amd64"
    lists.mkdir(parents=True)
    index = ""
    for name, (depends, megabytes, more) in NEW.items():
        control = "Package: %s\nVersion: 2\nArchitecture: all\nMaintainer: t <t@localhost>\nInstalled-Size: %d\n%s%sDescription: t\n" % (
            name, megabytes * 1024, "Depends: %s\n" % depends if depends else "", more)
        tree = place / "trees" / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(control, encoding="ascii")
        if name == "settings":
            (tree / "etc").mkdir()
            for file, text in (("changed.conf", "as it is now\n"), ("same.conf", SHIPPED), ("taken.conf", CHANGED)):
                (tree / "etc" / file).write_text(text, encoding="ascii")
            (tree / "DEBIAN/conffiles").write_text("/etc/changed.conf\n/etc/same.conf\n/etc/taken.conf\n", encoding="ascii")
        deb = place / ("%s_2_all.deb" % name)
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)], check=True, stdout=subprocess.DEVNULL)
        content = deb.read_bytes()
        index += control + "Filename: %s\nSize: %d\nSHA256: %s\n\n" % (deb.name, len(content), hashlib.sha256(content).hexdigest())
    (lists / "Packages").write_text(index, encoding="ascii")
    said = "Origin: t\nSuite: trixie\nCodename: trixie\nArchitectures: amd64 all\nComponents: main\nDate: Sat, 28 Nov 2026 00:00:00 UTC\nSHA256:\n %s %d %s\n"
    (place / "dists/trixie/Release").write_text(
        said % (hashlib.sha256(index.encode()).hexdigest(), len(index), "main/binary-amd64/Packages"), encoding="ascii")
    return place


@pytest.fixture(name="machine")
def _machine(tmp_path, archive):
    """machine(...): predict for a machine whose dpkg, /etc and apt state are directories of the test."""
    for folder in ("var/lib/dpkg/updates", "var/lib/apt", "etc/apt/preferences.d", "bench", "boot", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    status = ""
    for name in OLD:
        more = ""
        if name == "settings":
            md5 = hashlib.md5(SHIPPED.encode()).hexdigest()
            more = "Conffiles:\n" + "".join(" /etc/%s.conf %s\n" % (file, md5) for file in ("changed", "same", "taken", "untouched"))
            for file in ("changed", "same", "taken"):
                (tmp_path / "etc" / (file + ".conf")).write_text(CHANGED, encoding="ascii")
            (tmp_path / "etc/untouched.conf").write_text(SHIPPED, encoding="ascii")
        status += "Package: %s\nStatus: install ok installed\nInstalled-Size: 1024\nVersion: 1\nArchitecture: all\nMaintainer: t\n%s" % (name, more)
        status += "Description: t\n\n"
    (tmp_path / "var/lib/dpkg/status").write_text(status, encoding="ascii")

    def run(argv, timeout=60, env=None):
        return programs.run(argv, timeout, dict(env or {}, DPKG_ADMINDIR=str(tmp_path / "var/lib/dpkg")))

    def predict(line="deb [trusted=yes] file:%s bookworm main" % archive, wanted=WANTED, seconds=60, rules=None, pins=(), **more):
        (tmp_path / "etc/apt/sources.list").write_text(line + "\n", encoding="ascii")
        before = _everything(tmp_path)
        places = {"etc": str(tmp_path / "etc"), "dpkg": str(tmp_path / "var/lib/dpkg"), "state": str(tmp_path / "var/lib/apt"),
                  "places": [str(tmp_path / "bench")], **more}
        options = {"sources": rules or {"file:*": "follow"}, "pins": pins}
        seen = target.look(System(str(tmp_path), run), wanted, {"/etc/apt/sources.list": line + "\n"}, options, "/var/lib/x", seconds, **places)
        assert _everything(tmp_path) == before
        return seen

    predict.root = tmp_path
    return predict


def _everything(place):
    return {str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in place.rglob("*")
            if str(path) != str(place / "bench")}


def test_upgraded_new_removed_and_orphaned_packages_are_foretold(machine):
    seen = machine()
    assert (seen.problem, seen.whole, seen.failures) == ("", True, [])
    assert seen.upgraded == {"app": "2", "linux-image": "2", "settings": "2"}
    assert seen.new == {"app-lib2": "2", "linux-image-6.12.0-1": "2"}
    assert (seen.removed, seen.obsolete) == (["app-plugin"], ["own-tool"])


def test_room_is_told_by_file_system_with_what_it_is_for(machine):
    (machine.root / "boot/vmlinuz-6.1.0-1").write_bytes(b"x" * 3 * 1024 * 1024)
    (need,) = machine().room
    # 7 MB new, 4 MB of theirs go, and the largest package lies there twice for a moment.
    assert (need.parts["packages"], need.parts["archives"], need.parts["kernels"]) == (6, 1, 5)
    assert need.needed == sum(need.parts.values()) and need.free > 0
    (kept,) = machine(wanted=WANTED._replace(snapshot="btrfs")).room
    assert kept.parts["packages"] == 7


def test_only_files_changed_here_and_by_the_target_are_conflicts(machine):
    seen = machine()
    assert seen.conflicts == conffiles.Conflicts([{"file": "/etc/changed.conf", "package": "settings"}], [], [])


def test_packages_too_many_to_fetch_leave_their_files_unknown(machine, monkeypatch):
    monkeypatch.setattr(conffiles, "MOST_PACKAGES", 0)
    seen = machine()
    assert seen.conflicts.both == []
    assert [entry["file"] for entry in seen.conflicts.unknown] == ["/etc/changed.conf", "/etc/same.conf", "/etc/taken.conf"]


def test_files_of_ucf_that_were_changed_are_named(machine):
    book = machine.root / "var/lib/ucf/hashfile"
    book.parent.mkdir()
    book.write_text("%s  /etc/untouched.conf\n%s  /etc/changed.conf\n" % ((hashlib.md5(SHIPPED.encode()).hexdigest(),) * 2), encoding="ascii")
    assert machine().conflicts.ucf == ["/etc/changed.conf"]


def test_suite_that_is_not_there_is_told_and_nothing_is_taken_for_fine(machine, archive):
    seen = machine("deb file:%s/nowhere bookworm main" % archive)
    assert [failure.kind for failure in seen.failures] == ["missing"]
    assert not seen.whole and "could not be had" in seen.problem


def test_second_source_without_the_target_does_not_hide_what_the_first_tells(machine, archive):
    lines = "deb [trusted=yes] file:%s bookworm main\ndeb file:%s/nowhere bookworm main" % (archive, archive)
    seen = machine(lines)
    assert seen.whole and [failure.suite for failure in seen.failures] == ["trixie"]


def test_source_that_will_be_switched_off_is_asked_whether_it_has_the_target(machine, archive):
    twin = archive.with_name("twin")
    twin.symlink_to(archive)
    lines = "deb [trusted=yes] file:%s bookworm main\ndeb [trusted=yes] file:%s bookworm main\ndeb file:%s/no bookworm main" % (archive, twin, archive)
    seen = machine(lines, rules={"file:%s" % archive: "follow"})
    assert seen.probes == {"file:%s bookworm" % twin: True, "file:%s/no bookworm" % archive: False}


def test_unreachable_mirror_is_unknown_within_its_time(machine):
    begun = time.monotonic()
    seen = machine("deb http://127.0.0.1:9/debian bookworm main", rules={"http:*": "follow"})
    assert not seen.whole and "Could not connect" in seen.problem
    assert time.monotonic() - begun < 30


def test_time_that_is_over_is_told_and_leaves_nothing(machine):
    seen = machine(seconds=0)
    assert (seen.whole, seen.problem) == (False, "The 0 s for it were over.")
    assert os.listdir(machine.root / "bench") == []


def test_no_room_for_the_look_is_told(machine, tmp_path):
    assert "No 400 MB are free in /nowhere" in machine(places=["/nowhere"]).problem


def test_hooks_of_the_machines_apt_are_not_run(machine, monkeypatch, tmp_path):
    """What the machine's apt.conf would do after an update happens to nobody's files."""
    hook = tmp_path / "hook.conf"
    hook.write_text('APT::Update::Post-Invoke { "touch %s/bench/hooked"; };\nAcquire::Retries "0";\n' % tmp_path, encoding="ascii")
    monkeypatch.setenv("APT_CONFIG", str(hook))
    assert machine().whole
    assert os.listdir(machine.root / "bench") == []


def test_pins_are_heeded_as_in_the_upgrade_only_where_they_are_named(machine):
    (machine.root / "etc/apt/preferences.d/own").write_text("Package: settings\nPin: release n=trixie\nPin-Priority: -1\n", encoding="ascii")
    assert "settings" in machine().upgraded
    assert "settings" not in machine(pins=["*/own"]).upgraded


def test_removed_package_that_owns_a_program_of_the_application_is_told(machine):
    """Against the real dpkg of this box: bash owns bash."""
    assert serving.needed(System(), {"programs": ["bash"]}, ["bash"]) == {"bash": ["command bash"]}


def test_isolated_apt_is_gone_when_it_could_not_be_set_up(tmp_path):
    with pytest.raises(isolated.NotPredicted, match="could not be copied"):
        with isolated.Isolated(programs.run, {}, 5, dpkg=str(tmp_path / "none"), places=[str(tmp_path)]):
            raise AssertionError("unreachable")
    assert os.listdir(tmp_path) == []


@pytest.fixture(name="kept")
def _kept(tmp_path_factory):
    """Where the machine's own apt looks for packages before it fetches them."""
    place = tmp_path_factory.mktemp("archives")
    (place / "partial").mkdir()
    return place


def test_packages_are_fetched_to_where_the_upgrade_looks_for_them_and_only_when_that_is_asked_for(machine, archive, kept):
    line = "deb [trusted=yes] copy:%s bookworm main" % archive
    assert machine(line, rules={"copy:*": "follow"}, archives=str(kept)).fetched is None and not list(kept.glob("*.deb"))
    seen = machine(line, rules={"copy:*": "follow"}, archives=str(kept), fetch=True)
    assert seen.fetched == isolated.Fetched("", True)
    assert {path.name.split("_")[0] for path in kept.glob("*.deb")} == {*seen.upgraded, *seen.new}
    assert machine(line, rules={"copy:*": "follow"}, archives=str(kept), fetch=True).fetched == isolated.Fetched("", False)


def test_package_that_cannot_be_fetched_is_told_and_what_was_foretold_stays(machine, archive, kept, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "archive"
    shutil.copytree(archive, other)
    (other / "app_2_all.deb").unlink()
    seen = machine("deb [trusted=yes] copy:%s bookworm main" % other, rules={"copy:*": "follow"}, archives=str(kept), fetch=True)
    assert seen.whole and seen.fetched.problem and seen.upgraded["app"] == "2"
    (told,) = [finding for finding in foreseen.findings(seen, WANTED) if finding.id == "not_fetched"]
    assert told.severity == "warning" and seen.fetched.problem.rstrip(".") in told.what
