"""etcd on machines of image ``patroni``: Debian's own package, a member on each, its data where a rollback of the machine does not come."""

from __future__ import annotations

from tests.testbed import Machine

SETTINGS = """ETCD_NAME={machine}
ETCD_DATA_DIR=/srv/data/etcd
ETCD_LISTEN_PEER_URLS=http://{ip}:2380
ETCD_LISTEN_CLIENT_URLS=http://{ip}:2379,http://127.0.0.1:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://{ip}:2380
ETCD_ADVERTISE_CLIENT_URLS=http://{ip}:2379
ETCD_INITIAL_CLUSTER={cluster}
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_INITIAL_CLUSTER_TOKEN=testbed
"""
START = """set -e
install -d -o etcd -g etcd -m 700 /srv/data/etcd
cat >/etc/default/etcd
systemctl enable --quiet etcd
systemctl start --no-block etcd
"""


class EtcdFleet:
    """A member on each of ``machines``; ``urls`` are where clients reach them."""

    def __init__(self, machines: list) -> None:
        self.machines = machines
        self.urls = [f"http://{machine.ip}:2379" for machine in machines]

    def start(self, machine: Machine) -> None:
        """Start the member of a machine, now and at each boot. Does not wait: alone it is no cluster."""
        cluster = ",".join(f"{other.name}=http://{other.ip}:2380" for other in self.machines)
        machine.ssh(START, stdin=SETTINGS.format(machine=machine.name, ip=machine.ip, cluster=cluster))

    def whole(self) -> bool:
        """Tell whether every member is healthy, asked from the first machine."""
        return self.machines[0].ssh(f"ETCDCTL_API=3 etcdctl --endpoints={','.join(self.urls)} endpoint health", check=False).returncode == 0
