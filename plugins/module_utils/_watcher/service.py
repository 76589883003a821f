# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a watcher is kept running on a machine: a systemd unit, or a detached process where there is no systemd or no root."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Dict, List, Optional

from .._snapshot import rescue
from . import daemon, files
from .programs import run

UNIT = "series-upgrade-watcher.service"
UNIT_DIR = "/etc/systemd/system"
TEMPLATE = """\
# Written by leasehold.series_upgrade when an upgrade was armed; removed by its module watcher with state=absent.
[Unit]
Description=Watcher of the series upgrade of this machine
After=local-fs.target network.target
# Python may be missing for minutes in the middle of an upgrade; trying again is never wrong.
StartLimitIntervalSec=0

[Service]
# Takes the machine back when it has booted without a Python that runs the watcher; else it does nothing.
ExecStartPre=-/bin/sh -c '[ ! -e {rescue} ] || exec /bin/sh {rescue}'
TimeoutStartSec=3700
ExecStart={command}
Restart=on-failure
RestartSec=1
# Ends that are recorded in the marker: {told}; {not_armed} is "nothing armed".
SuccessExitStatus={success} {not_armed}
# Another watcher holds the lock.
RestartPreventExitStatus={busy}
# The programs of an upgrade go on without us.
KillMode=process
# A step of a rollback is finished before we leave, and a rollback command may take an hour.
TimeoutStopSec=3700
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
"""


class ServiceError(Exception):
    """The service could not be installed, started or removed."""


def arguments(settings: Dict[str, Any]) -> List[str]:
    """The command line of the daemon. settings: {kind, python, program, state_dir, runtime_dir, and optionally boot_id_file, reboot_command}."""
    line = [settings["python"], settings["program"], "serve", "--state-dir", settings["state_dir"], "--runtime-dir", settings["runtime_dir"]]
    if settings["kind"] == "systemd":
        line.append("--transient-units")
    for key in ("boot_id_file", "reboot_command"):
        if settings.get(key):
            line += ["--" + key.replace("_", "-"), settings[key]]
    return line


def unit_text(settings: Dict[str, Any]) -> str:
    return TEMPLATE.format(
        command=" ".join(arguments(settings)),
        rescue=os.path.join(settings["state_dir"], rescue.NAME),
        told=", ".join("{1} {0}".format(state, status) for state, status in daemon.EXIT.items()),
        success=" ".join(str(status) for status in daemon.EXIT.values()),
        not_armed=daemon.EXIT_NOT_ARMED, busy=daemon.EXIT_BUSY,
    )


def unit_path() -> str:
    return os.path.join(UNIT_DIR, UNIT)


def installed(settings: Dict[str, Any]) -> Optional[str]:
    """The text of the unit that is there; None when there is none, or none is needed."""
    if settings["kind"] != "systemd":
        return None
    try:
        with open(unit_path(), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def install(settings: Dict[str, Any]) -> None:
    """Make the watcher start at every boot. Nothing to do for a process."""
    if settings["kind"] != "systemd":
        return
    files.replace(unit_path(), unit_text(settings).encode("utf-8"), mode=0o644)
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", UNIT)


def start(settings: Dict[str, Any]) -> None:
    """Have a watcher started; that it answers is for the caller to see."""
    if settings["kind"] == "systemd":
        # A unit that has just ended in a recorded state may still count as failed or as being restarted.
        _systemctl("restart", UNIT)
        return
    log_dir = os.path.join(settings["state_dir"], "log")
    os.makedirs(log_dir, mode=0o700, exist_ok=True)
    with open(os.path.join(log_dir, "watcher.log"), "ab") as log:
        try:
            subprocess.Popen(arguments(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        except OSError as problem:
            raise ServiceError("the watcher could not be started: {0}".format(problem))


def remove(settings: Dict[str, Any]) -> None:
    """No start at boot any more. The daemon itself must have ended."""
    if settings["kind"] == "systemd" and os.path.exists(unit_path()):
        _systemctl("disable", "--now", "--quiet", UNIT)
        os.unlink(unit_path())
        _systemctl("daemon-reload")


def _systemctl(*words: str) -> None:
    result = run(["systemctl"] + list(words), timeout=120)
    if result.rc != 0:
        raise ServiceError("systemctl {0} failed: {1}".format(" ".join(words), (result.err or result.out).strip()))
