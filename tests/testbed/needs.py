"""What this box must have before a fleet can come up."""

from __future__ import annotations

import os
import pathlib
import shutil

PROGRAMS = ("mmdebstrap", "mkfs.btrfs", "btrfs", "btrfstune", "ip", "ssh", "ssh-keygen", "unshare", "nsenter", "gpg", "apt-ftparchive", "dpkg-deb",
            "apt-config")


def missing() -> str:
    """Return one sentence that says what is missing and what to do, or an empty one."""
    if os.geteuid() != 0:
        return "the test bed boots machines and needs root: run it as root, or run `make demo`, which needs none"
    lacking = [program for program in PROGRAMS if not shutil.which(program)]
    if lacking:
        return f"not installed: {', '.join(lacking)}; run tools/system-packages"
    if not pathlib.Path("/dev/loop-control").exists():
        return "this box has no loop devices: load the kernel module `loop`"
    if "btrfs" not in pathlib.Path("/proc/filesystems").read_text() and not shutil.which("modprobe"):
        return "this kernel has no btrfs, and no modprobe to load it with"
    return ""
