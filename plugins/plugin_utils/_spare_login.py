# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The login that proves a machine's spare sshd, before its upgrade goes on: in, and out again.

Private room of the collection. The spare one shows the host keys of the machine's own sshd, so it has to be known under that one's name.
"""

from __future__ import annotations

import dataclasses
import subprocess
import typing as t

from . import _control_channel
from ._control_channel import ChannelError, Denied, ParamikoLink, Target, Unreachable, Untrusted


def log_in(target: Target, transport: str, port: int) -> None:
    """
    Returns when somebody has been let in at PORT of TARGET; TRANSPORT as for `connect`, and a local one never is. Raises ChannelError.
    """
    config = _control_channel.effective_config(target)
    host = config.get("hostname", [target.host])[0]
    own_port = int(config.get("port", [str(target.port or 22)])[0])
    alias = config.get("hostkeyalias", [host if own_port == 22 else "[%s]:%d" % (host, own_port)])[0]
    beyond = [word for word in _control_channel.BEYOND_PARAMIKO if config.get(word, ["none"])[0] not in ("none", "internal")]
    if transport == "openssh" or (transport == "auto" and (_control_channel.HAS_PARAMIKO or beyond)):
        _by_openssh(dataclasses.replace(target, port=port), alias)
        return
    try:
        ParamikoLink(target, {**config, "port": [str(port)]}, alias).close()
    except Denied:
        if transport == "paramiko" or target.password is not None:
            raise
        _by_openssh(dataclasses.replace(target, port=port), alias)


def tie(target: Target, transport: str) -> t.Callable[[int], None] | None:
    """What a conversation calls with the port at which a machine waits for a login; None where there is no SSH."""
    return None if transport == "local" else lambda port: log_in(target, transport, port)


def _by_openssh(target: Target, alias: str) -> None:
    command = [target.ssh_executable, "-T"]
    for option in ("ControlMaster=no", "ControlPath=none", "BatchMode=yes", "HostKeyAlias=" + alias):
        command += ["-o", option]
    command += ["-o", "ConnectTimeout=%d" % max(1, int(target.timeout))] + _control_channel.ssh_options(target) + [target.host, "true"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=3 * target.timeout)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unreachable("%s: no login at port %s: %s" % (target.name, target.port, problem)) from problem
    # Whatever else a machine says to "true", it says it to somebody whom it has let in.
    if done.returncode == 255:
        raise _refusal(target, done.stderr.decode("utf-8", "replace").strip())


def _refusal(target: Target, said: str) -> ChannelError:
    kind = Untrusted if "Host key verification failed" in said else Denied if "Permission denied" in said else Unreachable
    return kind("%s: no login at port %s: %s" % (target.name, target.port, (said.splitlines() or ["no answer"])[-1]))
