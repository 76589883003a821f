# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/rights.md is true: its commands work in the order they stand there, and its lines of the audit log are ones that can come to be."""

from __future__ import annotations

import json
import re
import shlex

from typer.testing import CliRunner

from lease_endpoint import limits
from lease_endpoint.audit import AuditFile, asking
from lease_endpoint.cli import app
from lease_endpoint.door import LARGEST
from lease_endpoint.records import Entry
from lease_endpoint.rights import Caller
from tests.contract.endpoint import ROOT

PAGE = (ROOT / "docs/rights.md").read_text(encoding="utf-8")


def test_commands_of_the_page_work_in_their_order(tmp_path):
    lines = re.findall(r"^    lease_endpoint (.*)$", PAGE, re.M)
    assert len(lines) == 7
    said = {}
    for line in lines:
        ran = CliRunner().invoke(app, shlex.split(line), env={"LEASE_ENDPOINT_DATA_DIR": str(tmp_path)})
        assert ran.exit_code == 0, (line, ran.output)
        said[line] = ran.stdout
    rows = [row.split("\t") for row in said["token list"].splitlines()]
    assert [row[:4] for row in rows] == [
        ["db", "read", "*", "-"], ["m1", "hold,pin", "-", "db/0,queue=rabbit@m1"], ["operator", "pin", "*", "-"], ["operator", "pin", "*", "-"]]
    assert [row[4] == "-" for row in rows] == [True, True, False, False]


def test_defaults_on_the_page_are_the_real_ones():
    assert "| `--limit-token` | `%s` |" % limits.TOKEN_DEFAULT in PAGE
    assert "| `--limit-failures` | `%s` |" % limits.FAILURES_DEFAULT in PAGE
    assert LARGEST == 1_000_000 and "Bodies end at 1 MB" in PAGE


def test_lines_on_the_page_are_what_the_log_writes(tmp_path):
    done, refused = map(json.loads, re.search(r"```json\n(.*?)```", PAGE, re.S).group(1).splitlines())
    audit = AuditFile(tmp_path / "audit.jsonl")
    about = {key: done[key] for key in ("run", "reason", "session", "duration")}
    with asking(Caller(done["identity"], ("pin",), None, None, done["token"], done["address"]), **about):
        audit.commit([Entry(done["at"], done["identity"], done["verb"], done["application"], done["msg"])])
    machine = Caller(refused["identity"], ("pin",), None, {"db": ("db/0",), "queue": ("rabbit@m1",)}, refused["token"], refused["address"])
    try:
        machine.need_application("pin", "web")
    except Exception as trouble:
        audit.refused("pin", "forbidden", str(trouble), machine, **{key: refused[key] for key in ("application", "run", "reason", "duration")})
    written = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert written[0] == json.dumps(done)
    assert {**json.loads(written[1]), "at": refused["at"]} == refused and list(json.loads(written[1])) == list(refused)
    for field in {*done, *refused}:
        assert "`%s`" % field in PAGE or field == "kind"
