# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes off the pins a run has left behind, and clears halts. Documented in plugins/modules/unpin.py."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._lease.lease import LeaseError
from ..plugin_utils import _action_options, _inspection, _orphans

OPTIONS = {
    "run": {"type": "str"},
    "target": {"type": "raw"},
    "orphans": {"type": "bool", "default": False},
    "silence": {"type": "float", "default": _orphans.SILENCE},
    "clear_halts": {"type": "list", "elements": "str", "default": []},
    "takeover": {"type": "bool", "default": False},
    "reason": {"type": "str", "default": "an operator asked for it"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        values = _action_options.options(self, OPTIONS, variables)
        try:
            result.update(self._unpin(_action_options.client(values), values))
        except LeaseError as problem:
            result.update(failed=True, kind=problem.kind, msg=_inspection.next_step(problem))
        except _inspection.Refusal as problem:
            result.update(failed=True, kind=problem.kind, msg=problem.msg)
        return result

    def _unpin(self, client: t.Any, values: dict[str, t.Any]) -> dict[str, t.Any]:
        run = values["run"] or "to-%s" % _inspection.target(values["target"])
        mine = "%s/%s" % (client.whoami()["identity"], run)
        listed = client.pins()
        wanted, left = _orphans.own(listed["pins"], mine), []
        if values["orphans"]:
            wanted, left = _orphans.orphans(listed["pins"], values["silence"])
        elif not values["takeover"] and _orphans.refusal(wanted):
            raise _inspection.Refusal("pinned", _orphans.refusal(wanted))
        halts = [halt["application"] for halt in listed["halts"] if {"all", halt["application"]} & set(values["clear_halts"])]

        removed, problems = [], []
        for pinner, names in _orphans.by_pinner(wanted).items():
            outcomes = self._do(names, lambda names, pinner=pinner: client.unpin(names, run, values["reason"], None if pinner == mine else pinner))
            removed += [{"application": name, "pinner": pinner} for name in names if name not in outcomes]
            problems += outcomes.values()
        outcomes = self._do(halts, lambda names: client.clear_halt(names, values["reason"]))
        problems += outcomes.values()
        cleared = [name for name in halts if name not in outcomes]

        said = ["%s is no longer pinned by %s." % (item["application"], item["pinner"]) for item in removed]
        said += ["%s is no longer halted." % name for name in cleared] + left
        text = "\n".join(said or ["There was nothing to unpin."])
        Display().display(text)
        answer = {"changed": bool(removed or cleared), "removed": removed, "cleared": cleared, "left": left, "msg": text}
        if problems:
            answer.update(failed=True, msg=" ".join(problems))
        return answer

    def _do(self, names: list[str], call: t.Callable[[list[str]], t.Mapping[str, t.Any]]) -> dict[str, str]:
        """Calls for NAMES unless this is only a check. What was refused, by application, as sentences."""
        if not names or self._task.check_mode:
            return {}
        return {name: _inspection.next_step(outcome) for name, outcome in call(names).items() if not outcome.ok}
