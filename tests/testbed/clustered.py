"""What makes a bookworm disk one of image ``patroni``: Debian's etcd, Patroni and PostgreSQL, installed and not configured.

What they keep belongs below /srv/data, a subvolume that a rollback of the machine does not touch: an etcd member that
forgot what it had acknowledged would be worse than one that is gone.
"""

from __future__ import annotations

import pathlib
import subprocess

from . import kernel, sources
from .mirror import Mirror, Store

SERIES = "bookworm"
PACKAGES = ("etcd-server", "etcd-client", "patroni", "python3-etcd", "postgresql-15", "curl")       # curl is for operators' commands
SERVICES = ("etcd", "patroni", "postgresql")
NO_START = "#!/bin/sh\nexit 101\n"


def install(root: pathlib.Path) -> None:
    """Install PACKAGES into the machine below ``root``; none of their services is enabled."""
    settings = root / "etc/postgresql-common/createcluster.conf"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("create_main_cluster = false\n")          # Patroni makes the cluster, and there is to be one
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(NO_START)
    policy.chmod(0o755)
    found = sources.archives()
    listing = root / "tmp/build.list"
    with Mirror(Store({archive.label: archive.uri for archive in found}), "127.0.0.1") as mirror:
        listing.write_text(sources.one_line(found, SERIES, *mirror.server_address))
        apt = ("apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Dir::Etc::sourcelist=/tmp/build.list", "-o", "Dir::Etc::sourceparts=-")
        _inside(root, *apt, "update")
        _inside(root, *apt, "install", "--no-install-recommends", *PACKAGES)
        _inside(root, "apt-get", "clean")
    listing.unlink()
    policy.unlink()             # else an upgrade would restart nothing
    for service in SERVICES:
        subprocess.run(["chroot", str(root), "systemctl", "--quiet", "disable", service], check=True)


def _inside(root: pathlib.Path, *argv: str) -> None:
    """Run a program of the machine whose whole family ends with this process."""
    subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc", "chroot", str(root), "env", "--ignore-environment",
         "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *argv],
        check=True, preexec_fn=kernel.die_with_parent, stdout=subprocess.DEVNULL)
