# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Answers to the questions that packages would ask during the upgrade (debconf preseeding). Private room of the collection.

Lines are those of debconf-set-selections(1): PACKAGE QUESTION TYPE ANSWER. An answer may be a secret, so none is ever shown.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, List

from .._watcher import files
from .._watcher.steps import Context, StepFailed

FOLDER, ASKED = "debconf", "preseed"
DATABASES = ("config.dat", "passwords.dat", "templates.dat")
DONE = "preseeded"


def checked(lines: Any) -> List[str]:
    """The lines, when they are some. Raises StepFailed."""
    lines = [] if lines is None else lines
    if not isinstance(lines, list) or not all(isinstance(line, str) and "\n" not in line and len(line.split(None, 3)) >= 3 for line in lines):
        raise StepFailed("series_upgrade_debian.preseed is a list of lines PACKAGE QUESTION TYPE ANSWER; correct it.")
    return lines


def give(context: Context, lines: List[str], cache: str = "/var/cache/debconf") -> None:
    """Returns when debconf knows the answers, and what it knew before is kept beside. Raises StepFailed."""
    if not lines:
        return
    folder = os.path.join(context.state_dir, FOLDER)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if not context.recall(DONE):
        for name in DATABASES:
            if os.path.isfile(os.path.join(cache, name)):
                _copy(os.path.join(cache, name), os.path.join(folder, name))
        context.remember(DONE, True)
    asked = os.path.join(folder, ASKED)
    files.replace(asked, "".join(line + "\n" for line in lines).encode())
    try:
        result = context.run(["debconf-set-selections", asked], timeout=120)
    finally:
        os.unlink(asked)
    # A type that it does not know is only skipped, with a warning and a good end. Its own words repeat the line, which may hold a secret.
    if result.rc != 0 or "skipping" in result.err:
        raise StepFailed("debconf does not take all answers of series_upgrade_debian.preseed. Try them with debconf-set-selections --checkonly.")


def take_back(context: Context, cache: str = "/var/cache/debconf") -> None:
    """Put back what debconf knew before. Repeating it changes nothing."""
    folder = os.path.join(context.state_dir, FOLDER)
    if not context.recall(DONE):
        return
    for name in DATABASES:
        if os.path.isfile(os.path.join(folder, name)):
            _copy(os.path.join(folder, name), os.path.join(cache, name))
    forget(context)
    context.remember(DONE, None)


def forget(context: Context) -> None:
    """The copy of debconf's answers is not needed any more; there are passwords in it."""
    shutil.rmtree(os.path.join(context.state_dir, FOLDER), ignore_errors=True)


def _copy(source: str, target: str) -> None:
    fresh = target + ".series-upgrade"
    found = os.stat(source)
    try:
        with open(source, "rb") as file, os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as copy:
            shutil.copyfileobj(file, copy)
            if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(copy.fileno(), found.st_uid, found.st_gid)
            os.fchmod(copy.fileno(), found.st_mode & 0o7777)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(fresh, target)
        files.sync_directory(os.path.dirname(target))
    except OSError as problem:
        raise StepFailed("debconf's answers could not be copied to {0}: {1}".format(target, problem.strerror or problem))
