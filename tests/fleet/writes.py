"""What an application of the cluster noticed: acknowledged writes, kept on the controller's side, and what became of them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
import typing as t

from .patroni import PatroniFleet

CLIENT = pathlib.Path(__file__).with_name("client.py")
STALL = 1.0     # s between two acknowledged writes that count as downtime; they are 0.05 s apart when all is well


class Outage(t.NamedTuple):
    """No write was acknowledged from ``begin`` (s since the epoch) on for ``seconds``; ``after`` is where the next one was: (server, timeline)."""

    begin: float
    seconds: float
    before: tuple
    after: tuple


class Writer:
    """Writes while it is entered, from the fleet's control node, through whoever takes writes."""

    def __init__(self, cluster: PatroniFleet, name: str = "writes") -> None:
        self.cluster = cluster
        self.path = cluster.home / f"{name}.jsonl"
        self._dsn = cluster.home / "dsn"
        self._process = None

    def __enter__(self) -> "Writer":
        self._dsn.touch(0o600)
        self._dsn.write_text(self.cluster.dsn, encoding="utf-8")
        with open(self.path, "w", encoding="utf-8") as out, open(self.path.with_suffix(".log"), "w", encoding="utf-8") as log:
            self._process = self.cluster.fleet.popen([sys.executable, str(CLIENT), "write", str(self._dsn)], stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        self.cluster.until(lambda: self.acknowledged, "the first write to be acknowledged")
        return self

    def __exit__(self, *_exc) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def acknowledged(self) -> list:
        """Return what was acknowledged so far, in order (see client.py); a line that is still being written does not count."""
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]

    @staticmethod
    def now() -> float:
        """Return the client's time: it runs on the box, as we do."""
        return time.time()

    def more(self, count: int = 20) -> None:
        """Return when so many more writes were acknowledged."""
        wanted = len(self.acknowledged) + count
        self.cluster.until(lambda: len(self.acknowledged) >= wanted, f"{count} more writes")

    def lost(self, patience: float = 10) -> dict:
        """Return {member: acknowledged ids that it does not have}, for the leader and every replica, which may be ``patience`` s behind."""
        self.cluster.until(self.cluster.whole, "every member to be there")
        sent = {entry["id"] for entry in self.acknowledged}
        deadline = time.monotonic() + patience
        while True:
            missing = {member: sorted(sent - self._stored(machine.ip)) for member, machine in self.cluster.members.items()}
            if not any(missing.values()) or time.monotonic() > deadline:
                return missing
            time.sleep(0.5)

    def _stored(self, address: str) -> set:
        alone = self.cluster.home / f"dsn-{address}"
        alone.touch(0o600)
        alone.write_text(self.cluster.dsn_of(address), encoding="utf-8")
        said = self.cluster.fleet.run([sys.executable, str(CLIENT), "count", str(alone)], check=True, stdout=subprocess.PIPE, timeout=60).stdout
        return set(json.loads(said))

    def outages(self) -> list:
        """Return every Outage: more than STALL between two acknowledged writes."""
        found = []
        acknowledged = self.acknowledged
        for one, two in zip(acknowledged, acknowledged[1:]):
            seconds = two["at"] - one["at"]
            if seconds > STALL:
                found.append(Outage(one["at"], seconds, (one["server"], one["timeline"]), (two["server"], two["timeline"])))
        return found

    def leaders(self) -> list:
        """Return [(server, timeline), ...]: who took the writes, one entry for each change."""
        found: list = []
        for entry in self.acknowledged:
            leader = (entry["server"], entry["timeline"])
            if not found or found[-1] != leader:
                found.append(leader)
        return found
