# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real watcher on this machine, as whoever runs the tests: its own directories, its own series file, its own boots."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming, client, program, service

# Far above what anything here takes; a hang ends with a sentence instead of the test run.
PATIENCE = 40


class RealWatcher:
    """One machine and its watcher. dead: what the watcher process left, for as long as nobody starts it again."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.series_file = directory / "os-release"
        self.boot_id = directory / "boot_id"
        self.boot_id.write_text("boot-1\n")
        self.series_file.write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
        # What a reboot is here: another boot id, and the watcher is gone.
        self.how = arming.settings(
            "process", str(self.state_dir), str(directory / "run"), sys.executable,
            boot_id_file=str(self.boot_id), reboot_command="echo boot-$$ >%s; kill -9 $PPID" % self.boot_id,
        )

    def spec(self, **changes: t.Any) -> dict[str, t.Any]:
        upgrade = "echo x >>{0}/upgrades; echo 50% half; sed -i s/bookworm/trixie/ {1}".format(self.directory, self.series_file)
        rollback = "echo x >>{0}/rollbacks; sed -i s/trixie/bookworm/ {1}".format(self.directory, self.series_file)
        return arming.checked({
            "upgrade_id": "to-trixie/m1/1", "run": "to-trixie", "machine": "m1", "source_series": "bookworm", "target_series": "trixie",
            "method": "command", "command": {"upgrade": upgrade, "rollback": rollback}, "series_file": str(self.series_file), "reboot": False,
            "drain": [{"unit": "db/0", "command": "touch %s/drained" % self.directory, "resume": "rm -f %s/drained" % self.directory}],
            "grace": 1, "interval": 0.2, "allowed_misses": 1, **changes,
        })

    def arm(self, **changes: t.Any) -> dict[str, t.Any]:
        return arming.arm(arming.look(self.how), self.spec(**changes), self.how, program.build())

    def start(self) -> None:
        """What the service does when the watcher has died or the machine has booted."""
        service.start(self.how)
        assert client.await_status(self.how["runtime_dir"], PATIENCE) is not None

    def ask(self, do: str, request_id: str | None = None, **more: t.Any) -> dict[str, t.Any]:
        return client.ask(self.how["runtime_dir"], do, request_id=request_id or "%s-%s" % (do, time.monotonic_ns()), **more)

    def status(self) -> dict[str, t.Any]:
        return self.ask("status")

    def wait(self, what: t.Any) -> dict[str, t.Any]:
        answer = client.ask(self.how["runtime_dir"], "wait", **{"for": what, "timeout": PATIENCE - 10})
        assert answer["ok"], answer
        return answer

    def kill(self, pid: int | None = None) -> None:
        pid = pid or self.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        self.await_death(pid)

    def await_death(self, pid: int) -> int:
        """The exit status as a shell tells it (the watcher is a child of this process)."""
        _pid, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command on the machine."""
        line = [sys.executable, str(self.state_dir / "watcher.pyz"), *words]
        return subprocess.run(line, cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False)

    def count(self, name: str) -> int:
        path = self.directory / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def series(self) -> str:
        return self.series_file.read_text().strip().rpartition("=")[2]

    def processes(self) -> list[int]:
        """Everything that runs with our directory on its command line."""
        return [int(entry.name) for entry in pathlib.Path("/proc").iterdir()
                if entry.name.isdigit() and int(entry.name) != os.getpid() and str(self.directory) in _command_line(entry)]


def _command_line(entry: pathlib.Path) -> str:
    try:
        return (entry / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def real_watcher() -> t.Iterator[RealWatcher]:
    """A machine with short paths, whose processes have ended afterwards, whatever the test did."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="watcher-", dir="/tmp"))
    machine = RealWatcher(directory)
    try:
        yield machine
    finally:
        for pid in machine.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
