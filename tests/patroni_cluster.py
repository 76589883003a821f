# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Patroni cluster on loopback: etcd, three Patronis, three PostgreSQLs, all of them an unprivileged user's.

    with PatroniCluster(versions=("3.0", "3.0", "4.0")) as cluster:
        cluster.options()                       # of the provider, with TLS and a password
        cluster["db/0"].freeze(); .thaw()       # SIGSTOP and SIGCONT of its Patroni: it answers nobody, PostgreSQL goes on
        cluster["db/0"].cut(); .boot()          # power off and on: Patroni and PostgreSQL killed, Patroni started

"3.0" is Debian 12's package. "4.0" is the release that Debian 13 has, from the development requirements, run by Debian's Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any, Callable, Optional

from tests.etcd import GUARD, Certificates, Etcd, free_ports

USER, PASSWORD = "operator", "rest-secret"
PYTHON = "/usr/bin/python3"
PATIENCE = 60.0  # seconds: a cluster forms in 10, on a busy box in 40


def _binaries() -> Optional[Path]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def missing() -> Optional[str]:
    """Why no cluster can be started here, or None."""
    lacking = [name for name in ("etcd", "patroni") if shutil.which(name) is None] + ([] if _binaries() else ["postgresql"])
    return f"not installed: {', '.join(lacking)} (tools/system-packages)" if lacking else None


class Member:
    """One unit: a Patroni process and the PostgreSQL that it started."""

    def __init__(self, cluster: "PatroniCluster", number: int, version: str, ports: list[int]) -> None:
        self._cluster, self.unit, self.name, self.version = cluster, f"db/{number}", f"pg{number}", version
        self.url, self.port = f"https://127.0.0.1:{ports[0]}", ports[1]
        self.home = cluster.directory / self.name
        self.data = self.home / "data"
        self._process: Optional[subprocess.Popen[bytes]] = None

    def boot(self) -> None:
        """Does not wait."""
        self._process = self._cluster._spawn(self)

    def cut(self) -> None:
        """As a power cut: nothing of it says good-bye; its disk stays. A stopped PostgreSQL stays behind for the next start to clear away."""
        for number in [self._process.pid, *self._postgres()]:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()
        self._process = None
        self._cluster.until(lambda: not self._postgres(), f"{self.name}'s PostgreSQL to be gone")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def stop_postgres(self) -> None:
        """As an operator does by hand."""
        self._cluster._as_user([str(self._cluster.bin / "pg_ctl"), "-D", str(self.data), "-m", "fast", "-w", "stop"])

    @property
    def up(self) -> bool:
        return self._process is not None

    def _postgres(self) -> list[int]:
        """All PostgreSQL processes of this data directory, children first and the postmaster last."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if os.readlink(path) == str(self.data):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return sorted(found, reverse=True)

    def rest(self, method: str, path: str, body: Any = None, timeout: float = 30) -> Any:
        """What its Patroni answers, JSON or text; None when it does not."""
        sent = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), method=method, headers={
            "Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode(), "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(sent, timeout=timeout, context=self._cluster.context) as answer:
                raw = answer.read().decode()
        except (OSError, urllib.error.URLError):
            return None
        try:
            return json.loads(raw)
        except ValueError:
            return raw


class PatroniCluster:
    """`versions`: one member each. The first one leads when it is started. loop: Patroni's loop_wait; its ttl cannot be less than 20."""

    def __init__(self, versions: tuple[str, ...] = ("3.0", "3.0", "3.0"), loop: int = 1) -> None:
        self.bin, self.loop = _binaries(), loop
        self._uid = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self.directory = Path(tempfile.mkdtemp(prefix="patroni-", dir="/tmp"))
        self.etcd = Etcd(self.directory / "etcd")
        self.certificates = Certificates(self.directory / "certificates")
        self._cert = self.certificates.issue("rest")
        self.context = ssl.create_default_context(cafile=str(self.certificates.ca))
        self.password_file = self.directory / "rest.password"
        self.password_file.write_text(PASSWORD + "\n", encoding="ascii")
        ports = free_ports(2 * len(versions))
        self.members = [Member(self, number, version, ports[2 * number:2 * number + 2]) for number, version in enumerate(versions)]
        self._guard: Optional[subprocess.Popen[str]] = None
        if "4.0" in versions:
            # Alone, so that Debian's own libraries serve both, and readable for whoever runs it.
            shutil.copytree(Path(importlib.util.find_spec("patroni").origin).parent, self.directory / "4.0" / "patroni")

    def __getitem__(self, unit: str) -> Member:
        return next(member for member in self.members if member.unit == unit)

    def __enter__(self) -> "PatroniCluster":
        try:
            self.etcd.start()
            for member in self.members:
                self._configure(member)
            self._own()
            self.members[0].boot()
            self.until(lambda: self.leader() == self.members[0].name, "the first member to lead")
            for member in self.members[1:]:
                member.boot()
            self.until(self.whole, "all members to follow")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for member in self.members:
            if member.up:
                member.cut()
        if self._guard is not None:
            self._guard.stdin.close()
            self._guard.wait()
        self.etcd.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def options(self, **more: Any) -> dict[str, Any]:
        """Of the provider."""
        return {"provider": "patroni", "members": {member.unit: member.url for member in self.members}, "ca_file": str(self.certificates.ca),
                "username": USER, "password_file": str(self.password_file), **more}

    # Looking

    def view(self) -> dict[str, Any]:
        """GET /cluster of the first member that answers; empty when none does."""
        for member in self.members:
            found = member.rest("GET", "/cluster", timeout=3) if member.up else None
            if isinstance(found, dict):
                return found
        return {}

    def leader(self) -> Optional[str]:
        return next((row["name"] for row in self.view().get("members", []) if row["role"] == "leader"), None)

    def leading_unit(self) -> Optional[str]:
        """Who leads and has PostgreSQL promoted; None while it is on its way."""
        name = self.leader()
        leading = next((member for member in self.members if member.name == name), None)
        own = leading and leading.rest("GET", "/patroni", timeout=3)
        return leading.unit if own and own.get("role") in ("master", "primary") else None

    def paused(self) -> bool:
        return bool(self.view().get("pause"))

    def whole(self) -> bool:
        """A leader, and everybody else streaming in its timeline."""
        rows = self.view().get("members", [])
        leading = [row for row in rows if row["role"] == "leader"]
        return (len(rows) == len(self.members) and len(leading) == 1 and self.leading_unit() is not None
                and all(row["state"] in ("running", "streaming") and row.get("timeline") == leading[0].get("timeline") for row in rows))

    @staticmethod
    def until(claim: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        end = time.monotonic() + seconds
        while True:
            found = claim()
            if found:
                return found
            assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
            time.sleep(0.1)

    def configure(self, **change: Any) -> None:
        """Change the dynamic configuration, as an operator does."""
        assert any(isinstance(member.rest("PATCH", "/config", change), dict) for member in self.members if member.up)

    # Making

    def _configure(self, member: Member) -> None:
        member.home.mkdir()
        secret = {"username": "postgres", "password": "super"}
        config = {
            "scope": "db", "name": member.name, "namespace": "/service/",
            "restapi": {"listen": member.url[8:], "connect_address": member.url[8:], "certfile": str(self._cert[0]), "keyfile": str(self._cert[1]),
                        "authentication": {"username": USER, "password": PASSWORD}},
            "ctl": {"cacert": str(self.certificates.ca)},
            "etcd3": {"hosts": [url.partition("//")[2] for url in self.etcd.endpoints]},
            "bootstrap": {
                "dcs": {"ttl": 20, "loop_wait": self.loop, "retry_timeout": 3, "maximum_lag_on_failover": 1048576,
                        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": {
                            "fsync": "off", "shared_buffers": "16MB", "max_connections": 30, "wal_keep_size": "64MB", "wal_log_hints": "on"}}},
                "initdb": ["data-checksums", {"encoding": "UTF8"}, "no-sync", {"locale": "C"}]},
            "postgresql": {
                "listen": f"127.0.0.1:{member.port}", "connect_address": f"127.0.0.1:{member.port}", "bin_dir": str(self.bin), "data_dir": str(member.data),
                "pgpass": str(member.home / "pgpass"), "parameters": {"unix_socket_directories": str(member.home)},
                "authentication": {"superuser": secret, "replication": {"username": "replicator", "password": "repl"}},
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 md5", "host replication replicator 127.0.0.1/32 md5"]},
        }

        (member.home / "patroni.yml").write_text(json.dumps(config), encoding="utf-8")

    def _own(self) -> None:
        self.directory.chmod(0o755)
        if os.getuid() == 0:
            for place in (self.certificates.directory, *(member.home for member in self.members), self._cert[1]):
                for path in (place, *(place.rglob("*") if place.is_dir() else ())):
                    os.chown(path, self._uid.pw_uid, self._uid.pw_gid)

    def _as_whom(self) -> dict[str, Any]:
        return {"user": self._uid.pw_uid, "group": self._uid.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}

    def _as_user(self, argv: list[str]) -> None:
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False, timeout=60, **self._as_whom())
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"

    def _spawn(self, member: Member) -> subprocess.Popen[bytes]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(member.home), "LANG": "C.UTF-8"}
        if member.version != "3.0":
            environment["PYTHONPATH"] = str(self.directory / member.version)
        if self._guard is None:
            self._guard = subprocess.Popen([sys.executable, "-c", GUARD, str(self.directory)], stdin=subprocess.PIPE, text=True, start_new_session=True)
        with open(self.directory / f"{member.name}.log", "ab") as log:
            process = subprocess.Popen(
                [PYTHON, "-c", "from patroni.__main__ import main; main()", str(member.home / "patroni.yml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, start_new_session=True, **self._as_whom())
        self._guard.stdin.write(f"{process.pid}\n")
        self._guard.stdin.flush()
        return process
