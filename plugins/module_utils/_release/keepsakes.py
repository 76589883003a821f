# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What is kept in the state directory whatever becomes of the machine: its configuration and package lists as they were, and what a failed
upgrade has to say. Only root may read it: both hold secrets. Private room of the collection.
"""

from __future__ import annotations

import os
import re

from .._watcher import files
from .._watcher.steps import Context, Step, StepFailed
from .said import said

BACKUP, FAILED, DIAGNOSTICS = "backup", "failed", "diagnostics"

# What the release notes of Debian ask to be kept.
KEPT = ("etc", "var/lib/dpkg", "var/lib/apt/extended_states")

LOGS = ("var/log/dpkg.log", "var/log/apt/history.log", "var/log/apt/term.log")
MOST = 1 << 20
QUESTIONS = {
    "journal": ["journalctl", "--boot", "--priority", "warning", "--lines", "2000", "--no-pager"],
    "units": ["systemctl", "--failed", "--no-pager"],
    "audit": ["dpkg", "--audit"],
    "packages": ["dpkg-query", "--show"],
}


def backup(context: Context, root: str = "/") -> None:
    """
    Returns when <state_dir>/backup/<run>.tar.gz is durable, with the list of selections beside it. One that is there is the state before
    the upgrade, and stays as it is. Raises StepFailed.
    """
    folder = _folder(context.state_dir, BACKUP)
    archive = os.path.join(folder, _name(context.run_id) + ".tar.gz")
    if os.path.exists(archive):
        return
    selected = context.run(["dpkg", "--get-selections", "*"])
    if selected.rc != 0:
        raise StepFailed("dpkg does not tell its selections: {0}".format(said(selected)))
    files.replace(os.path.join(folder, _name(context.run_id) + ".selections"), selected.out.encode())
    there = [path for path in KEPT if os.path.lexists(os.path.join(root, path))]
    fresh = archive + ".tmp"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.close(descriptor)
    # 1 says that a file has changed while it was read, which some in /etc do.
    made = context.run(["tar", "--create", "--gzip", "--acls", "--xattrs", "--file", fresh, "--directory", root] + there, timeout=600)
    if made.rc not in (0, 1):
        raise StepFailed("The backup of {0} cannot be written: {1}".format(", ".join("/" + path for path in there), said(made)))
    descriptor = os.open(fresh, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    os.replace(fresh, archive)
    files.sync_directory(folder)


def diagnostics(context: Context, root: str = "/") -> Step:
    """Keep what the failed system says of itself in <state_dir>/failed/<run>. What cannot be had is left out: a rollback goes on."""
    place = os.path.join(context.state_dir, FAILED, _name(context.run_id))

    def keep() -> None:
        try:
            _folder(context.state_dir, FAILED)
            os.makedirs(place, mode=0o700, exist_ok=True)
            for path in LOGS:
                _tail(os.path.join(root, path), os.path.join(place, os.path.basename(path)))
            for name, argv in QUESTIONS.items():
                answer = context.run(argv, timeout=60)
                files.replace(os.path.join(place, name), (answer.out or answer.err).encode("utf-8", "surrogateescape")[-MOST:])
        except OSError as problem:
            context.progress(None, "not all diagnostics could be kept: {0}".format(problem))
        # Once only: after the reboot it would be the old system that speaks.
        context.remember(DIAGNOSTICS, True)

    return Step("diagnostics", "Keep the logs of the failed system", lambda: bool(context.recall(DIAGNOSTICS)), keep, lambda: None)


def _tail(path: str, target: str) -> None:
    if os.path.isfile(path):
        files.replace(target, files.read(path, MOST, tail=True))


def _folder(state_dir: str, name: str) -> str:
    path = os.path.join(state_dir, name)
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def _name(run_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", run_id)
