"""What the tests of the Patroni cluster share: a step of a run, with everything that an onlooker and a client saw meanwhile."""

from __future__ import annotations

import os
import subprocess
import typing as t

from tests.fleet import ClusteredFleet, Sampler, Writer
from tests.testbed import Fleet

from .conftest import keep_logs

# patroni-two-series goes the same ways in a minute, with an archive of four packages: for whoever works on these tests.
IMAGE = os.environ.get("LEASEHOLD_CLUSTER_IMAGE", "patroni")
DOWNTIME = 90      # s without writes in one piece that no policy may cost, on a box however busy


class Step(t.NamedTuple):
    """One playbook. ``written`` is the client's record from the beginning of the fleet until after this playbook."""

    done: subprocess.CompletedProcess
    seen: Sampler
    began: float          # s since the epoch
    ended: float
    before: dict          # {machine: boot id}
    after: dict
    series: dict          # {machine: codename} after it
    pins: list            # those left after it
    paused: bool          # whether the cluster was, after it

    @property
    def leaders(self) -> list:
        """Return [(holder, term), ...] as the endpoint told it, one entry for each change; a moment without a leader that runs is none."""
        found: list = []
        for _time, holder, term, _pinned in self.seen.history("db"):
            if holder is not None and found[-1:] != [(holder, term)]:
                found.append((holder, term))
        return found


def boots(fleet: Fleet) -> dict:
    """Return {machine: boot id}."""
    return {machine.name: machine.boot_id() for machine in fleet.machines}


def play(run: ClusteredFleet, writer: Writer, name: str, *command: str) -> Step:
    """Run a playbook, looking at leadership every second; return when the client has written once more after it."""
    before, began = boots(run.fleet), writer.now()
    with Sampler(run.endpoint, name) as seen:
        done = run.play(*command, timeout=2400)
        writer.more()
    print(done.stdout)
    return Step(done, seen, began, writer.now(), before, boots(run.fleet), run.series(), run.endpoint.ask("/v1/pins")["pins"],
                bool(run.cluster.cluster().get("pause")))


def cluster(name: str, leader: str, machines: int) -> t.Iterator[tuple]:
    """Yield (fleet, writer): a cluster under writes, with the policy ``leader``. Its logs are kept when somebody wants them."""
    with Fleet.up(f"{name}-{os.getpid()}", machines=machines, image=IMAGE, owner=os.getpid()) as fleet:
        run = ClusteredFleet(fleet, leader)
        try:
            run.install()
            with Writer(run.cluster) as writer:
                yield run, writer
        finally:
            keep_logs(run)


def tell_downtime(policy: str, writer: Writer, record_property: t.Callable) -> list:
    """Print and record what a client noticed; return the outages."""
    outages = writer.outages()
    total = sum(outage.seconds for outage in outages)
    said = f"{policy}: {len(writer.acknowledged)} writes acknowledged, {len(outages)} outages, {total:.1f} s without writes"
    print(said + "".join(f"\n  {outage.seconds:.1f} s, {outage.before} -> {outage.after}" for outage in outages))
    record_property(f"{policy}: seconds without writes", round(total, 1))
    record_property(f"{policy}: writes acknowledged", len(writer.acknowledged))
    return outages
