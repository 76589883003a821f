# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real etcd cluster of one to three members on loopback, whose members can be killed, stopped and started again.

    with Etcd(tmp_path, members=3) as etcd:
        etcd.endpoints            # ["http://127.0.0.1:34567", ...]
        etcd.members[0].kill(); etcd.members[1].pause(); etcd.members[1].resume(); etcd.members[0].start()
        etcd.ctl("get", "--prefix", "")

The members end with the test process, also when that is killed: a guard holds the other end of a pipe and ends them when it closes.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATIENCE = 30.0  # seconds until a member must answer; a busy box is slow

# Runs apart from the tests: reads process ids, and when the pipe closes kills those that still are members started from here.
GUARD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
pids = [int(line) for line in sys.stdin]
for pid in pids:
    try:
        if sys.argv[1] in open("/proc/%d/cmdline" % pid).read():
            os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
"""


def missing() -> Optional[str]:
    """Why no cluster can be started here, or None."""
    lacking = [name for name in ("etcd", "etcdctl") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacking)} (tools/system-packages)" if lacking else None


def free_ports(count: int) -> list[int]:
    """Ports on loopback that were free a moment ago, all different."""
    held = [socket.socket() for _each in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Certificates:
    """An authority of the tests' own in `directory`: ca.pem, and NAME.pem with NAME.key for 127.0.0.1 and localhost."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self._key = directory, ec.generate_private_key(ec.SECP256R1())
        self.ca = directory / "ca.pem"
        self._ca = self._make("tests", self._key.public_key(), None)
        self.ca.write_bytes(self._ca.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, named: bool = True) -> tuple[Path, Path]:
        """Files of a certificate and its key, good for a server called `name` and for a client whose common name it is; named=False: with an empty subject."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert, private = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert.write_bytes(self._make(name if named else "", key.public_key(), self._ca).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return cert, private

    def _make(self, name: str, public: Any, issuer: Optional[x509.Certificate]) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
        now = datetime.datetime.now(datetime.timezone.utc)
        made = x509.CertificateBuilder(
            issuer_name=issuer.subject if issuer else subject, subject_name=subject, public_key=public, serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1), not_valid_after=now + datetime.timedelta(days=1),
        ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        if issuer is not None:
            names = [x509.DNSName(each) for each in ("localhost", name) if each] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())


class Member:
    """One etcd process and its directory."""

    def __init__(self, cluster: "Etcd", name: str, client: int, peer: int) -> None:
        self._cluster, self.name, self.peer_port = cluster, name, peer
        self.url = f"{'https' if cluster.certificates else 'http'}://127.0.0.1:{client}"
        self.peer_url = f"http://127.0.0.1:{peer}"
        self.data, self.log = cluster.directory / name, cluster.directory / f"{name}.log"
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Does not wait: with a majority down no member answers. `Etcd.wait` waits."""
        assert self._process is None, f"{self.name} runs already"
        self._process = self._cluster._spawn(self)

    @property
    def pid(self) -> Optional[int]:
        """None while it is down."""
        return self._process.pid if self._process is not None else None

    def kill(self) -> None:
        """kill -9, as a power cut; its disk stays."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing, as one that is cut off."""
        os.kill(self._process.pid, signal.SIGSTOP)
        while any(stat.read_text().rpartition(")")[2].split()[0] != "T" for stat in Path(f"/proc/{self.pid}/task").glob("*/stat")):
            time.sleep(0.001)  # each thread stops when it next looks

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def healthy(self) -> bool:
        """Whether it answers, and answers what needs a majority."""
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=2, context=self._cluster._context()) as answer:
                return json.load(answer)["health"] == "true"
        except (OSError, ValueError, urllib.error.URLError):
            return False


class Etcd:
    """A cluster in `directory`. tls: clients must verify `certificates.ca`; client_certs: and show a certificate of it."""

    def __init__(self, directory: Path, members: int = 1, tls: bool = False, client_certs: bool = False, arguments: tuple[str, ...] = ()) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificates = Certificates(self.directory / "certificates") if tls or client_certs else None
        self._own = self.certificates.issue("etcd") if self.certificates else None
        self._client_certs, self._arguments = client_certs, arguments
        self.root_password: Optional[str] = None
        ports = free_ports(2 * members)
        self.members = [Member(self, f"m{number}", ports[2 * number], ports[2 * number + 1]) for number in range(members)]
        self._guard: Optional[subprocess.Popen[str]] = None

    @property
    def endpoints(self) -> list[str]:
        return [member.url for member in self.members]

    def __enter__(self) -> "Etcd":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """All members, until each answers."""
        try:
            for member in self.members:
                member.start()
            self.wait()
        except BaseException:
            self.stop()
            raise

    def wait(self, count: Optional[int] = None) -> None:
        """Until `count` members (default: all) answer what needs a majority."""
        end = time.monotonic() + PATIENCE
        while sum(member.healthy() for member in self.members) < (len(self.members) if count is None else count):
            if time.monotonic() > end:
                tails = "\n".join(f"{one.name}: {one.log.read_text(errors='replace')[-1000:]}" for one in self.members if one.log.exists())
                raise AssertionError(f"etcd did not answer within {PATIENCE:.0f} s:\n{tails}")
            time.sleep(0.05)

    def stop(self) -> None:
        for member in self.members:
            member.kill()
        if self._guard is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None

    def leader(self) -> Member:
        """The member that leads the others just now; fails when there is none."""
        for row in json.loads(self.ctl("endpoint", "status", "-w", "json")):
            status = row["Status"]
            if status["leader"] == status["header"]["member_id"]:
                return next(member for member in self.members if member.url == row["Endpoint"])
        raise AssertionError("no member leads")

    def ctl_argv(self, *words: str, user: Optional[str] = None) -> list[str]:
        """The words of an etcdctl command (with ETCDCTL_API=3 in its environment) to this cluster; user: NAME:PASSWORD, default root if there is auth."""
        up = [member.url for member in self.members if member.pid is not None] or self.endpoints
        argv = ["etcdctl", "--endpoints", ",".join(up), "--command-timeout=10s"]
        if self.certificates:
            argv += ["--cacert", str(self.certificates.ca), "--cert", str(self._own[0]), "--key", str(self._own[1])]
        user = user or (self.root_password and f"root:{self.root_password}")
        return argv + (["--user", user] if user else []) + list(words)

    def ctl(self, *words: str, user: Optional[str] = None, **more: Any) -> str:
        """What etcdctl prints; fails when it fails."""
        done = subprocess.run(self.ctl_argv(*words, user=user), env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True, check=False,
                              timeout=60, **more)
        assert done.returncode == 0, f"etcdctl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def enable_auth(self, password: str = "root-secret") -> None:
        """From here on every client must name itself; root may do everything."""
        self.ctl("user", "add", f"root:{password}")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")
        self.root_password = password

    def user(self, name: str, password: str, prefix: str) -> None:
        """A user that may read and write below `prefix` and nothing else."""
        self.ctl("user", "add", f"{name}:{password}")
        self.ctl("role", "add", name)
        self.ctl("role", "grant-permission", name, "--prefix=true", "readwrite", prefix)
        self.ctl("user", "grant-role", name, name)

    def _context(self) -> Any:
        if self.certificates is None:
            return None
        context = ssl.create_default_context(cafile=str(self.certificates.ca))
        context.load_cert_chain(*map(str, self._own))
        return context

    def _spawn(self, member: Member) -> subprocess.Popen[bytes]:
        initial = ",".join(f"{one.name}={one.peer_url}" for one in self.members)
        argv = [
            "etcd", "--name", member.name, "--data-dir", str(member.data), "--listen-client-urls", member.url, "--advertise-client-urls", member.url,
            "--listen-peer-urls", member.peer_url, "--initial-advertise-peer-urls", member.peer_url, "--initial-cluster", initial,
            "--initial-cluster-token", str(self.directory), "--logger", "zap", "--log-level", "warn", *self._arguments]
        if self._own:
            argv += ["--cert-file", str(self._own[0]), "--key-file", str(self._own[1])]
            # With an authority to trust etcd demands a certificate of each client, whatever --client-cert-auth says.
            argv += ["--trusted-ca-file", str(self.certificates.ca), "--client-cert-auth"] if self._client_certs else []
        if self._guard is None:
            self._guard = subprocess.Popen([sys.executable, "-c", GUARD, str(self.directory)], stdin=subprocess.PIPE, text=True, start_new_session=True)
        with open(member.log, "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                       env={key: value for key, value in os.environ.items() if not key.startswith("ETCD")})
        self._guard.stdin.write(f"{process.pid}\n")
        self._guard.stdin.flush()
        return process
