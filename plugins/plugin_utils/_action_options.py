# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The options of the in-process actions: their own, those of the endpoint, and where the book of turns is.

Private room of the collection. An option that the task does not give is looked for in the host's variables before the environment.
"""

from __future__ import annotations

import typing as t

from ..module_utils._module import ENDPOINT_OPTIONS, client as client_of

VARIABLES = {"endpoint_url": "lease_endpoint_url", "endpoint_token": "lease_endpoint_token", "endpoint_ca_file": "lease_endpoint_ca_file"}


def options(action: t.Any, own: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any], endpoint_required: bool = True) -> dict[str, t.Any]:
    """The checked options of ACTION. Raises AnsibleActionFail, as Ansible's own check does."""
    spec = {**ENDPOINT_OPTIONS, **own}
    if not endpoint_required:
        spec["endpoint_url"] = {**spec["endpoint_url"], "required": False}
    for option, variable in VARIABLES.items():
        if option not in action._task.args and task_vars.get(variable) not in (None, ""):
            value = variable_of(action, task_vars, variable)
            if value not in (None, ""):
                action._task.args[option] = value
    checked, values = action.validate_argument_spec(argument_spec=spec)
    return values


def client(values: t.Mapping[str, t.Any]) -> t.Any:
    """A client of the endpoint. Raises LeaseError."""
    return client_of({**values, "endpoint_url": values.get("endpoint_url") or ""})


def variable_of(action: t.Any, task_vars: t.Mapping[str, t.Any], name: str, default: t.Any = None) -> t.Any:
    """The host's variable NAME with its templates filled in."""
    if name not in task_vars:
        return default
    return action._templar.template(task_vars[name])


def turn_file(values: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any]) -> str | None:
    """Path of the book of turns: the option, or what upgrade_plan left at localhost."""
    if values.get("turn_file"):
        return str(values["turn_file"])
    for facts in (task_vars.get("series_upgrade_plan"), (_localhost(task_vars) or {}).get("series_upgrade_plan")):
        if isinstance(facts, t.Mapping) and facts.get("turn_file"):
            return str(facts["turn_file"])
    return None


def _localhost(task_vars: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any] | None:
    try:
        return task_vars["hostvars"]["localhost"]
    except (KeyError, TypeError):
        return None
