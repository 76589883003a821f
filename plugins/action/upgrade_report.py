# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells how a run ended, keeps it in a file, and fails when something is left to do. The module of the same name documents it."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _report, _timeline
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._turn_file import NoBook, TurnFile

# Where the watcher's last word about a host may be found: registered by the roles, newest first. A playbook that asks asks before it acts.
REGISTERED = ("__series_rollback_outcome", "__series_upgrade_outcome", "__status_answer")
# What every machine said to the rollback that was not meant yet.
ASKED_BEFORE = "__rollback_would"
display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        dummy, options = self.validate_argument_spec(
            {
                "about": {"type": "str", "choices": ["run", "refusal", "fleet"], "default": "run"},
                "outcome": {"type": "dict", "default": {}},
                "leases": {"type": "dict"},
                "unreadable": {"type": "dict"},
                "directory": {"type": "path", "default": "series_upgrade_reports"},
            }
        )
        if options["about"] == "fleet":
            hosts = [host for host in variables["groups"]["all"] if any(name in variables["hostvars"][host] for name in REGISTERED)]
            words = {host: _last_word(variables, host) for host in hosts}
            text = _report.text_of_fleet(options["leases"], words, time.time(), everything=display.verbosity > 0, unreadable=options["unreadable"])
            display.display(text)
            return {"changed": False, "text": text}
        return self._run_report(options, variables)

    def _run_report(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        plan = variables["hostvars"]["localhost"].get("series_upgrade_plan")
        if not plan:
            return {"failed": True, "msg": "There is no plan to report on; run upgrade_plan before upgrade_report, in the same playbook."}
        hosts = [*plan["hosts"], *plan["skipped"], *plan["failed"]]
        words = {host: _last_word(variables, host) for host in hosts}
        outcome = options["outcome"]
        if options["about"] == "refusal":
            outcome = _report.of_refusals(plan, {host: variables["hostvars"][host].get(ASKED_BEFORE) or {} for host in plan["hosts"]})
        report = _report.of_run(plan, outcome, words, time.time(), **_story(plan.get("turn_file")))
        path = pathlib.Path(options["directory"]).absolute() / _report.file_name(report)
        # A rerun that found everything done must not replace the report of the run that did it.
        written = not self._task.check_mode and not (report["nothing_to_do"] and path.exists())
        page = variables.get("lease_endpoint_url") or os.environ.get("LEASE_ENDPOINT_URL")
        timeline = path.with_suffix(".html")
        if written:
            write(path, json.dumps(report, indent=2) + "\n")
            try:
                write(timeline, _timeline.page(report))
            except Exception as problem:  # a picture that cannot be drawn is no reason to fail a run that is through
                display.warning("The timeline could not be drawn (%s: %s); the report is whole." % (type(problem).__name__, problem))
        there = {name: str(file) for name, file in (("path", path), ("timeline", timeline)) if file.exists()}
        text = _report.text_of_run(report, page=self._templar.template(page) if page else None, **there)
        display.display(text)
        result = {"changed": written, "report": report, "text": text, "path": str(path), "timeline": str(timeline)}
        if self._task.check_mode and options["about"] == "run":
            return result
        if not report["succeeded"]:
            # What was printed above need not be dumped once more as the result of a failed task.
            msg = "Run %s is not finished. %s" % (report["run"], " ".join(report["next"]))
            return {"failed": True, "changed": written, "path": str(path), "timeline": str(timeline), "msg": msg}
        return result


def _story(turn_file: str | None) -> dict[str, t.Any]:
    """What the book of turns and its chronicle can tell for `of_run`. Without them there is a report nevertheless."""
    if not turn_file:
        return {}
    book = TurnFile(turn_file)
    try:
        return {"chronicle": book.chronicle.read(), "book": book.read()}
    except NoBook:
        return {"chronicle": book.chronicle.read()}


def _last_word(variables: dict[str, t.Any], host: str) -> dict[str, t.Any]:
    """What the host's watcher said last: {"status", "msg"}, either may be missing."""
    mine = variables["hostvars"].get(host, {})
    for name in REGISTERED:
        # One that was skipped has said nothing.
        if name in mine and not mine[name].get("skipped"):
            return {key: mine[name][key] for key in ("status", "msg") if mine[name].get(key)}
    return {}


def write(path: pathlib.Path, text: str) -> None:
    """Whole or not at all: another program may be waiting for this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(name, path)
