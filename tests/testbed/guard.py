"""The one process that a fleet hangs on: it holds the namespaces, the disks and the mirror, and the rest dies with it.

    owner (pytest, molecule, or nobody) <-- watched by pidfd -- guard -- parent-death signal --> power (PID 1) --> machines

Everything that would have to be cleaned up lives in namespaces that only these processes hold: mounts and networks go
when they go, loop devices are on auto-clear, processes sit below a PID 1. So even `kill -9` of the guard leaves only an
empty cgroup and a directory, which the next `up` or `down` sweeps.
"""

from __future__ import annotations

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from . import kernel, places, sources
from .cgroups import cgroup_of, sweep_cgroup
from .mirror import Mirror, Store
from .twoseries import archive as two_series_archive

BOOT_PATIENCE = 120     # seconds; a boot takes one, but the box may be busy


class Guard:
    """Brings one fleet up, waits until its owner is gone or it is told to stop, and takes the fleet down."""

    def __init__(self, state: pathlib.Path) -> None:
        self.state = state
        self.plan = json.loads((state / "fleet.json").read_text())
        self.machines = self.plan["machines"]
        self.power = None
        self.group = None
        self.loops = {}

    def up(self) -> None:
        """Return when every machine has booted and answers over SSH."""
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET)
        _do("mount", "--make-rprivate", "/")
        self._network()
        archives = {archive.label: archive.uri for archive in sources.archives()}
        archives["two-series"] = two_series_archive()
        fetch = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{outside}", "--")
        mirror = Mirror(Store(archives, enter=fetch), places.CONTROL_NODE, places.MIRROR_PORT)
        mirror.__enter__()      # pylint: disable=unnecessary-dunder-call  # it serves for as long as this process lives
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._disk, self.machines))
        self._start()
        with ThreadPoolExecutor(len(self.machines)) as pool:
            list(pool.map(self._booted, self.machines))

    def _network(self) -> None:
        os.makedirs("/run/netns", exist_ok=True)
        _do("mount", "-t", "tmpfs", "tmpfs", "/run/netns")       # the names are ours alone, and gone with us
        _do("ip", "link", "set", "lo", "up")
        _do("ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        _do("ip", "address", "add", f"{places.CONTROL_NODE}/{places.NETMASK}", "dev", "bridge")
        _do("ip", "link", "set", "bridge", "up")
        for number, machine in enumerate(self.machines, 1):
            name, port = machine["name"], f"port{number}"
            _do("ip", "netns", "add", name)
            _do("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            _do("ip", "link", "set", port, "master", "bridge", "up")
            _do("ip", "-n", name, "link", "set", "lo", "up")
            _do("ip", "-n", name, "address", "add", f"{machine['ip']}/{places.NETMASK}", "dev", "eth0")
            _do("ip", "-n", name, "link", "set", "eth0", "up")

    def _disk(self, machine: dict) -> None:
        """Give the machine its own disk and its own identity."""
        name = machine["name"]
        home = self.state / name
        disk, top = home / "disk", home / "root"
        _do("cp", "--sparse=always", "--reflink=auto", self.plan["golden"], str(disk))
        _do("btrfstune", "-f", "-m", str(disk))             # two mounted file systems may not share an identity
        device, self.loops[name] = kernel.loop(str(disk))
        machine["disk"] = device
        _do("mount", device, str(top))
        (top / "etc/hostname").write_text(name + "\n")
        hosts = "".join(f"{other['ip']} {other['name']}\n" for other in self.machines)
        (top / "etc/hosts").write_text(f"127.0.0.1 localhost\n{places.CONTROL_NODE} control-node\n{hosts}")
        keys = top / "root/.ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.state / "key.pub", keys / "authorized_keys")
        for key in home.glob("ssh_host_*"):
            shutil.copy(key, top / "etc/ssh" / key.name)
        _do("umount", str(top))

    def _start(self) -> None:
        self.group = cgroup_of(self.plan["name"])
        if self.group is None:
            (self.state / "cgroup").mkdir()
            _do("mount", "-t", "cgroup2", "cgroup2", str(self.state / "cgroup"))
            self.group = self.state / "cgroup" / f"leasehold-testbed-{self.plan['name']}"
        self.group.mkdir(exist_ok=True)
        self.power = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "tests.testbed.power", str(self.group),
             json.dumps([{**machine, "home": str(self.state / machine["name"])} for machine in self.machines])],
            preexec_fn=kernel.die_with_parent, stdin=subprocess.DEVNULL,
        )

    def _booted(self, machine: dict) -> None:
        deadline = time.monotonic() + BOOT_PATIENCE
        while True:
            said = subprocess.run(
                ["ssh", *self.plan["ssh"], f"root@{machine['ip']}", "systemctl is-system-running --wait"],
                capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            )
            if said.stdout.strip() in ("running", "degraded"):
                return
            if time.monotonic() > deadline or self.power.poll() is not None:
                raise RuntimeError(f"{machine['name']} did not boot: {said.stdout.strip()} {said.stderr.strip()}; see {self.state}/{machine['name']}/console")
            time.sleep(0.1)

    def watch(self, owner: int) -> None:
        """Return when the owner (0: nobody) has ended or the machines' PID 1 has."""
        poll = select.poll()
        poll.register(os.pidfd_open(self.power.pid), select.POLLIN)
        if owner:
            try:
                poll.register(os.pidfd_open(owner), select.POLLIN)
            except ProcessLookupError:
                return
        poll.poll()

    def down(self) -> None:
        """End everything that lives in this fleet; what it mounted goes with this process."""
        if self.power is not None:
            self.power.kill()
            self.power.wait()
        self._end_guests()
        sweep_cgroup(self.group)
        for descriptor in self.loops.values():
            os.close(descriptor)
        shutil.rmtree(self.state, ignore_errors=True)

    @staticmethod
    def _end_guests() -> None:
        """End the processes that others started in this fleet's network: endpoints, ssh's masters, playbooks."""
        mine = os.readlink("/proc/self/ns/net")
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if os.readlink(entry / "ns/net") == mine:
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue        # it ended by itself


def _do(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")


def main(state: str, owner: str) -> None:
    """Run a guard; says "ready" on standard output, once, when the fleet is up."""
    def stop(*_args) -> None:
        raise SystemExit(0)

    guard = Guard(pathlib.Path(state))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        guard.up()
        print("ready", flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)     # nobody has to keep reading
        guard.watch(int(owner))
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        raise SystemExit(1) from error
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        guard.down()


if __name__ == "__main__":
    main(*sys.argv[1:])
