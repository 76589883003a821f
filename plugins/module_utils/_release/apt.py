# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
apt-get as a series upgrade needs it: never asks, waits for its locks, tells how far it is, and is repaired when it was cut off.

Private room of the collection.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import time
from typing import Callable, List, NamedTuple, Optional, Sequence

from .._watcher.steps import Context, StepFailed

# Our answer to a changed configuration file is the machine's own version: its owner wrote that one, and the new one lies beside it.
DPKG_OPTIONS = ("--force-confdef", "--force-confold")

ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
    "NEEDRESTART_SUSPEND": "1",
    "LC_ALL": "C.UTF-8",
}

# DPkg::Lock::Timeout makes apt wait for dpkg's locks alone; at these two it gives up at once, so that we wait for them.
APT_LOCKS = ("/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")

# What apt says again after a repair is a fact, not bad luck; the first repair answers a cut-off dpkg, the second its own loose ends.
ATTEMPTS = 3

# apt tells how far it is on a descriptor of its own, here a second name of the log. Not on 1 itself: apt closes that one for what it
# runs, and the first maintainer script that says a word would fail.
TELLING = ["/bin/sh", "-c", 'exec "$@" -o APT::Status-Fd=3 3>&1', "series-upgrade"]

STATUS = re.compile(r"(dlstatus|pmstatus|pmerror|pmconffile):([^:]*):([0-9.]+):(.*)$")
# Marks what we have started, and all that this starts in turn.
MARK = "SERIES_UPGRADE_ID"

LOCKED = "Could not get lock"
FAILURE = re.compile(r"^(?:E: |dpkg: error|dpkg: dependency problems)")


class Status(NamedTuple):
    """One line of APT::Status-Fd. kind: dlstatus, pmstatus, pmerror or pmconffile; percent: 0 to 100 of this run of apt."""

    kind: str
    package: str
    percent: float
    msg: str


def status(line: str) -> Optional[Status]:
    """What apt says of its progress in this line; None for any other text. A maintainer script may have left words before it."""
    match = STATUS.search(line)
    return Status(match.group(1), match.group(2), float(match.group(3)), match.group(4).strip()) if match else None


def removals(simulation: str) -> List[str]:
    """The packages that `apt-get --simulate` says it would remove."""
    return re.findall(r"^(?:Remv|Purg) (\S+)", simulation, re.MULTILINE)


def holder(path: str) -> Optional[int]:
    """The process that holds the lock file at path; None when it is free or there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # struct flock with native alignment: type, whence, start, len, pid. F_GETLK takes nothing, so nobody is disturbed.
        asked = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _whence, _start, _length, pid = struct.unpack("hhqqi0q", fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


class Apt:
    """
    apt-get on this machine. lock_timeout: how long another apt is waited for, in seconds. preferences: a directory whose pins are heeded in
    place of the machine's own; None for the machine's. settings: more of apt's own, as NAME=VALUE.
    """

    def __init__(
        self,
        lock_timeout: float = 600,
        clock: Callable[[], float] = time.monotonic,
        held_by: Callable[[str], Optional[int]] = holder,
        preferences: Optional[str] = None,
        settings: Sequence[str] = (),
    ) -> None:
        self._preferences = preferences
        self._settings = tuple(settings)
        self._lock_timeout = lock_timeout
        self._clock = clock
        self._held_by = held_by

    def beside(self, *settings: str) -> Apt:
        """The same apt with these settings as well."""
        return Apt(self._lock_timeout, self._clock, self._held_by, self._preferences, self._settings + settings)

    def get(self, context: Context, log: str, *words: str, repair: bool = False) -> None:
        """
        Run apt-get WORDS to its good end. Raises StepFailed with what it said last.

        repair: when it fails, first finish what dpkg has begun and mend dependencies, then try again. That is also how a run goes on
        that a power cut has ended: its apt-get is started again by the watcher, finds dpkg interrupted, and fails.
        """
        for attempt in range(ATTEMPTS):
            self.wait_for_locks(context)
            problem = self._call(context, log, TELLING + self.command(*words))
            if problem is None:
                return
            if LOCKED in problem and attempt + 1 < ATTEMPTS:
                continue  # Somebody was quicker between our look and apt's.
            if not repair or attempt + 1 == ATTEMPTS:
                raise StepFailed("apt-get {0} failed: {1}".format(words[0], problem))
            context.progress(None, "apt-get {0} failed ({1}); finishing what dpkg has begun".format(words[0], problem))
            # Their failures are not ours: what they could not mend, the next attempt says in its own words.
            self.mend(context, log)
        raise AssertionError("unreachable")

    def mend(self, context: Context, log: str) -> None:
        """Finish what dpkg has begun, then mend dependencies: in this order, as dpkg itself asks for. Whether it helped is for the caller to see."""
        self._call(context, log, ["dpkg"] + list(DPKG_OPTIONS) + ["--configure", "-a"])
        self._call(context, log, TELLING + self.command("--fix-broken", "install"))

    def command(self, *words: str) -> List[str]:
        """The whole command line; by itself good for a simulation, which has no progress to tell."""
        settings = ["Dpkg::Options::=" + option for option in DPKG_OPTIONS] + [
            "Dpkg::Use-Pty=0",
            "DPkg::Lock::Timeout={0:.0f}".format(self._lock_timeout),
            "APT::Update::Error-Mode=any",
            "APT::Get::Always-Include-Phased-Updates=true",
            "Acquire::Retries=3",
            *self._settings,
        ]
        if self._preferences is not None:
            # Said to each call alone, so that the machine's own files stay as they are, and nothing has to be put back.
            settings += ["Dir::Etc::Preferences=/dev/null", "Dir::Etc::PreferencesParts=" + self._preferences]
        return ["apt-get", "--quiet", "--assume-yes"] + [word for setting in settings for word in ("-o", setting)] + list(words)

    def wait_for_locks(self, context: Context) -> None:
        """
        Return when no other program holds apt's locks; raises StepFailed, naming it, when one still does after the timeout.

        Our own apt does not count: after a restart of the watcher it may be at work still, and is about to be attached to.
        """
        deadline = self._clock() + self._lock_timeout
        told = None
        while True:
            holders = [pid for pid in (self._held_by(path) for path in APT_LOCKS) if pid is not None]
            pid = next((pid for pid in holders if not _is_ours(pid, context.run_id)), None)
            if pid is None:
                return
            if self._clock() >= deadline:
                raise StepFailed("apt is still held by {0} after {1:.0f} s. Wait for it or end it, then go on.".format(_name(pid), self._lock_timeout))
            if told != pid:
                context.progress(None, "waiting for {0}, which holds apt".format(_name(pid)))
                told = pid
            context.wait(1)

    @staticmethod
    def _call(context: Context, log: str, argv: List[str]) -> Optional[str]:
        """None when the program ended well, else what it said of its failure."""
        causes: List[str] = []
        failures: List[str] = []
        last = [-1]

        def on_line(line: str) -> None:
            seen = status(line)
            if seen is None:
                if FAILURE.match(line):
                    failures.append(line.strip())
            elif seen.kind == "pmerror":
                causes.append("{0}: {1}".format(seen.package, seen.msg))
            elif int(seen.percent) != last[0]:
                last[0] = int(seen.percent)
                context.progress(seen.percent, seen.msg)

        code = context.call(argv, log, on_line=on_line, env=dict(ENVIRONMENT, **{MARK: context.run_id}))
        if code == 0:
            return None
        # The first package that failed, or the first word of it, is the cause; what follows is mostly its echo.
        told = (causes or failures)[:1] + failures[-1:]
        return "; ".join(dict.fromkeys(told)) or "exit status {0}, see {1}".format(code, log)


def _is_ours(pid: int, run_id: str) -> bool:
    try:
        with open("/proc/{0}/environ".format(pid), "rb") as file:
            return "{0}={1}".format(MARK, run_id).encode() in file.read().split(b"\0")
    except OSError:
        return False


def _name(pid: int) -> str:
    """
    "unattended-upgr (process 812: /usr/bin/python3 /usr/bin/unattended-upgrade)"; the number alone when it has just ended.

    Of its command line only the first words without a value: what is behind an = or in an address may be a secret.
    """
    try:
        with open("/proc/{0}/comm".format(pid), encoding="utf-8", errors="replace") as file:
            name = file.read().strip()
        with open("/proc/{0}/cmdline".format(pid), "rb") as file:
            words = [word.decode("utf-8", "replace") for word in file.read().split(b"\0") if word]
    except OSError:
        return "process {0}".format(pid)
    shown = [word for word in words if "=" not in word and "://" not in word][:4]
    return "{0} (process {1}: {2})".format(name, pid, " ".join(shown)[:120]) if shown else "{0} (process {1})".format(name, pid)
