# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out which hop is next. Documented in plugins/modules/upgrade_hop.py."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils import _hops
from ..plugin_utils._inspection import Refusal

OPTIONS = {"hops": {"type": "raw", "required": True}, "hosts": {"type": "list", "elements": "str", "required": True}}


class ActionModule(ActionBase):
    """Reads what series_info has registered; changes nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        dummy, values = self.validate_argument_spec(argument_spec=OPTIONS)
        try:
            hops = _hops.checked(values["hops"])
            machines = {host: variables["hostvars"][host].get("__hop_release") for host in values["hosts"] if host != "localhost"}
            hop = _hops.next_hop(hops, machines)
        except Refusal as problem:
            return {**result, "failed": True, "kind": problem.kind, "msg": problem.msg}
        said = _hops.sentence(hops, hop)
        Display().display(said)
        return {**result, "changed": False, "target": hop.target, "number": hop.number, "left": list(hop.left), "msg": said}
