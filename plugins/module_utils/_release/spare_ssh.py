# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A second sshd for the time of the upgrade: a copy of the old program on a port of its own, proved by a login before anything is changed.

While openssh-server is replaced, new logins at its own port may fail for minutes, and a configuration that the new one does not take would lock
everybody out. The copy does not execute itself anew for each connection, so it does not matter what becomes of the files it was made from. It ends
with the machine's reboot at the latest. Private room of the collection.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, List, Mapping, Optional

from . import kept, report, ssh
from .._watcher import files
from .._watcher.steps import Context, StepFailed
from .said import said

UNIT = "series-upgrade-sshd.service"
FOLDER, LOG = "spare-sshd", "log"
DEFAULTS = {"port": 1022, "required": False, "patience": 60}
# From OpenSSH 9.8 on a connection is another program's, which must be the copy's sister and not the new release's.
SISTERS = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
# sshd needs /run/sshd for each login. It belongs to ssh.service, which takes it away when it is stopped: that is just when the spare one is needed.
DROP_IN = "series-upgrade.conf"
PRESERVE = "# Written by series-upgrade for the time of an upgrade.\n[Service]\nRuntimeDirectoryPreserve=yes\n"
KEY = "spare_ssh"


def checked(option: Any) -> Optional[Mapping[str, Any]]:
    """{"port", "required", "patience"}; None when none is wanted. Raises StepFailed."""
    if option is False:
        return None
    given = {} if option in (None, True) else option
    if not isinstance(given, dict) or set(given) - set(DEFAULTS):
        raise StepFailed("series_upgrade_debian.spare_ssh is false or says {0}; correct it.".format(", ".join(sorted(DEFAULTS))))
    whole = dict(DEFAULTS, **given)
    if isinstance(whole["port"], bool) or not isinstance(whole["port"], int) or not 0 < whole["port"] < 65536:
        raise StepFailed("series_upgrade_debian.spare_ssh.port is {0!r}; give a number from 1 to 65535.".format(whole["port"]))
    return whole


class Spare:
    """wanted: what checked() gives. The other arguments say where things are, for tests."""

    def __init__(
        self,
        wanted: Optional[Mapping[str, Any]],
        sshd: str = "/usr/sbin/sshd",
        libexec: str = "/usr/lib/openssh",
        booted: str = "/run/systemd/system",
    ) -> None:
        self._wanted = wanted
        self._sshd = sshd
        self._libexec = libexec
        self._booted = booted

    def start(self, context: Context) -> None:
        """Returns when the spare sshd answers, or the reason why there is none is told. Raises StepFailed when one is required."""
        if self._wanted is None:
            return
        problem = self._problem(context) or self._launch(context)
        if problem:
            self._without(context, problem)

    def await_login(self, context: Context) -> None:
        """Returns when somebody has logged in there, or is given up for. Raises StepFailed when that is required."""
        found = report.told(context, KEY)
        if self._wanted is None or not found or found.get("problem"):
            return
        if not found.get("login"):
            report.tell(context, spare_ssh=dict(found, waiting=True))
            context.progress(None, "waiting for a login at port {0}".format(found["port"]))
            login = self._login(context)
            if login is None:
                self._without(context, "nobody logged in at port {0} within {1} s; is it open in the firewalls on the way?".format(
                    found["port"], self._wanted["patience"]), found)
                return
            report.tell(context, spare_ssh=dict(found, waiting=False, login=login))
            context.progress(None, "{0}, at the spare port".format(login))

    def stop(self, context: Context) -> None:
        """Returns when it is gone and ssh.service as it was. Who has logged in there stays. Repeating it changes nothing."""
        if self._wanted is None or not os.path.isdir(self._booted):
            return
        there = [path for path in self._drop_ins() if os.path.lexists(path)]
        for path in there:
            os.unlink(path)
            if not os.listdir(os.path.dirname(path)):
                os.rmdir(os.path.dirname(path))
        if there:
            self._systemctl(context, "daemon-reload")
        if self._active(context):
            self._systemctl(context, "stop", UNIT)
        shutil.rmtree(os.path.join(context.state_dir, FOLDER), ignore_errors=True)

    def _problem(self, context: Context) -> Optional[str]:
        """Why there can be none on this machine."""
        if not os.path.isdir(self._booted):
            return "systemd does not run here"
        if not os.path.exists(self._sshd):
            return "openssh-server is not installed"
        if ssh.listens(context.run, self._sshd) is None:
            return "sshd does not accept its own configuration"
        return None

    def _launch(self, context: Context) -> Optional[str]:
        port = int(self._wanted["port"])
        if self._active(context) and ssh.banner("127.0.0.1", port):
            report.tell(context, spare_ssh=dict(report.told(context, KEY) or {}, port=port))
            return None
        places = ssh.listens(context.run, self._sshd) or []
        addresses = list(dict.fromkeys(address for address, _port in places))
        if any(ssh.banner(address, port) for address in addresses):
            return "somebody else listens at port {0}; choose another".format(port)
        try:
            program, sisters = self._copy(os.path.join(context.state_dir, FOLDER))
            self._preserve(context)
        except OSError as problem:
            return "its program could not be copied: {0}".format(problem)
        log = os.path.join(context.state_dir, FOLDER, LOG)
        # An address that its configuration names with a port of its own is taken already, which sshd only remarks upon.
        listen = [word for address in addresses for word in ("-o", "ListenAddress={0}:{1}".format("[%s]" % address if ":" in address else address, port))]
        command = [program, "-D", "-r", "-E", log, "-o", "LogLevel=INFO", "-o", "PidFile=none"] + listen + sisters
        if self._active(context):
            self._systemctl(context, "stop", UNIT)
        if os.path.exists(log):
            os.unlink(log)  # A login of an earlier attempt proves nothing now.
        started = context.run(["systemd-run", "--quiet", "--collect", "--unit", UNIT, "--property", "KillMode=process",
                               "--property", "OOMScoreAdjust=-900", "--property", "Restart=on-failure", "--"] + command)
        if started.rc != 0:
            return "it could not be started: {0}".format(said(started))
        for _attempt in range(50):
            if all(ssh.banner(address, port) for address in addresses):
                report.tell(context, spare_ssh={"port": port})
                return None
            context.wait(0.2)
        return "it was started and does not answer; see {0}".format(log)

    def _copy(self, folder: str) -> Any:
        """(path of the copy, options that name its sisters)"""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        options: List[str] = []
        for option, name in [("", self._sshd)] + [(option, os.path.join(self._libexec, name)) for option, name in SISTERS.items()]:
            if os.path.exists(name):
                fresh = os.path.join(folder, os.path.basename(name))
                shutil.copyfile(name, fresh + ".new")
                os.chmod(fresh + ".new", 0o755)
                os.replace(fresh + ".new", fresh)
                options += ["-o", "{0}={1}".format(option, fresh)] if option else []
        files.sync_directory(folder)
        return os.path.join(folder, os.path.basename(self._sshd)), options

    def _preserve(self, context: Context) -> None:
        for path in self._drop_ins():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            kept.write(path, PRESERVE.encode(), 0o644)
        self._systemctl(context, "daemon-reload")

    def _drop_ins(self) -> List[str]:
        return [os.path.join(self._booted, unit + ".d", DROP_IN) for unit in ("ssh.service",)]

    def _login(self, context: Context) -> Optional[str]:
        path = os.path.join(context.state_dir, FOLDER, LOG)
        for _second in range(max(1, int(self._wanted["patience"] * 2))):
            try:
                login = ssh.accepted(files.read(path, 1 << 20, tail=True).decode("utf-8", "replace"))
            except OSError:
                login = None
            if login:
                return login
            context.wait(0.5)
        return None

    def _without(self, context: Context, problem: str, found: Optional[Mapping[str, Any]] = None) -> None:
        report.tell(context, spare_ssh=dict(found or {"port": self._wanted["port"]}, waiting=False, login=None, problem=problem))
        if self._wanted["required"]:
            raise StepFailed("There is no spare sshd, and one is required: {0}.".format(problem))
        context.progress(None, "going on without a spare sshd: {0}".format(problem))

    @staticmethod
    def _active(context: Context) -> bool:
        return context.run(["systemctl", "is-active", "--quiet", UNIT], timeout=30).rc == 0

    @staticmethod
    def _systemctl(context: Context, *words: str) -> None:
        result = context.run(["systemctl"] + list(words), timeout=120)
        if result.rc != 0:
            raise StepFailed("systemctl {0} failed: {1}".format(words[0], said(result)))
