"""A fleet of machines, as tests see it."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from . import golden, places, sources
from .cgroups import cgroup_of, sweep_cgroup
from .needs import missing

IMAGES = tuple(golden.BASES)
CHECKOUT = pathlib.Path(__file__).parents[2]


class TestbedError(Exception):
    """The test bed cannot do what was asked; the message says why and what to do."""

    __test__ = False


class Machine:
    """One machine of a fleet: ``name`` (m1 ...) and ``ip``."""

    def __init__(self, fleet: "Fleet", name: str, ip: str) -> None:
        self.fleet, self.name, self.ip = fleet, name, ip

    def ssh(self, command: str, check: bool = True, timeout: float = 60, stdin: str | None = None) -> subprocess.CompletedProcess:
        """Run a shell command as root; its output is text."""
        return self.fleet.run(["ssh", *self.fleet.ssh_options, f"root@{self.ip}", command], check=check, timeout=timeout, input=stdin,
                              capture_output=True)

    def put(self, local: pathlib.Path, remote: str, mode: str = "644") -> None:
        """Copy a file of the box to the machine."""
        self.ssh(f"install -D -m {mode} /dev/stdin '{remote}'", stdin=pathlib.Path(local).read_text())

    def series(self) -> str:
        """Return the codename of the series that is live."""
        return self.ssh(". /etc/os-release && echo $VERSION_CODENAME").stdout.strip()

    def boot_id(self) -> str:
        """Return the id of the present boot."""
        return self.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def cut_power(self) -> None:
        """Pull the plug and put it back: nothing on the machine gets to say goodbye."""
        for group in cgroup_of(self.fleet.name).glob(f"{self.name}.*/init.scope/cgroup.procs"):
            for pid in group.read_text().split()[:1]:
                os.kill(int(pid), signal.SIGKILL)


class Fleet:
    """Machines that are up. Use ``Fleet.up`` to bring a fleet up, ``Fleet(name)`` for one that already is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = places.FLEETS / name
        try:
            plan = json.loads((self.state / "fleet.json").read_text())
            self.guard = int((self.state / "guard.pid").read_text())
        except OSError as error:
            raise TestbedError(f"fleet {name} is not up: bring it up with `python -m tests.testbed up {name}`") from error
        self.image = plan["image"]
        self.ssh_options = plan["ssh"]
        self.control_node = places.CONTROL_NODE
        self.inventory_path = self.state / "inventory.yml"
        self.machines = [Machine(self, machine["name"], machine["ip"]) for machine in plan["machines"]]
        # A control node is any process in the fleet's network; it keeps the box's files.
        self.enter = ["nsenter", f"--net=/proc/{self.guard}/ns/net", "--"]

    @classmethod
    def up(cls, name: str, machines: int = 3, image: str = "bookworm", owner: int = 0) -> "Fleet":
        """Bring a fleet up and return it. With an ``owner`` (a process id) it goes down when that process ends."""
        if image not in IMAGES:
            raise TestbedError(f"no such image: {image}; there are {', '.join(IMAGES)}")
        lacking = missing()
        if lacking:
            raise TestbedError(lacking)
        try:
            disk = golden.disk(image)
        except (sources.NoArchive, subprocess.CalledProcessError) as error:
            raise TestbedError(f"the {image} disk could not be built: {error}") from error
        places.FLEETS.mkdir(parents=True, exist_ok=True)
        with open(places.FLEETS / f".lock-{name}", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _guard_of(name):
                raise TestbedError(f"fleet {name} is already up: take it down with `python -m tests.testbed down {name}`")
            _sweep(name)
            _plan(name, machines, image, disk)
            _start_guard(name, owner)
        return cls(name)

    def down(self) -> None:
        """Take the fleet down. Returns when nothing of it is left."""
        down(self.name)

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_exc) -> None:
        self.down()

    def __getitem__(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    def run(self, argv: list, **options) -> subprocess.CompletedProcess:
        """Run a program on the control node: subprocess.run in the fleet's network, in text."""
        return subprocess.run([*self.enter, *argv], text=True, check=options.pop("check", False), **options)

    def popen(self, argv: list, **options) -> subprocess.Popen:
        """Start a program on the control node; what is still running when the fleet goes down is ended."""
        return subprocess.Popen([*self.enter, *argv], text=True, **options)


def down(name: str) -> None:
    """Take a fleet down, whatever state it is in; taking down what is not up changes nothing."""
    pid = _guard_of(name)
    if pid:
        descriptor = os.pidfd_open(pid)
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while _guard_of(name):
            if time.monotonic() > deadline:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                deadline += 30
            time.sleep(0.05)
        os.close(descriptor)
    _sweep(name)


def names() -> list:
    """Return the names of the fleets that are up, and of those whose remains wait to be swept."""
    return sorted(path.name for path in places.FLEETS.glob("*") if path.is_dir())


def is_up(name: str) -> bool:
    """Tell whether the fleet's guard lives."""
    return bool(_guard_of(name))


def _guard_of(name: str) -> int:
    """Return the pid of the fleet's living guard, or 0. The pid file alone proves nothing: pids are used again."""
    try:
        pid = int((places.FLEETS / name / "guard.pid").read_text())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if b"tests.testbed.guard" in command and str(places.FLEETS / name).encode() in command else 0


def _sweep(name: str) -> None:
    sweep_cgroup(cgroup_of(name))
    shutil.rmtree(places.FLEETS / name, ignore_errors=True)
    (places.FLEETS / f".lock-{name}").unlink(missing_ok=True)


def _plan(name: str, count: int, image: str, disk: pathlib.Path) -> None:
    """Write down everything about a fleet that does not need it to run: identities, keys, inventory."""
    state = places.FLEETS / name
    machines = [{"name": f"m{number}", "ip": places.machine_address(number)} for number in range(1, count + 1)]
    state.mkdir(mode=0o755)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"testbed {name}", "-f", str(state / "key")], check=True)
    known = []
    for machine in machines:
        (state / machine["name"] / "root").mkdir(parents=True)
        key = state / machine["name"] / "ssh_host_ed25519_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine["name"], "-f", str(key)], check=True)
        known.append(f"{machine['ip']} {key.with_suffix('.pub').read_text()}")
    (state / "known_hosts").write_text("".join(known))
    ssh = ["-F", "none", "-i", str(state / "key"), "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={state}/known_hosts",
           "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"]
    plan = {"name": name, "image": image, "golden": str(disk), "machines": machines, "ssh": ssh}
    (state / "fleet.json").write_text(json.dumps(plan, indent=1))
    hosts = "".join(f"    {machine['name']}: {{ansible_host: {machine['ip']}}}\n" for machine in machines)
    (state / "inventory.yml").write_text(
        f"all:\n  hosts:\n{hosts}  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {state}/key\n"
        f"    ansible_ssh_common_args: -F none -o UserKnownHostsFile={state}/known_hosts -o StrictHostKeyChecking=yes\n"
        # Fleets share addresses, and Ansible names its lasting connections by address: they must not share those.
        f"    ansible_control_path_dir: {state}/cp\n"
        "    ansible_python_interpreter: /usr/bin/python3\n")


def _start_guard(name: str, owner: int) -> None:
    state = places.FLEETS / name
    with open(state / "guard.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.testbed.guard", str(state), str(owner)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=CHECKOUT, start_new_session=True,
        )
    (state / "guard.pid").write_text(str(process.pid))
    said = b""
    try:
        said = process.stdout.readline()
    finally:
        complaint = (state / "guard.log").read_text().strip() if (state / "guard.log").exists() else ""
        if said != b"ready\n":
            process.terminate()
            process.wait()
    process.stdout.close()
    if said != b"ready\n":
        raise TestbedError(f"fleet {name} did not come up: {complaint or 'its guard said nothing'}")
