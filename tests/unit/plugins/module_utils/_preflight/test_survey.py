# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asked what, what an operator may accept, and which package serves whom. The programs of the machine are doubles here."""

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight import accepted, rooms, serving, survey, target
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.system import System
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import marker
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result

HELD = {"id": "held", "severity": "inhibitor", "what": "Held packages: etcd."}


@pytest.fixture(name="asked")
def _asked(tmp_path, monkeypatch):
    """asked(machine's series, **options): the survey, and whether the rooms and the target were looked at."""
    def ask(codename="bookworm", **options):
        (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=%s\n" % codename, encoding="ascii")
        seen = []
        monkeypatch.setattr(survey.rooms, "findings", lambda system, wanted: seen.append("rooms") or [])
        monkeypatch.setattr(survey.target, "look", lambda *args: seen.append("target") or target.Prediction(whole=True))
        given = dict({"target": "trixie", "run": None, "method": "debian", "snapshot": {"kind": "none"}, "state_dir": str(tmp_path / "state"),
                      "runtime_dir": "/run/x", "series_file": str(tmp_path / "os-release"), "min_free_mb": None, "debian": None, "predict": True,
                      "predict_timeout": 5, "serves": None}, **options)
        return survey.survey(given, System(str(tmp_path), lambda argv, timeout=60, env=None: Result(0, "", ""))), seen

    return ask


def test_machine_before_its_upgrade_is_asked_everything(asked, tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr(survey.machine, "_moves", lambda *args: [survey.machine.sources.Change("f", 1, "u", ("bookworm",), ("trixie",), "moved", "w")])
    assert asked()[1] == ["rooms", "target"]
    assert asked(predict=False)[1] == ["rooms"]


def test_way_that_does_not_exist_is_not_predicted(asked):
    assert asked(target="forky")[1] == ["rooms"]


def test_machine_on_its_target_and_one_that_resumes_are_asked_nothing(asked, tmp_path):
    assert asked("trixie")[1] == []
    spec = {"run": "to-trixie", "machine": "m1", "target_series": "trixie", "source_series": "bookworm", "upgrade_id": "to-trixie-1"}
    (tmp_path / "state").mkdir()
    marker.Marker(str(tmp_path / "state")).write({"state": "UPGRADING", "upgrade_id": "to-trixie-1", "spec": spec, "reason": None})
    found, seen = asked()
    assert seen == []
    assert [finding.id for finding in found.findings] == ["resumes"]


def test_method_of_ones_own_is_not_looked_into(asked):
    found, seen = asked(method="command")
    assert (seen, found.prediction) == ([], None)


def test_options_that_the_method_would_refuse_are_told_beforehand(asked):
    found = {finding.id: finding for finding in asked(debian={"suorces": {}})[0].findings}
    assert found["options_wrong"].severity == "inhibitor" and "has no option suorces" in found["options_wrong"].what
    assert "options_wrong" not in [finding.id for finding in asked(debian={"protect": ["x"]})[0].findings]


def test_known_need_takes_the_place_of_a_guess(asked, monkeypatch):
    monkeypatch.setattr(survey.machine, "_free", lambda wanted: {"/": 900})
    monkeypatch.setattr(survey.machine, "_moves", lambda *args: [survey.machine.sources.Change("f", 1, "u", ("bookworm",), ("trixie",), "moved", "w")])
    assert "disk_small" not in [finding.id for finding in asked()[0].findings]
    assert "disk_small" in [finding.id for finding in asked(predict=False)[0].findings]
    assert "disk_small" in [finding.id for finding in asked(min_free_mb=1000)[0].findings]


def test_accepted_by_id_and_for_one_machine():
    known = accepted.read(["held", {"id": "removals", "machine": "m2", "reason": "known"}], rooms.KINDS)
    assert accepted.apply([HELD], known, "m1") == [dict(HELD, machine="m1", accepted={"reason": ""})]
    assert accepted.apply([dict(HELD, id="removals")], known, "m1")[0]["accepted"] is None
    assert accepted.apply([dict(HELD, id="removals")], known, "m2")[0]["accepted"] == {"reason": "known"}


@pytest.mark.parametrize("given, words", [
    (["heldd"], "heldd is no finding, perhaps held is meant"),
    (["quite else"], "quite else is no finding."),
    ([{"id": "held", "host": "m1"}], "is neither an id nor {id, machine, reason}"),
    ([7], "7 is neither"),
    ("held", "is no list"),
    ({"id": "held"}, "is no list"),
    (["not_successor"], "not_successor cannot be accepted"),
])
def test_what_cannot_be_accepted_is_refused_in_a_sentence(given, words):
    with pytest.raises(accepted.Unknown, match=words.replace("{", r"\{").replace("}", r"\}").replace(".", r"\.")):
        accepted.read(given, rooms.KINDS)


def test_package_of_a_unit_a_command_and_a_port_is_needed_with_doubles_of_dpkg(tmp_path):
    owners = {"/lib/systemd/system/patroni.service": "patroni", "/usr/bin/patronictl": "patroni", "/usr/sbin/ours": "other:amd64",
              "/usr/bin/pg": "postgresql-15"}
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/patronictl").touch()
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/tcp").write_text("  sl  local rem st\n 0: 0100007F:1538 00000000:0000 0A 0:0 0:0 0 0 0 4242 1\n", encoding="ascii")
    (tmp_path / "proc/77/fd").mkdir(parents=True)
    (tmp_path / "proc/77/fd/3").symlink_to("socket:[4242]")
    (tmp_path / "proc/77/exe").symlink_to("/usr/bin/pg")

    def run(argv, timeout=60, env=None):
        if argv[0] == "systemctl":
            return Result(0, "FragmentPath=/usr/lib/systemd/system/patroni.service\nExecStart={ path=/usr/sbin/ours ; argv[]=x }\n", "")
        return Result(0, "%s: %s\n" % (owners[argv[2]], argv[2]), "") if argv[2] in owners else Result(1, "", "no path found")

    serves = {"units": ["patroni.service"], "programs": ["patronictl"], "ports": [5432, 5433]}
    needed = serving.needed(System(str(tmp_path), run), serves, ["patroni", "other", "postgresql-15", "bash"])
    assert needed == {"patroni": ["unit patroni.service", "command patronictl"], "other": ["unit patroni.service"], "postgresql-15": ["port 5432"]}
    assert serving.needed(System(str(tmp_path), run), serves, ["bash"]) == {}
