# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What is wanted of a machine, told to its watcher, and what came of it: ask first, then act, then follow until it is settled.

Private room of the collection. Because it asks first, a repeated errand picks up what an earlier one has begun.
"""

from __future__ import annotations

import typing as t

from ._control_channel import ChannelError, NoWatcher
from ._conversation import SETTLED, TERMINAL, Conversation, Refused

FOLLOWED = ("upgrade", "rollback", "commit", "abort", "wait")
# Verb: states in which it has been begun or carried out already. Sending it again would be refused, or do it twice.
UNDER_WAY = {
    "upgrade": ("UPGRADING", "REBOOTING", "WATCHING", "COMMITTING", "COMMITTED"),
    "rollback": ("ROLLBACK_REQUESTED", "ROLLING_BACK", "ROLLED_BACK", "ABORTED"),
    "commit": ("COMMITTING", "COMMITTED"),
    "abort": ("ABORTED",),
    "hold": ("HELD",),
}
EXPECTED = {"upgrade": ("COMMITTED",), "commit": ("COMMITTED",), "rollback": ("ROLLED_BACK", "ABORTED"), "abort": ("ABORTED",)}
# An upgrade that was begun in one of these is not to be begun anew by a mere repetition.
NOT_FROM = {"upgrade": ("HELD", "INVALID", "ROLLBACK_FAILED", "ROLLBACK_REQUESTED", "ROLLING_BACK", "ROLLED_BACK", "ABORTED")}
# How a settled machine that is not where it was wanted is called; what to do next differs. Anything else is unexpected, and for a person.
ELSEWHERE = {"ROLLED_BACK": "rolled_back", "ABORTED": "aborted", "HELD": "held"}
# What proves an outcome and tells a person about it. The rest (history, health) is for whoever asks for the status.
TOLD = (
    "state", "series", "source_series", "target_series", "upgrade_id", "run", "machine", "reason", "since", "phase", "boot_id", "generation",
    "grace_remaining", "can_roll_back", "report",
)


class Errand:
    """DO at HOST. `run` carries it out over a conversation, `rehearse` says what it would do; both answer a task's result."""

    def __init__(
        self,
        host: str,
        do: str,
        until: str | None = None,
        expect: t.Sequence[str] | None = None,
        reason: str | None = None,
        seconds: int | None = None,
        upgrade_id: str | None = None,
        force: t.Sequence[str] | None = None,
    ) -> None:
        self._host, self._do = host, do
        self._until = until or ("settled" if do in FOLLOWED else "answered")
        self._expect = tuple(expect or EXPECTED.get(do, ()))
        if self._until == "watching" and not expect and do == "upgrade":
            self._expect += ("WATCHING",)
        self._reason, self._seconds, self._upgrade_id = reason, seconds, upgrade_id
        # Names of applications, and only a rollback can be forced over their points of no return.
        self._force = list(force) if force and do == "rollback" else None
        self._status: dict[str, t.Any] = {}
        self._changed = False
        self._left = ""

    def run(self, conversation: Conversation, deadline: float) -> dict[str, t.Any]:
        """Raises ChannelError; `failure` makes a result of it."""
        self._status = conversation.status(deadline)
        self._is_ours()
        seq = self._status.get("seq") or max([event.get("seq", 0) for event in self._status.get("history") or []], default=0)
        verb = self._needed()
        if verb:
            generation = self._status.get("generation") if verb == "commit" else None
            answer = conversation.ask(verb, deadline, reason=self._reason, seconds=self._seconds, if_generation=generation,
                                      force=self._force if verb == "rollback" else None)
            self._changed = self._changed or answer.get("result") == "accepted"
            self._status = conversation.status(deadline)
        if self._until != "answered" and self._do != "status":
            self._status = conversation.follow(self._enough, deadline, since=seq)
        return self._outcome()

    def left(self, said: str) -> None:
        """The request was left on the machine, where SAID was said; now `run` finds it under way."""
        self._left = said
        self._changed = ": accepted" in said

    def rehearse(self, conversation: Conversation, deadline: float) -> dict[str, t.Any]:
        """Asks for the status, and whether a rollback would be accepted; nothing is changed. Raises ChannelError."""
        try:
            self._status = conversation.status(deadline)
        except NoWatcher:
            if self._do == "status":
                raise
            return {"changed": self._do != "wait", "msg": "%s has no watcher yet; it would be asked to %s once it is armed" % (self._host, self._do)}
        self._is_ours()
        verb = self._needed()
        if verb == "rollback":
            conversation.ask("may_roll_back", deadline, force=self._force)
        would = "%s is %s and would be asked to %s" % (self._host, self._status.get("state"), verb) if verb else "%s is %s" % (
            self._host, self._status.get("state"))
        return {"changed": bool(verb), "status": self._shown(), "state": self._status.get("state"), "msg": would}

    def failure(self, problem: ChannelError) -> dict[str, t.Any]:
        """The result when the conversation could not be held to its end, with what is known."""
        result: dict[str, t.Any] = {"failed": True, "changed": self._changed, "kind": problem.kind, "msg": problem.msg}
        if self._left and isinstance(problem, NoWatcher):
            result["msg"] += " When the %s was to be left there, the machine said: %s" % (self._do, self._left)
        if self._status:
            result.update(status=self._shown(), state=self._status.get("state"))
        if isinstance(problem, Refused):
            result["refusal"] = problem.answer.get("kind")
        return result

    def _is_ours(self) -> None:
        found = self._status.get("upgrade_id")
        if self._upgrade_id and found != self._upgrade_id:
            problem = ChannelError("%s is in the upgrade %s and not in %s; arm it first." % (self._host, found, self._upgrade_id))
            problem.kind = "other_upgrade"
            raise problem

    def _needed(self) -> str | None:
        """The verb to send; None when it is under way, or only asked for."""
        state = self._status.get("state")
        if self._do in ("status", "wait") or state in UNDER_WAY.get(self._do, ()) or state in NOT_FROM.get(self._do, ()):
            return None
        if self._do == "rollback" and state == "ARMED":
            return "abort"  # nothing was done yet, so there is nothing to go back from
        return self._do

    def _enough(self, status: t.Mapping[str, t.Any]) -> bool:
        state = status.get("state")
        if status.get("aborting") and state not in TERMINAL:
            return False  # accepted, and about to be done
        return state in SETTLED or (self._until == "watching" and state == "WATCHING")

    def _outcome(self) -> dict[str, t.Any]:
        state = self._status.get("state")
        result: dict[str, t.Any] = {"changed": self._changed, "status": self._shown(), "state": state}
        if self._until == "answered" or not self._expect or state in self._expect:
            return {**result, "msg": "%s is %s" % (self._host, state)}
        why = self._status.get("reason")
        return {**result, "failed": True, "kind": ELSEWHERE.get(str(state), "unexpected"), "msg": "%s is %s%s%s" % (
            self._host, state, ": %s" % str(why).rstrip(".") if why else "", self._advice(state))}

    def _advice(self, state: t.Any) -> str:
        return {
            "HELD": ". It waits for a person: resume, commit or roll it back.",
            "INVALID": ". Its marker cannot be read; look at the state directory on the machine.",
            "ROLLBACK_FAILED": ". It needs a person.",
        }.get(str(state), "")

    def _shown(self) -> dict[str, t.Any]:
        """The status without the envelope; short unless it is what was asked for."""
        if self._do == "status":
            return {key: value for key, value in self._status.items() if key not in ("v", "ok", "result", "do", "request_id")}
        return {key: self._status[key] for key in TOLD if key in self._status}
