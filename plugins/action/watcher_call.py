# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converses with a machine's watcher over its control socket. Documented in plugins/modules/watcher_call.py."""

from __future__ import annotations

import os
import shlex
import time
import typing as t
import uuid

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils import _action_options, _left_request, _spare_login
from ..plugin_utils._control_channel import ChannelError, NoWatcher, Target, connect
from ..plugin_utils._conversation import CHANGING, Conversation, Refused, Telling
from ..plugin_utils._errand import Errand
from ..plugin_utils._heartbeat import Heartbeat
from ..plugin_utils._turn_file import TurnFile

OPTIONS = {
    "do": {
        "type": "str", "required": True,
        "choices": ["status", "drain", "upgrade", "rollback", "commit", "abort", "hold", "resume", "extend", "expect_disruption", "clean", "wait", "shutdown"],
    },
    "reason": {"type": "str"},
    "seconds": {"type": "int"},
    "force": {"type": "list", "elements": "str"},
    "until": {"type": "str", "choices": ["answered", "watching", "settled"]},
    "expect": {"type": "list", "elements": "str"},
    "timeout": {"type": "int", "default": 14400},
    "reconnect_timeout": {"type": "int", "default": 900},
    "upgrade_id": {"type": "str"},
    "control_socket": {"type": "path"},
    "transport": {"type": "str", "choices": ["auto", "local", "paramiko", "openssh"], "default": "auto"},
    "turn_file": {"type": "path"},
}
# A mere question is not worth a long wait.
PATIENCE_OF_STATUS = 10.0
# A watcher that was just started needs a moment; one that was never armed will not come.
FIRST_ANSWER = 10.0
SSH_PLUGINS = ("ssh", "ansible.builtin.ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh")


class ActionModule(ActionBase):
    """An SSH channel of its own to the socket; no Python on the machine."""

    TRANSFERS_FILES = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        values = _action_options.options(self, OPTIONS, variables, endpoint_required=False)
        host = str(variables.get("inventory_hostname", "localhost"))
        path = values["control_socket"] or os.path.join(
            str(_action_options.variable_of(self, variables, "upgrade_watcher_runtime_dir", "/run/series-upgrade")), "control.sock")
        turn_file = _action_options.turn_file(values, variables)
        book = TurnFile(turn_file) if turn_file and os.path.exists(turn_file) else None
        beat, tell = self._ties(values, book, host)
        errand = Errand(
            host, values["do"], until=values["until"], expect=values["expect"], reason=values["reason"], seconds=values["seconds"],
            upgrade_id=values["upgrade_id"], force=values["force"],
        )
        question = values["do"] == "status" or self._task.check_mode
        conversation: Conversation | None = None
        try:
            target, transport = self._target(host, values["transport"])
            conversation = Conversation(
                host, lambda: connect(target, transport), path, beat=beat, tell=tell, note=Display().display,
                patience=PATIENCE_OF_STATUS if question else values["reconnect_timeout"], first=0.0 if question else FIRST_ANSWER,
                record=lambda event, at: book.chronicle.told(host, event, at) if book is not None else None,
                log_in=_spare_login.tie(target, transport),
            )
            deadline = time.monotonic() + values["timeout"]
            if self._task.check_mode:
                return {**result, **errand.rehearse(conversation, deadline)}
            try:
                return {**result, **errand.run(conversation, deadline)}
            except NoWatcher as problem:
                if values["do"] in CHANGING and values["do"] not in _left_request.BRAKES:
                    raise NoWatcher("%s Start it and ask again; only %s are left there for the next one." % (
                        problem.msg, ", ".join(_left_request.BRAKES))) from problem
                # Whether it is the right upgrade, only a watcher can tell.
                if values["do"] not in _left_request.BRAKES or values["upgrade_id"]:
                    raise
                errand.left(self._leave(problem, values, variables))
            return {**result, **errand.run(conversation, deadline)}
        except ChannelError as problem:
            if book is not None and not isinstance(problem, Refused):
                book.chronicle.lost(host, problem.msg)
            return {**result, **errand.failure(problem)}
        finally:
            if conversation is not None:
                conversation.close()

    def _leave(self, problem: NoWatcher, values: dict[str, t.Any], variables: dict[str, t.Any]) -> str:
        """Leaves the request on the machine, by Ansible's own connection, and has a watcher started. Returns what was said there."""
        state_dir = str(_action_options.variable_of(self, variables, "upgrade_watcher_state_dir", "/var/lib/series-upgrade"))
        Display().display("%s The %s is left on the machine, and a watcher is started." % (problem.msg, values["do"]))
        script = _left_request.script(state_dir, values["do"], uuid.uuid4().hex, values["reason"], values["force"])
        try:
            done = self._low_level_execute_command(script)
        except AnsibleError as error:
            raise NoWatcher("%s The request could not be left there either: %s" % (problem.msg, error)) from error
        if done["rc"] == _left_request.NOT_ARMED:
            raise problem
        said = str(done.get("stdout") or done.get("stderr") or "").strip()
        if done["rc"] == _left_request.NOT_LET_IN:
            raise NoWatcher("%s The %s could not be left there either: this user may not enter %s; use become." % (problem.msg, values["do"], state_dir))
        if done["rc"] == _left_request.NOT_LEFT:
            raise NoWatcher("%s The %s could not be left there either: %s" % (problem.msg, values["do"], said or "nothing can be written in " + state_dir))
        return said

    def _ties(self, values: dict[str, t.Any], book: TurnFile | None, host: str) -> tuple[t.Callable[[], None], t.Callable[..., None]]:
        """What ties this conversation to its run: the pulse of its pins, and the book in which others see how far we are."""
        show = Display()
        if book is None:
            return (lambda: None), Telling(host, show.display, show.vv)
        heart = Heartbeat(book, lambda: _action_options.client(values), show.warning)

        def say(line: str) -> None:
            show.display(line)
            book.note(host, line.partition(": ")[2])

        return heart.beat, Telling(host, say, show.vv)

    def _target(self, host: str, transport: str) -> tuple[Target, str]:
        """The machine as this host's connection variables describe it."""
        connection = self._connection
        kind = getattr(connection, "ansible_name", None) or connection.transport
        if transport == "local" or (transport == "auto" and kind in ("local", "ansible.builtin.local")):
            return Target(host, "localhost"), "local"
        if kind not in SSH_PLUGINS:
            raise ChannelError("%s has the connection %s, through which no socket can be reached; use ssh or local." % (host, kind))
        arguments = [word for option in ("ssh_args", "ssh_common_args", "ssh_extra_args") for word in shlex.split(self._option(option) or "")]
        port = self._option("port")
        return Target(
            host,
            str(self._option("host") or host),
            port=int(port) if port else None,
            user=self._option("remote_user") or None,
            key_file=os.path.expanduser(self._option("private_key_file")) if self._option("private_key_file") else None,
            password=self._option("password") or None,
            ssh_args=tuple(_without_sharing(arguments)),
            ssh_executable=self._option("ssh_executable") or "ssh",
            host_key_checking=bool(self._option("host_key_checking", True)),
            timeout=float(self._option("timeout") or 10),
        ), transport

    def _option(self, name: str, default: t.Any = None) -> t.Any:
        try:
            return self._connection.get_option(name)
        except (KeyError, ValueError):
            return default


def _without_sharing(arguments: list[str]) -> list[str]:
    """ARGUMENTS without those of a shared master connection, which would outlive the conversation."""
    kept, index = [], 0
    while index < len(arguments):
        word = arguments[index]
        if word == "-o" and index + 1 < len(arguments):
            if not arguments[index + 1].lower().startswith(("controlmaster", "controlpersist", "controlpath")):
                kept += [word, arguments[index + 1]]
            index += 2
            continue
        if not word.lower().startswith(("-ocontrolmaster", "-ocontrolpersist", "-ocontrolpath")):
            kept.append(word)
        index += 1
    return kept
