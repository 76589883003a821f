"""How a golden disk is built: python -m tests.testbed.build IMAGE DIRECTORY [BASE DISK], called by golden.py.

Runs in a mount namespace of its own, so that no mount survives it.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

from . import clustered, kernel, sources
from .mirror import Mirror, Store
from .twoseries import archive as two_series_archive

SERIES = "bookworm"
DISK_SIZE = "8G"                  # sparse: a fresh machine takes 0.4 GB of it, one after its upgrade 1.3 GB
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "iproute2", "ca-certificates", "procps", "kmod",
    "btrfs-progs", "sudo", "debian-archive-keyring",
)
# Units that wait for hardware, ask the outside world or race with the tests for dpkg's lock.
MASKED = (
    "systemd-networkd-wait-online.service", "console-getty.service", "getty@tty1.service", "systemd-udevd.service",
    "systemd-udev-trigger.service", "systemd-modules-load.service", "systemd-timesyncd.service", "apt-daily.timer",
    "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "dpkg-db-backup.timer", "systemd-resolved.service",
)
# Upgrades spend their time unpacking: nobody reads manuals on these machines.
DPKG = "force-unsafe-io", *(f"path-exclude=/usr/share/{tree}/*" for tree in ("doc", "info", "locale", "man"))
# systemd ignores device entries of /etc/fstab when /sys is read-only, as it is in a container: mount units instead.
MOUNT_UNIT = """[Unit]
DefaultDependencies=no
Before=local-fs.target umount.target
Conflicts=umount.target
[Mount]
What=/dev/machine-disk
Where={where}
Type=btrfs
Options={options}
[Install]
WantedBy=local-fs.target
"""


def _run(*argv: str) -> None:
    """Run a program whose whole family ends with this process."""
    subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *argv], check=True, preexec_fn=kernel.die_with_parent,
                   stdout=subprocess.DEVNULL)


def build(image: str, work: pathlib.Path, base: str) -> None:
    """Make ``work``/disk: a whole bookworm, or ``base`` with what makes it ``image``."""
    kernel.unshare(kernel.CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    new, top = work / "disk", work / "top"
    top.mkdir()
    if base:
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", base, str(new)], check=True)
        subprocess.run(["mount", "-o", "loop", str(new), str(top)], check=True)
        {"patroni": clustered.install}.get(image, _two_series)(top)     # mounted by default subvolume: this is the root
    else:
        subprocess.run(["truncate", "-s", DISK_SIZE, str(new)], check=True)
        subprocess.run(["mkfs.btrfs", "-q", "-m", "single", str(new)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-o", "loop", str(new), str(top)], check=True)
        _bookworm(top)
    subprocess.run(["fstrim", str(top)], check=True)        # what was deleted need not be copied for every machine
    subprocess.run(["umount", str(top)], check=True)


def _bookworm(top: pathlib.Path) -> None:
    for subvolume in ("@rootfs", "@data"):
        subprocess.run(["btrfs", "-q", "subvolume", "create", str(top / subvolume)], check=True)
    root = top / "@rootfs"
    subprocess.run(["btrfs", "subvolume", "set-default", str(root)], check=True)
    found = sources.archives()
    with Mirror(Store({archive.label: archive.uri for archive in found}), "127.0.0.1") as mirror:
        listing = top.parent / "sources.list"
        listing.write_text(sources.one_line(found, SERIES, *mirror.server_address))
        _run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
             *(f"--dpkgopt={option}" for option in DPKG), SERIES, str(root), str(listing))
    apt = root / "etc/apt"
    for left in (apt / "sources.list.d").iterdir():
        left.unlink()
    (apt / "sources.list").write_text(sources.one_line(found[1:], SERIES))        # both kinds of sources, as found in the wild
    (apt / "sources.list.d/debian.sources").write_text(sources.deb822(found[0], SERIES))
    (root / "etc/dpkg/dpkg.cfg.d/testbed").write_text("\n".join(DPKG) + "\n")
    _settle(root)


def _settle(root: pathlib.Path) -> None:
    """Make a package tree a machine: no identity of its own yet, nothing that waits for hardware."""
    (root / "etc/machine-id").write_text("")
    (root / "etc/fstab").write_text("# mounts are units here: see /etc/systemd/system/*.mount\n")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    units = root / "etc/systemd/system"
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    wanted = units / "local-fs.target.wants"
    wanted.mkdir(exist_ok=True)
    for where, options, unit in (("/.btrfs", "subvolid=5", "\\x2ebtrfs.mount"), ("/srv/data", "subvol=@data", "srv-data.mount")):
        (root / where.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (units / unit).write_text(MOUNT_UNIT.format(where=where, options=options))
        (wanted / unit).symlink_to(f"../{unit}")
    journal = root / "etc/systemd/journald.conf.d"
    journal.mkdir(exist_ok=True)
    (journal / "testbed.conf").write_text("[Journal]\nStorage=persistent\nSystemMaxUse=32M\n")
    subprocess.run(["chroot", str(root), "systemctl", "--quiet", "set-default", "multi-user.target"], check=True)
    subprocess.run(["chroot", str(root), "systemctl", "--quiet", "enable", "ssh"], check=True)


def _two_series(root: pathlib.Path) -> None:
    archive = two_series_archive()
    for listing in (root / "etc/apt/sources.list.d").iterdir():
        listing.unlink()
    shutil.copy(archive / "archive.gpg", root / "usr/share/keyrings/two-series.gpg")
    (root / "etc/apt/sources.list").write_text("")
    (root / "etc/apt/sources.list.d/debian.sources").write_text(
        sources.deb822(sources.Archive("two-series", "", ("",)), SERIES).replace(sources.KEYRING, "/usr/share/keyrings/two-series.gpg"))
    packages = sorted(str(path) for path in archive.glob("pool/*_12*.deb"))
    for package in packages:
        shutil.copy(package, root / "tmp")
    names = ["/tmp/" + pathlib.Path(package).name for package in packages]
    _run("chroot", str(root), "dpkg", "--install", *names)
    for name in names:
        (root / name.lstrip("/")).unlink()
    # Somebody changed a configuration file that the next series changes too: the upgrade must keep theirs and not ask.
    (root / "etc/two-series/app.conf").write_text("series=12\nlocal=yes\n")


if __name__ == "__main__":
    build(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])
