"""PID 1 above a fleet's machines: the power supply. A machine that reboots is started again, one that powers off stays off.

Runs in the fleet's own PID namespace; when it dies, the kernel ends every process of every machine.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

BOOT = pathlib.Path(__file__).with_name("boot.sh")
POWERED_OFF = 128 + 2       # how unshare tells that its child, the machine's PID 1, ended by reboot(POWER_OFF): SIGINT


class Power:
    """Starts machines; ``group`` is the fleet's control group, each machine a dict of name, disk, home."""

    def __init__(self, group: pathlib.Path, machines: list) -> None:
        self.group = group
        self.machines = machines
        self.on = {}
        self.boots = 0

    def start(self, machine: dict) -> None:
        """Boot a machine in a control group of its own.

        A fresh one per boot: kernels that remember kills per group may refuse new services in one that was used before.
        """
        self.boots += 1
        group = self.group / f"{machine['name']}.{self.boots}"
        group.mkdir(exist_ok=True)

        def enter() -> None:
            (group / "cgroup.procs").write_text("0")

        with open(pathlib.Path(machine["home"], "console"), "ab") as console:
            process = subprocess.Popen(
                ["ip", "netns", "exec", machine["name"],
                 "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup",
                 "env", "--ignore-environment", "container=testbed", "TERM=linux", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                 f"NAME={machine['name']}", f"DISK={machine['disk']}", f"ROOT={machine['home']}/root", "sh", str(BOOT)],
                preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )
        self.on[process.pid] = (machine, group)

    def serve(self) -> None:
        """Run the machines until somebody ends this process; everything orphaned below it is reaped here."""
        for machine in self.machines:
            self.start(machine)
        while True:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                return
            if pid in self.on:
                machine, group = self.on.pop(pid)
                code = os.waitstatus_to_exitcode(status)
                code = 128 - code if code < 0 else code
                _forget(group)
                with open(pathlib.Path(machine["home"], "events"), "a", encoding="ascii") as events:
                    events.write(f"boot {self.boots} ended with {code}\n")
                if code != POWERED_OFF:         # a reboot, or a power cut: the power is back at once
                    self.start(machine)


def _forget(group: pathlib.Path) -> None:
    for directory, _names, _files in os.walk(group, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            continue                            # a process is still going; the guard sweeps in the end


if __name__ == "__main__":
    Power(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])).serve()
