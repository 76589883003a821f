# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt says is understood, and what was foreseen becomes a finding."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight import foreseen, isolated, needs, target
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.conffiles import Conflicts
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.finding import Wanted

WANTED = Wanted(start="bookworm", target="trixie")
URI = "https://packages.example.com/apt"
WHOLE = target.Prediction(whole=True, upgraded={"bash": "5.2"}, conflicts=Conflicts([], [], []), download_mb=12)
FILE = {"file": "/etc/app.conf", "package": "app"}
SIMULATION = """Reading package lists...
The following packages have been kept back:
  app app-data
  more
The following packages will be REMOVED:
  libssl3
Inst libc6 [2.36-9] (2.41-12 Debian:13.1/stable [amd64]) []
Inst libc6:i386 [2.36-9] (2.41-12 Debian:13.1/stable [i386])
Inst libssl3t64 (3.5.1-1 Debian:13.1/stable [amd64])
Remv libssl3 [3.0.15-1]
Purg old:amd64 [1]
Conf libc6 (2.41-12 Debian:13.1/stable [amd64])
"""
# As apt 2.6 says it.
SAID = """Err:2 https://packages.example.com/apt trixie Release
  404  Not Found [IP: 192.0.2.1 443]
E: The repository 'https://packages.example.com/apt trixie Release' does not have a Release file.
W: Failed to fetch http://mirror.example.com/debian/dists/trixie/InRelease  Could not connect to mirror.example.com:80 (192.0.2.1)
W: GPG error: http://other.example.com stable InRelease: The following signatures couldn't be verified: NO_PUBKEY 12
E: The repository 'http://other.example.com stable InRelease' is not signed.
W: Some index files failed to download. They have been ignored, or old ones used instead.
"""


def ids(seen, protected=("openssh-server",)):
    return {finding.id: finding for finding in foreseen.findings(seen, WANTED, protected)}


def test_simulation_is_taken_apart():
    assert target.steps(SIMULATION) == ({"libc6": "2.41-12"}, {"libssl3t64": "3.5.1-1"}, ["libssl3", "old"])
    assert target.kept_back(SIMULATION) == ["app", "app-data", "more"]
    assert target.kept_back("Inst a (1)\n") == []


def test_packages_that_were_fetched_are_told_and_those_that_were_not():
    assert ids(WHOLE)["predicted"].what.endswith("12 MB to fetch.") and "not_fetched" not in ids(WHOLE)
    seen = ids(WHOLE._replace(fetched=isolated.Fetched("", False)))
    assert seen["predicted"].what.endswith("12 MB have been fetched.") and "not_fetched" not in seen
    seen = ids(WHOLE._replace(fetched=isolated.Fetched("E: Unable to fetch some archives", True)))
    assert seen["predicted"].what.endswith("12 MB to fetch.")
    assert seen["not_fetched"].what == "Not all packages of trixie could be fetched: E: Unable to fetch some archives."


def test_update_that_lacks_a_suite_is_understood_suite_by_suite():
    assert {(failure.uri, failure.suite, failure.kind) for failure in isolated.failures(SAID)} == {
        ("https://packages.example.com/apt", "trixie", "missing"), ("http://mirror.example.com/debian", "trixie", "unreachable"),
        ("http://other.example.com", "stable", "unsigned")}
    assert isolated.failures("Hit:1 http://mirror.example.com/debian trixie InRelease\n") == []


@pytest.mark.parametrize("uri, suite, name", [
    ("http://mirror.example.com/debian/", "trixie", "mirror.example.com_debian_dists_trixie"),
    ("https://ann:secret@x.example.com/a_b", "trixie/updates", "x.example.com_a%5fb_dists_trixie_updates"),
    ("file:/srv/apt", "trixie", "_srv_apt_dists_trixie"),
])
def test_list_of_a_suite_has_the_name_that_apt_gives_it(uri, suite, name):
    assert target.list_name(uri, suite) == name


@pytest.mark.parametrize("id_, severity, seen, words", [
    ("not_predicted", "warning", target.Prediction(problem="http://m trixie could not be had: no route."), "could not be predicted: http://m"),
    ("not_predicted", "warning", WHOLE._replace(problem="The 180 s for it were over."), "could not be wholly predicted"),
    ("unresolvable", "inhibitor", target.Prediction(refused="E: Broken packages"), "E: Broken packages"),
    ("suite_missing", "inhibitor", WHOLE._replace(failures=[isolated.Failure(URI, "trixie", "missing", "no Release file.")]), URI + " trixie is not there"),
    ("archive_key_missing", "inhibitor", WHOLE._replace(failures=[isolated.Failure(URI, "trixie", "unsigned", "NO_PUBKEY 1")]), "NO_PUBKEY 1"),
    ("source_unreachable", "warning", WHOLE._replace(failures=[isolated.Failure(URI, "trixie", "unreachable", "Timeout")]), "Timeout"),
    ("source_follows", "info", WHOLE._replace(probes={URI + " bookworm": True}), "has trixie. Say `follow`"),
    ("source_follows", "info", WHOLE._replace(probes={URI + " bookworm": None}), "could not be asked for trixie"),
    ("removes_protected", "inhibitor", WHOLE._replace(removed=["openssh-server"]), "would remove openssh-server"),
    ("removes_serving", "inhibitor", WHOLE._replace(removed=["patroni"], serve={"patroni": ["unit patroni.service"]}), "patroni (unit patroni.service)"),
    ("removals", "warning", WHOLE._replace(removed=["python3-distutils"]), "removes python3-distutils"),
    ("kept_back", "warning", WHOLE._replace(kept=["app"]), "Kept back: app"),
    ("obsolete", "warning", WHOLE._replace(obsolete=["own-tool"]), "own-tool"),
    ("room_short", "inhibitor", WHOLE._replace(room=[needs.Need("/usr", 900, 800, {"packages": 900, "lists": 0})]), "/usr needs 900 MB (900 packages), and"),
    ("conffile_conflict", "warning", WHOLE._replace(conflicts=Conflicts([FILE], [], [])), "/etc/app.conf"),
    ("conffile_unknown", "info", WHOLE._replace(conflicts=Conflicts([], [FILE], [])), "/etc/app.conf"),
    ("ucf_changed", "info", WHOLE._replace(conflicts=Conflicts([], [], ["/etc/ssh/sshd_config"])), "/etc/ssh/sshd_config"),
    ("cryptsetup_missing", "inhibitor", WHOLE._replace(crypttab=True), "systemd-cryptsetup"),
    ("predicted", "info", WHOLE, "1 packages upgraded, 0 new, 0 removed; 12 MB to fetch."),
])
def test_what_was_foreseen_is_told(id_, severity, seen, words):
    found = ids(seen)[id_]
    assert found.severity == severity
    assert words in found.sentence()


@pytest.mark.parametrize("absent, seen", [
    ("predicted", target.Prediction(problem="no mirror")),
    ("removals", target.Prediction(problem="no mirror", removed=[])),
    ("removals", WHOLE._replace(removed=["libssl3"], new={"libssl3t64": "3.5"})),
    ("removals", WHOLE._replace(removed=["patroni"], serve={"patroni": ["x"]})),
    ("removes_serving", WHOLE._replace(removed=["openssh-server"], serve={"openssh-server": ["port 22"]})),
    ("cryptsetup_missing", WHOLE._replace(crypttab=True, new={"systemd-cryptsetup": "257"})),
    ("room_short", WHOLE._replace(room=[needs.Need("/", 800, 800, {})])),
])
def test_what_is_not_so_is_not_told(absent, seen):
    assert absent not in ids(seen)
