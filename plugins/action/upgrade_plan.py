# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans who goes when, prints it, and opens the book of turns. Documented in plugins/modules/upgrade_plan.py."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import typing as t

from ansible import constants as C
from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._lease.lease import LeaseError
from ..plugin_utils import _action_options, _inspection, _promotions, _run_book
from ..plugin_utils._applications import ApplicationsError, read
from ..plugin_utils._inspection import Refusal
from ..plugin_utils._plan import PlanError, plan
from ..plugin_utils._turn_file import TurnFile

OPTIONS = {
    "applications": {"type": "dict", "required": True},
    "target": {"type": "raw", "required": True},
    "run": {"type": "str"},
    "purpose": {"type": "str", "choices": ["upgrade", "rollback"], "default": "upgrade"},
    "scope": {"type": "list", "elements": "str", "default": ["all"]},
    "pin": {"type": "bool", "default": True},
    "pin_duration": {"type": "int", "default": 3600},
    "takeover": {"type": "bool", "default": False},
    "force": {"type": "list", "elements": "str", "default": []},
    "preflight": {"type": "dict"},
}
# The endpoint may be gone for long, and that is no reason to leave machines as they are.
GONE = ("unreachable", "timeout", "stopping")
WITHOUT = " To go back without the endpoint, while leaders may change: -e series_upgrade_pin=false."


class ActionModule(ActionBase):
    """Reads leaders and preflight results; changes nothing but a file of its own."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        # A way back is needed most when the endpoint is gone, and who says that leaders may change needs none.
        without = self._task.args.get("purpose") == "rollback" and not boolean(self._task.args.get("pin", True), strict=False)
        values = _action_options.options(self, OPTIONS, variables, endpoint_required=bool(self._task.args.get("applications")) and not without)
        try:
            return {**result, **self._plan(values, variables)}
        except LeaseError as problem:
            hint = WITHOUT if problem.kind in GONE and values["purpose"] == "rollback" and values["pin"] else ""
            return {**result, "failed": True, "kind": problem.kind, "msg": _inspection.next_step(problem) + hint}
        except (PlanError, ApplicationsError) as problem:
            return {**result, "failed": True, "kind": "invalid", "msg": "%s %s" % (problem.msg, _inspection.UNCHANGED)}
        except Refusal as problem:
            return {**result, "failed": True, "kind": problem.kind, "msg": problem.msg}

    def _plan(self, values: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        target, purpose = _inspection.target(values["target"]), values["purpose"]
        run = values["run"] or "to-%s" % target
        controller = os.getppid()
        session = "%s:%d:%s" % (socket.gethostname(), controller, secrets.token_hex(3))
        applications = read(values["applications"])
        hosts = list(variables.get("groups", {}).get("all", []))
        chosen = _inspection.scope(values["scope"], applications, hosts)
        if not chosen and not applications:
            raise Refusal("invalid", "series_upgrade_applications is empty, so there is nothing to plan; say in it what runs where. %s" % _inspection.UNCHANGED)
        results = values["preflight"] if values["preflight"] is not None else _preflights(variables, hosts)
        machines = _inspection.machines(applications, hosts, chosen, results, purpose, run, target, bool(context.CLIARGS.get("subset")))
        if purpose == "rollback":
            _inspection.points_of_no_return(applications, machines, target, values["force"])

        pinner, leases, blind = "", {}, False
        concerned = [name for name, application in applications.items() if any(host in machines and machines[host].goes for host in application.machines)]
        if applications:
            try:
                client = _action_options.client(values)
                pinner = _inspection.pinner(client.whoami(), run, concerned if values["pin"] else [])
                leases = client.leases(sorted(applications))
            except LeaseError as problem:
                blind = purpose == "rollback" and not values["pin"] and (problem.kind in GONE or not values["endpoint_url"])
                if not blind:
                    raise
                Display().warning("Nobody can be asked who leads (%s): machines go back wherever the leaders are." % problem.msg.rstrip("."))
            _inspection.free(leases, concerned, pinner, values["takeover"])
        # The plan calls a target what the machines go to, and a rollback knows only what they come from.
        made = plan(values["applications"], _inspection.leaders(leases), machines, purpose=purpose, target="" if purpose == "rollback" else target)
        if made.blocked and not made.hosts:
            raise Refusal("blocked", "no machine can go. %s" % " ".join("%s." % why.rstrip(".") for why in made.blocked.values()))

        content = _run_book.opening(made, target, run, session, pinner, values["pin"], values["pin_duration"], values["takeover"], controller, blind)
        for name, lease in leases.items():
            if lease.pin_of(pinner) is not None and name in content["applications"]:
                content["applications"][name]["pinned_before"] = True
        book = TurnFile.create(tempfile.mkdtemp(prefix="series-upgrade-", dir=C.DEFAULT_LOCAL_TMP), content)
        skipped = {host: _inspection.why_skipped(machines[host], purpose, target) for host in made.skipped}
        tree = made.tree()
        Display().display(tree)
        meant = {name: leases[name].meaning for name in concerned if values["pin"] and name in leases and leases[name].meaning}
        for name in meant:
            Display().display("%s: %s" % (name, meant[name]))
        facts = {
            "run": run, "session": session, "target": target, "purpose": purpose, "hosts": made.hosts, "players": _players(made.hosts),
            "skipped": skipped, "failed": dict(made.blocked),
            "applications": sorted(content["applications"]), "hash": made.hash, "tree": tree, "turn_file": book.path, "pins": meant,
        }
        told = _promotions.warnings(applications, made.hosts, results) if purpose == "upgrade" else []
        return {"changed": False, "msg": _inspection.summary(made, skipped, purpose, target), "ansible_facts": {"series_upgrade_plan": facts},
                **({"warnings": told} if told else {})}


def _players(hosts: list[str]) -> list[str]:
    """HOSTS, and the controller beside them: a play in which everybody fails ends the playbook, and nobody would report."""
    return [*([] if "localhost" in hosts else ["localhost"]), *hosts] if hosts else []


def _preflights(variables: t.Mapping[str, t.Any], hosts: t.Iterable[str]) -> dict[str, t.Any]:
    """What the preflight registered at every host; a host it did not come to is missing. Where it broke, what the watcher said."""
    found = {}
    for host in hosts:
        known = variables["hostvars"][host]
        result = known.get("__preflight_facts")
        if result is not None:
            found[host] = _inspection.told_by_watcher(result, known.get("__status_answer"))
    return found
