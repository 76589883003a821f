# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that outlive the watcher: started in a session of their own, with a directory that tells who runs and how it ended.

The script `run` writes `pid` (its line of /proc/PID/stat, so that a number used again is not taken for it) and `rc`. All that is
to be run is in the script and not on a command line: systemd-run would expand every $ there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from typing import Callable, List, Mapping, Optional, Sequence

# The script outlives a SIGTERM to the whole session, to tell how its program ended; a trap, unlike an ignored signal, is not inherited.
SCRIPT = """\
trap : TERM
exec </dev/null >>{log} 2>&1
read -r line </proc/$$/stat && printf '%s\\n' "$line" >{directory}/pid
{program}
printf '%s\\n' "$?" >{directory}/rc
"""
# A launcher that has returned has started the script, whose first act is to write its pid.
BEGIN_PATIENCE = 30.0
SETTLE_PATIENCE = 2.0
KILLED = 137


class NotLaunched(OSError):
    """The launcher has refused: nothing was started."""


class Detached:
    """One such program. directory: its own, absolute; log: where both output streams go; boot_id: of this boot."""

    def __init__(self, directory: str, log: str, boot_id: str) -> None:
        self.directory = directory
        self.log = log
        self._boot_id = boot_id
        self._process: Optional[subprocess.Popen] = None

    def attach(self, argv: Sequence[str]) -> bool:
        """True when this very program was started here in this boot, or has left its result: then it must not be started again."""
        try:
            with open(self._path("call.json"), encoding="utf-8") as file:
                call = json.load(file)
        except (OSError, ValueError):
            return False
        if call.get("argv") != list(argv):
            return False
        if call.get("boot_id") == self._boot_id:
            # The watcher may have been killed between launching it and its first act.
            self._has_begun(SETTLE_PATIENCE)
            if self._alive():
                return True
        # Gone without a result, together with the watcher or the boot: a phase can be begun again, so it is.
        return self.result() is not None

    def offset(self) -> int:
        """Where in the log the output of this program begins, in bytes."""
        with open(self._path("call.json"), encoding="utf-8") as file:
            return json.load(file)["offset"]

    def start(self, argv: Sequence[str], env: Optional[Mapping[str, str]] = None, launch: Optional[Callable[[List[str]], List[str]]] = None) -> None:
        """Start it anew. launch may put the command that starts it elsewhere (a transient systemd unit) around it.

        Raises NotLaunched when that has refused, so that another way may be tried, and OSError when it is unknown whether anything runs.
        """
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory, mode=0o700)
        os.makedirs(os.path.dirname(self.log), mode=0o700, exist_ok=True)
        with open(self.log, "ab") as log, open(self._path("call.json"), "w", encoding="utf-8") as file:
            json.dump({"argv": list(argv), "boot_id": self._boot_id, "offset": log.tell()}, file)
        settings = ["{0}={1}".format(key, value) for key, value in sorted((env or {}).items())]
        with open(self._path("run"), "w", encoding="utf-8") as file:
            file.write(SCRIPT.format(log=shlex.quote(self.log), directory=shlex.quote(self.directory),
                                     program=" ".join(shlex.quote(word) for word in ["/usr/bin/env"] + settings + list(argv))))
        script = ["/bin/sh", self._path("run")]
        process = _popen(launch(script) if launch else script)
        if launch is None:
            self._process = process
            return
        if process.wait() != 0:
            raise NotLaunched("the launcher ended with status {0}".format(process.returncode))
        if not self._has_begun(BEGIN_PATIENCE):
            raise OSError("it was launched and did not begin within {0:.0f} s".format(BEGIN_PATIENCE))

    def _has_begun(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while self._stat() is None and self.result() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def result(self) -> Optional[int]:
        """Its exit status; None while there is none."""
        try:
            with open(self._path("rc"), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return None
        return int(text) if text.endswith("\n") else None

    def poll(self) -> Optional[int]:
        """Its exit status, None while it runs; 137 when it has gone without leaving one."""
        if self._process is not None:
            if self._process.poll() is None and self.result() is None:
                return None
        elif self._alive():
            return None
        rc = self.result()
        return KILLED if rc is None else rc

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the whole session of the program; nothing happens when it has gone."""
        stat = self._stat()
        if stat and self._alive():
            try:
                os.killpg(int(stat[0]), number)
            except ProcessLookupError:
                pass

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _stat(self) -> Optional[List[str]]:
        try:
            with open(self._path("pid"), encoding="utf-8", errors="replace") as file:
                return _identity(file.read())
        except OSError:
            return None

    def _alive(self) -> bool:
        known = self._stat()
        if known is None:
            return False
        try:
            with open("/proc/{0}/stat".format(known[0]), encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            return False
        return _identity(text) == known and text.rpartition(")")[2].split()[0] != "Z"


def _popen(line: List[str]) -> subprocess.Popen:
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)


def _identity(stat: str) -> Optional[List[str]]:
    """[pid, start time] of a line of /proc/PID/stat; the command name between may hold blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    return [stat.split(" ", 1)[0], fields[19]] if len(fields) > 19 else None
