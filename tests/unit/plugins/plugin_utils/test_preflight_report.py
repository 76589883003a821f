# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a fleet's preflight: value, table, page and repairs."""

from __future__ import annotations

import html.parser
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _preflight_page, _preflight_report, _repairs, _serves


def finding(id_="held", severity="inhibitor", what="Held packages: etcd.", accepted=None, **data):
    return {"id": id_, "severity": severity, "what": what, "why": "A held package stops others.", "remedy": "Release them.",
            "source": "https://example.com/notes", "data": data, "accepted": accepted, "machine": "?"}


def answer(*findings, **more):
    problems = [one["what"] for one in findings if one["severity"] == "inhibitor" and not one["accepted"]]
    return {"findings": list(findings), "problems": problems, "series": "bookworm", "predicted": True, "predict_seconds": 2.0, **more}


def report(**answers):
    return _preflight_report.of_fleet("trixie", "to-trixie", answers, 0.0)


def text(made, width=120):
    return "\n".join(line for dummy, line in _preflight_report.lines(made, width))


HELD = finding(packages=["etcd"])
PREDICTED = finding("predicted", "info", "9 packages upgraded.", download_mb=120, room=[{"place": "/", "needed": 900, "free": 5000, "parts": {}}])


def test_ready_means_that_every_machine_answered_and_none_is_blocked():
    assert report(m1=answer(PREDICTED), m2=answer())["ready"] is True
    assert report(m1=answer(HELD), m2=answer())["ready"] is False
    assert report(m1=answer(), m2={"unreachable": True, "msg": "no route"})["ready"] is False
    assert report()["ready"] is False
    assert report(m1=answer(finding("resumes", "info")), m2=answer(finding("on_target", "info")))["ready"] is True


def test_machine_that_did_not_answer_is_told_with_what_it_said():
    made = report(m1={"failed": True, "msg": "series_upgrade_accepted_findings cannot be used"})
    assert made["machines"]["m1"]["state"] == "not known"
    assert "m1           series_upgrade_accepted_findings cannot be used" in text(made)


def test_what_several_machines_say_is_told_once_by_severity():
    made = report(m1=answer(HELD), m2=answer(HELD), m3=answer(HELD, finding("removals", "warning", "Removes x.")), m10=answer())
    assert [(one["id"], one["machines"]) for one in _preflight_report.folded(made)] == [("held", ["m1", "m2", "m3"]), ("removals", ["m3"])]
    said = text(made)
    assert said.splitlines()[0] == "Preflight to trixie: 4 machines, 3 inhibitors, 1 warning: NOT READY"
    assert said.index("INHIBITORS") < said.index("WARNINGS") and said.count("Held packages") == 1
    assert list(made["machines"]) == ["m1", "m2", "m3", "m10"]
    assert max(len(line) for line in text(made, 90).splitlines()) <= 90


def test_accepted_inhibitor_stays_and_says_so():
    made = report(m1=answer(finding(accepted={"reason": "ours"})))
    assert (made["ready"], made["counts"]["inhibitor"], made["accepted"]) == (True, 0, 1)
    assert "accepted (ours): Held packages: etcd." in text(made)
    assert "✓ accepted: ours" in _preflight_page.page(made)


def test_page_needs_nothing_but_itself_and_escapes_what_machines_say():
    page = _preflight_page.page(report(m1=answer(finding(what="<script>alert(1)</script>"), PREDICTED)))
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "120 MB" in page and "/ 900 of 5000 MB" in page and "not ready" in page
    tags = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.feed(page)
    assert not [tag for tag in tags if tag[0] in ("script", "link", "img", "iframe") or "src" in tag[1]]
    assert [attributes["href"] for tag, attributes in tags if tag == "a"] == ["https://example.com/notes"] * 2


def test_name_of_a_run_leads_nowhere_else():
    assert _preflight_report.file_stem("../../etc/x") == "-..-etc-x-preflight"


def everything():
    """A report with one finding of every kind that can be repaired."""
    findings = [
        finding("dpkg_broken"), HELD, finding("residual", "info", packages=["gone"]), finding("archive_key_missing"), finding("usr_unmerged"),
        finding("source_disabled", "warning", uri="https://x.example.com/a", suites=["bookworm"], file="/etc/apt/sources.list.d/x.list"),
        finding("source_disabled", "warning", uri="https://y.example.com/a", suites=["bookworm"], file="/etc/apt/sources.list.d/y.sources"),
        finding("updates_pending", "warning", packages=["bash"]), finding("old_ssh", "warning"), finding("sysctl_conf", "warning", settings=["a=1"]),
        finding("initrd_missing", versions=["6.1.0-1"]), finding("reboot_required"), finding("room_short", what="/ needs more."),
    ]
    return report(m1=answer(*findings), m2=answer(HELD), m3=answer(HELD), m4=answer())


def test_repairs_are_in_order_for_those_that_need_them_and_the_rest_is_left_to_the_operator():
    made = _repairs.playbook(everything(), "x.yml")
    plays = yaml.safe_load(made)
    assert [play["hosts"] for play in plays] == ["m1", "m2:m3"]
    assert all(play["serial"] == 1 and play["any_errors_fatal"] for play in plays)
    order = [task["tags"][0] for task in plays[0]["tasks"]]
    assert order[:4] == ["source_disabled"] * 2 + ["dpkg_broken"] * 2 and order[-1] == "reboot_required"
    assert set(_repairs.REPAIRS) == set(order)
    assert plays[1]["tasks"][0]["loop"] == ["etcd"]
    assert "# For you to do:\n#   room_short: Release them.\n" in made


def test_nothing_to_repair_is_no_playbook_and_what_is_accepted_is_left_alone():
    assert _repairs.playbook(report(m1=answer(PREDICTED)), "x.yml") is None
    assert _repairs.playbook(report(m1=answer(finding(accepted={"reason": ""}, packages=["etcd"]))), "x.yml") is None


@pytest.mark.parametrize("line", [
    "deb https://x.example.com/a bookworm main",
    "deb [arch=amd64 signed-by=/k] https://ann:secret@x.example.com/a bookworm main contrib",
    "deb-src https://x.example.com/a  bookworm main",
])
def test_source_is_disabled_where_it_stands_also_with_a_password_in_it(line):
    (play,) = yaml.safe_load(_repairs.playbook(report(m1=answer(
        finding("source_disabled", "warning", uri="https://x.example.com/a", suites=["bookworm"], file="/etc/apt/sources.list"))), "x.yml"))
    replace = play["tasks"][0]["ansible.builtin.replace"]
    assert re.sub(replace["regexp"], replace["replace"], line) == "# disabled: " + line
    assert re.sub(replace["regexp"], replace["replace"], "deb https://x.example.com/ab bookworm main") == "deb https://x.example.com/ab bookworm main"


def test_repairs_are_clean_for_ansible_lint(tmp_path):
    lint = pathlib.Path(sys.executable).with_name("ansible-lint")
    if not lint.exists():
        pytest.skip("ansible-lint is not installed")
    playbook = tmp_path / "repair.yml"
    playbook.write_text(_repairs.playbook(everything(), "repair.yml"), encoding="utf-8")
    done = subprocess.run([str(lint), "--offline", "--profile", "production", "-q", "repair.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command, units, programs", [
    ("systemctl stop patroni.service && curl -u a:secret http://x", ["patroni.service"], ["systemctl", "curl"]),
    ("sudo -u postgres", [], ["-u"]),
    ("PGPASSWORD=secret psql -c 'select 1' | grep -q 1", [], ["psql", "grep"]),
    ("test \"unfinished", [], []),
])
def test_commands_are_taken_apart_into_words_without_secrets(command, units, programs):
    assert _serves.words(command) == (units, programs)


def test_what_an_application_needs_of_its_machine_is_told_by_machine():
    applications = {"db": {
        "units": {"db/0": "m1", "db/1": "m2"}, "drain": "systemctl stop {unit_name}.service",
        "checks": [{"name": "a", "kind": "tcp", "port": 5432}, {"name": "b", "kind": "http", "url": "http://localhost:8008/x"},
                   {"name": "c", "kind": "systemd", "unit": "patroni.service"}, {"name": "d", "kind": "tcp", "port": 1, "host": "192.0.2.1"}]}}
    assert _serves.needs(applications, "m1") == {"units": ["db-0.service", "patroni.service"], "programs": ["systemctl"], "ports": [5432, 8008]}
    assert _serves.needs(applications, "m9") == {"units": [], "programs": [], "ports": []}
    assert _serves.needs({"db": {"nonsense": 1}}, "m1") == {"units": [], "programs": [], "ports": []}
