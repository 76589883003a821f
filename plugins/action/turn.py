# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a machine's turn and gives it back. Documented in plugins/modules/turn.py."""

from __future__ import annotations

import time
import typing as t

from ansible import constants as C
from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._lease.lease import LeaseError
from ..plugin_utils import _action_options, _leadership, _spec
from ..plugin_utils._applications import ApplicationsError
from ..plugin_utils._heartbeat import Heartbeat
from ..plugin_utils._plan import PlanError
from ..plugin_utils._run_book import RunBook, missing_proof
from ..plugin_utils._turn_file import NoBook, TurnFile

OPTIONS = {
    "state": {"type": "str", "choices": ["take", "give", "close"], "required": True},
    "proof": {"type": "dict"},
    "reason": {"type": "str"},
    "timeout": {"type": "int", "default": 86400},
    "turn_file": {"type": "path"},
}
# A waiting machine looks again this often even when nothing has changed: the heartbeat wants it.
LOOK_AGAIN = 5.0
# Kinds of refusal that say nothing about the application; the endpoint may just be restarting.
PASSING = ("unreachable", "stopping", "timeout", "not_durable")
ENDPOINT_PATIENCE = 120.0


class ActionModule(ActionBase):
    """The book of turns decides; the endpoint freezes and thaws."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        self._values = _action_options.options(self, OPTIONS, variables, endpoint_required=False)
        self._host = str(variables.get("inventory_hostname", "localhost"))
        self._check = bool(self._task.check_mode)
        path = _action_options.turn_file(self._values, variables)
        try:
            if path is None:
                raise NoBook("there is no plan yet; run upgrade_plan for localhost first, in the same execution.")
            self._book = TurnFile(path)
            self._heart = Heartbeat(self._book, self._client, Display().warning)
            work = {"take": self._take, "give": self._give, "close": self._close}[self._values["state"]]
            answer = work(variables)
            return {**result, "changed": False, "run": self._book.read()["run"], **answer}
        except LeaseError as problem:
            return {**result, "failed": True, "kind": problem.kind, "msg": problem.msg}
        except (NoBook, PlanError, ApplicationsError, ValueError) as problem:
            return {**result, "failed": True, "kind": "invalid", "msg": str(problem)}

    def _client(self) -> t.Any:
        return _action_options.client(self._values)

    def _take(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        until, said, silent = time.monotonic() + self._values["timeout"], "", 0.0
        while True:
            # What was pinned for a dead run after another one has finished its work would stay pinned.
            self._heart.check()
            edition = self._book.edition()
            try:
                decision, changed, words = _leadership.take(self._book, self._host, self._client, self._check)
            except LeaseError as problem:
                silent = silent or time.monotonic()
                if problem.kind not in PASSING or time.monotonic() - silent >= ENDPOINT_PATIENCE:
                    raise
                Display().warning("%s waits for the lease endpoint: %s" % (self._host, problem.msg))
                time.sleep(LOOK_AGAIN)
                continue
            silent = 0.0
            for word in words:
                self._say(word)
            if decision.kind == "go":
                return self._may_go(variables, changed)
            if decision.kind == "halted":
                return self._halted(decision.why, "halted")
            if decision.why != said:
                said = decision.why
                self._say("%s waits: %s" % (self._host, said))
            jammed = self._jammed()
            if jammed or time.monotonic() >= until:
                why = jammed or "%s has waited for its turn for %d s (%s)" % (self._host, self._values["timeout"], said)
                with self._book.edit() as content:
                    RunBook(content).give(self._host, False, why)
                return self._halted(why, "forks" if jammed else "timeout")
            self._heart.beat()
            self._book.wait_for_change(edition, LOOK_AGAIN)

    def _may_go(self, variables: dict[str, t.Any], changed: bool) -> dict[str, t.Any]:
        content = self._book.read()
        book = RunBook(content)
        answer = {"turn": "go", "changed": changed, "applications": _leadership.told(book, book.of(self._host)), "msg": "it is the turn of %s" % self._host}
        if content["purpose"] == "upgrade":
            known = {name: _action_options.variable_of(self, variables, name) for name in _spec.VARIABLES if name in variables}
            answer["spec"] = _spec.spec(self._host, content["run"], content["session"], known, variables.get("__preflight_facts"))
        return answer

    def _halted(self, why: str, kind: str) -> dict[str, t.Any]:
        return {"turn": "halted", "failed": True, "kind": kind, "msg": "%s does not go: %s" % (self._host, why)}

    def _jammed(self) -> str:
        forks = context.CLIARGS.get("forks") or C.DEFAULT_FORKS
        return RunBook(self._book.read()).jammed(int(forks))

    def _give(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        content = self._book.read()
        begun = RunBook(content).state(self._host)
        proof = self._values["proof"]
        lacking = "" if self._check else missing_proof(self._host, proof, content["purpose"], content["target"])
        reason = str(self._values["reason"] or "").strip()
        why = _why(lacking, reason, proof or {})
        with self._book.edit() as content:
            book = RunBook(content)
            book.give(self._host, not lacking, why)
            state, applications = book.state(self._host), book.of(self._host)
        answer: dict[str, t.Any] = {"turn": state, "unpinned": {}}
        if state == "done":
            unpinned, problems = _leadership.let_go(self._book, applications, self._client, self._check, self._say)
            answer.update(unpinned=unpinned, changed=bool(unpinned) and not self._check, msg="%s is through" % self._host)
            if any(unpinned.values()) and content["pin"]:
                answer.update(failed=True, kind="leader_changed", msg=" ".join(problems))
        elif begun == "running":
            answer.update(failed=True, kind="no_proof", msg=why)
        else:
            # The turn was never taken; the task that could not take it has failed already and said why.
            answer["msg"] = RunBook(self._book.read()).turns.machines[self._host]["why"]
        book = RunBook(self._book.read())
        if not answer.get("failed"):
            answer["applications"] = _leadership.told(book, applications)
        if book.turns.over and not self._check:
            # Were everybody to fail, the play would end here, and nothing after it would run.
            _leadership.step_down(self._book, self._client)
        return answer

    def _close(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        with self._book.edit() as content:
            book = RunBook(content)
            for host, entry in book.turns.machines.items():
                if entry["state"] in ("running", "waiting", "pending"):
                    # Ansible drops an unreachable host without running its always; what is not known is not done.
                    book.turns.give(host, False, "it never gave its turn back" if entry["state"] == "running" else "its turn never came")
            applications = sorted(content["applications"])
        unpinned, problems = _leadership.let_go(self._book, applications, self._client, self._check, self._say)
        if not self._check:
            _leadership.step_down(self._book, self._client)
        halted = _leadership.halted(applications, self._client) if applications and not self._book.read()["blind"] else {}
        book = RunBook(self._book.read())
        told = _leadership.told(book, applications, halted)
        machines = {host: {"state": entry["state"], "why": entry["why"]} for host, entry in book.turns.machines.items()}
        answer = {"changed": bool(unpinned) and not self._check, "unpinned": unpinned, "applications": told, "machines": machines}
        if problems:
            answer.update(failed=True, kind="leader_changed" if any(unpinned.values()) else "pinned", msg=" ".join(problems))
        return answer

    @staticmethod
    def _say(text: str) -> None:
        Display().display(text)


def _why(lacking: str, reason: str, proof: t.Mapping[str, t.Any]) -> str:
    """The one reason for a failure: what the proof lacks, and what the task said unless that is the same."""
    if not lacking or not reason or proof.get("reason") or reason in lacking:
        return lacking
    return "%s (%s)" % (lacking, reason) if proof else reason
