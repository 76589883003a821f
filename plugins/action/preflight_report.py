# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what the preflight of all machines found, and keeps it in files. The module of the same name documents it."""

from __future__ import annotations

import json
import pathlib
import shutil
import time
import typing as t

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._preflight import accepted, rooms
from ..plugin_utils import _action_options, _preflight_page, _preflight_report, _repairs
from .upgrade_report import write

# What the role preflight registers at every machine.
REGISTERED = "__preflight_facts"
COLOURS = {"inhibitor": C.COLOR_ERROR, "warning": C.COLOR_WARN, "info": None, "": None}
display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        dummy, options = self.validate_argument_spec(
            {"target": {"type": "raw", "required": True}, "run": {"type": "str"}, "directory": {"type": "path", "default": "series_upgrade_reports"}})
        hosts = list(variables["groups"]["all"])
        problem = self._misnamed(variables, hosts)
        if problem:
            return {**result, "failed": True, "msg": problem}
        answers = {host: variables["hostvars"][host][REGISTERED] for host in hosts if REGISTERED in variables["hostvars"][host]}
        run = options["run"] or "to-%s" % options["target"]
        report = _preflight_report.of_fleet(str(options["target"]), run, answers, time.time())
        for severity, line in _preflight_report.lines(report, shutil.get_terminal_size((120, 40)).columns):
            display.display(line, color=COLOURS[severity])
        result.update(changed=False, ready=report["ready"], counts=report["counts"])
        if self._task.check_mode or not answers:
            return result
        directory = pathlib.Path(options["directory"]).absolute()
        # A run that finds everybody on the target must not replace what was found when they still had to go.
        through = all(found["state"] == _preflight_report.DONE for found in report["machines"].values())
        if through and (directory / (_preflight_report.file_stem(run) + ".json")).exists():
            return result
        paths = self._keep(report, directory)
        for name, path in paths.items():
            display.display("%s: %s" % ({"path": "Report", "page": "Page", "repair": "Repairs, to be read and run"}[name], path))
        return {**result, "changed": True, **paths}

    def _misnamed(self, variables: dict[str, t.Any], hosts: list[str]) -> str:
        """Why series_upgrade_accepted_findings cannot be meant, "" when it can. Beside what every machine says, a machine may be misspelt."""
        given = _action_options.variable_of(self, variables, "series_upgrade_accepted_findings")
        try:
            strangers = sorted({entry.machine for entry in accepted.read(given, rooms.KINDS) if entry.machine and entry.machine not in hosts})
        except accepted.Unknown as problem:
            return "%s Nothing was changed." % problem
        return "series_upgrade_accepted_findings names %s, which %s not in the inventory; correct it. Nothing was changed." % (
            ", ".join(strangers), "is" if len(strangers) == 1 else "are") if strangers else ""

    def _keep(self, report: dict[str, t.Any], directory: pathlib.Path) -> dict[str, str]:
        stem = directory / _preflight_report.file_stem(report["run"])
        paths = {"path": stem.with_name(stem.name + ".json"), "page": stem.with_name(stem.name + ".html")}
        write(paths["path"], json.dumps(report, indent=2) + "\n")
        write(paths["page"], _preflight_page.page(report))
        repair = stem.with_name(stem.name + "-repair.yml")
        text = _repairs.playbook(report, repair.name)
        if text:
            write(repair, text)
            paths["repair"] = repair
        else:
            # What was repaired must not be repaired again.
            repair.unlink(missing_ok=True)
        return {name: str(path) for name, path in paths.items()}
