"""A PostgreSQL cluster on a fleet of image ``patroni``: one etcd member, one Patroni and one PostgreSQL on every machine.

Members are called pg1, pg2, ... and live on m1, m2, ...: a member's name is not its machine's. The REST API speaks TLS
with an authority of its own, and wants a user and a password for everything that changes something.
"""

from __future__ import annotations

import json
import pathlib
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.testbed import Fleet, Machine

from .authority import Authority
from .etcd import EtcdFleet

SCOPE = "db"
USER = "operator"           # of the REST API
ASK = pathlib.Path(__file__).with_name("rest.py")
PREPARE = """set -e
install -d -o postgres -g postgres -m 700 /srv/data/pg
update-ca-certificates >/dev/null
systemctl enable --quiet patroni
"""


class PatroniFleet:
    """``fleet`` carries the cluster; ``install`` brings it up with its leader on the first machine."""

    def __init__(self, fleet: Fleet, machines: list | None = None) -> None:
        self.fleet = fleet
        self.machines = machines or fleet.machines
        self.etcd = EtcdFleet(self.machines)
        self.home = fleet.state / "patroni"
        self.members = {f"pg{number}": machine for number, machine in enumerate(self.machines, 1)}
        self.urls = [f"https://{machine.ip}:8008" for machine in self.machines]
        self.password_file = self.home / "rest.password"

    @property
    def ca(self) -> pathlib.Path:
        """Return the certificate that clients of the REST API trust."""
        return self.home / "ca.pem"

    @property
    def dsn(self) -> str:
        """Return how a client reaches the member that takes writes, whichever it is (libpq)."""
        return self.dsn_of(",".join(machine.ip for machine in self.machines)) + " target_session_attrs=read-write"

    def dsn_of(self, hosts: str) -> str:
        """Return how a client reaches the first of these addresses that answers."""
        return f"host={hosts} port=5432 user=postgres dbname=postgres connect_timeout=2 password={self._secret('superuser')}"

    def install(self) -> "PatroniFleet":
        """Return when etcd is whole, pg1 leads and every other member streams from it."""
        authority = Authority(self.home)
        for name in ("rest", "superuser", "replication"):
            self._secret(name)
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(lambda member: self._prepare(authority, *member), self.members.items()))
            self.until(self.etcd.whole, "etcd to be whole")
            first, *others = self.machines
            first.ssh("systemctl start patroni")
            self.until(lambda: self.leader() == "pg1", "pg1 to lead")
            list(pool.map(lambda machine: machine.ssh("systemctl start patroni"), others))
        self.until(self.whole, "every replica to stream")
        return self

    @property
    def provider(self) -> dict:
        """Return how the endpoint reaches the cluster: an entry of its applications file."""
        return {"provider": "patroni", "members": dict(zip(self.members, self.urls)), "ca_file": str(self.ca), "username": USER,
                "password_file": str(self.password_file)}

    def _prepare(self, authority: Authority, member: str, machine: Machine) -> None:
        certificate, key = authority.issue(member, machine.ip, machine.name)
        for local, remote, mode in ((certificate, "rest.pem", "644"), (key, "rest.key", "600"), (authority.ca, "ca.pem", "644")):
            machine.put(local, f"/etc/patroni/{remote}", mode)
        machine.put(authority.ca, "/usr/local/share/ca-certificates/testbed.crt")        # the watcher's checks trust what the machine trusts
        settings = json.dumps(self._settings(member, machine), indent=1)        # JSON is YAML
        machine.ssh("install -D -m 600 /dev/stdin /etc/patroni/config.yml && chown -R postgres: /etc/patroni", stdin=settings)
        machine.ssh(PREPARE)
        self.etcd.start(machine)

    def _settings(self, member: str, machine: Machine) -> dict:
        network = machine.ip.rpartition(".")[0] + ".0/24"
        return {
            "scope": SCOPE, "name": member,
            "restapi": {
                "listen": f"{machine.ip}:8008", "connect_address": f"{machine.ip}:8008",
                "certfile": "/etc/patroni/rest.pem", "keyfile": "/etc/patroni/rest.key",
                "authentication": {"username": USER, "password": self._secret("rest")},
            },
            "ctl": {"cacert": "/etc/patroni/ca.pem"},
            "etcd3": {"hosts": ",".join(f"{other.ip}:2379" for other in self.machines)},
            "bootstrap": {
                "dcs": {
                    "ttl": 20, "loop_wait": 5, "retry_timeout": 5, "maximum_lag_on_failover": 1048576,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True,
                                   "parameters": {"shared_buffers": "32MB", "max_connections": 40, "wal_keep_size": "128MB"}},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"{machine.ip},127.0.0.1:5432", "connect_address": f"{machine.ip}:5432",
                "data_dir": "/srv/data/pg/15", "bin_dir": "/usr/lib/postgresql/15/bin", "pgpass": "/var/lib/postgresql/pgpass0",
                "authentication": {"superuser": {"username": "postgres", "password": self._secret("superuser")},
                                   "replication": {"username": "replicator", "password": self._secret("replication")}},
                "pg_hba": ["local all all peer", "host all all 127.0.0.1/32 scram-sha-256", f"host all all {network} scram-sha-256",
                           f"host replication replicator {network} scram-sha-256"],
            },
        }

    def _secret(self, name: str) -> str:
        place = self.home / f"{name}.password"
        if not place.exists():
            place.touch(0o600)
            place.write_text(secrets.token_hex(12), encoding="utf-8")
        return place.read_text(encoding="utf-8")

    def rest(self, url: str, method: str = "GET", path: str = "/cluster", body: dict | None = None) -> dict:
        """Ask one member's REST API from the control node: {"status": number, "body": JSON or text} or {"error": sentence}."""
        words = [sys.executable, str(ASK), url + path, str(self.ca), USER, str(self.password_file), method, json.dumps(body)]
        return json.loads(self.fleet.run(words, check=True, stdout=subprocess.PIPE, timeout=60).stdout)

    def cluster(self) -> dict:
        """Return what GET /cluster says at the first member that answers, or {} when none does."""
        for url in self.urls:
            said = self.rest(url)
            if said.get("status") == 200:
                return said["body"]
        return {}

    def leader(self) -> str:
        """Return the name of the leader that is running, or nothing."""
        found = [member["name"] for member in self.cluster().get("members", ()) if member["role"] == "leader" and member["state"] == "running"]
        return found[0] if found else ""

    def whole(self) -> bool:
        """Tell whether there is a leader and everybody else streams from it: 3.0 says ``running`` of both, 4.0 ``streaming``."""
        members = self.cluster().get("members", [])
        good = [member for member in members if member["state"] in ("running", "streaming") and (member["role"] == "leader" or member.get("lag") == 0)]
        return len(good) == len(self.members) and any(member["role"] == "leader" for member in members)

    @staticmethod
    def until(true, what: str, patience: float = 90) -> None:
        """Return when ``true()`` is; raise TimeoutError saying what did not come about."""
        deadline = time.monotonic() + patience
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {patience} s: {what}")
            time.sleep(0.3)
