# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the module preflight what only the controller knows: the machine's name, its accepted findings, and what its applications need of it."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils import _action_options, _serves, _still


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        arguments = dict(self._task.args)
        machine = arguments.setdefault("machine", variables.get("inventory_hostname"))
        if "accepted_findings" not in arguments and "series_upgrade_accepted_findings" in variables:
            # As it is: the module says what is wrong with it.
            given = _action_options.variable_of(self, variables, "series_upgrade_accepted_findings")
            arguments["accepted_findings"] = given if isinstance(given, list) else [given]
        if "serves" not in arguments:
            applications = _action_options.variable_of(self, variables, "series_upgrade_applications", {})
            arguments["serves"] = _serves.needs(applications, str(machine))
        at_work = "%s is still being looked at, and what %s will bring is foretold there" % (machine, arguments.get("target"))
        with _still.telling(at_work, Display().display):
            result.update(self._execute_module(module_name="leasehold.series_upgrade.preflight", module_args=arguments, task_vars=variables, tmp=tmp))
        return result
