# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks, encryption and the temporary directory before an upgrade. Private room of the collection: look() sees, findings() is pure."""

from __future__ import annotations

import os
import re
from typing import Iterator, List, NamedTuple, Optional

from .finding import INFO, INHIBITOR, ISSUES, UPGRADING, WARNING, Finding, Kind, Wanted, finder, some
from .system import System

KINDS = {
    "boot_small": Kind(WARNING, UPGRADING, (19,)),
    "tmp_on_ram": Kind(WARNING, ISSUES, (24,)),
    "crypt_plain": Kind(INHIBITOR, ISSUES, (26,)),
    "grub_device": Kind(WARNING, "https://www.gnu.org/software/grub/manual/grub/html_node/Installation.html", (9, 27)),
    "initrd_missing": Kind(INHIBITOR, "update-initramfs(8)", (27,)),
}
find = finder(KINDS)

MB = 1024 * 1024
# A separate /boot smaller than this has little room for a second kernel of trixie with its initramfs.
BOOT_MB = 768
TMPFS_FROM = ("trixie", "forky", "duke")
ROOM = "/tmp"


class Facts(NamedTuple):
    """
    boot_mb: size of /boot when it is a file system of its own. tmp: "disk", "tmpfs" or "own", what /tmp is; tmp_mb: what lies in it.
    ram_mb: memory. plain: names of plain dm-crypt devices whose parameters crypttab does not give. grub: what grub-pc would install to,
    None where it is not installed. kernels_without_initrd: versions.
    """

    boot_mb: Optional[int]
    tmp: str
    tmp_mb: int
    ram_mb: int
    plain: List[str]
    grub: Optional[List[str]]
    grub_lost: List[str]
    kernels_without_initrd: List[str]


def look(system: System) -> Facts:
    """Raises OSError for what cannot be told."""
    mounts = [line.split()[1:3] for line in (system.text("/proc/self/mounts") or "").splitlines() if len(line.split()) > 2]
    kinds = dict((place, kind) for place, kind in mounts)
    grub = _grub(system)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", system.text("/proc/meminfo") or "", re.MULTILINE)
    if memory is None:
        raise OSError("/proc/meminfo does not tell the memory")
    return Facts(
        boot_mb=_size(system, "/boot") if "/boot" in kinds else None,
        tmp=_tmp(system, kinds.get(ROOM)),
        tmp_mb=_used(system.path(ROOM)),
        ram_mb=int(memory.group(1)) // 1024,
        plain=_plain(system.lines("/etc/crypttab")),
        grub=grub,
        grub_lost=[device for device in grub or [] if not system.exists(device)],
        kernels_without_initrd=_without_initrd(system),
    )


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    if facts.boot_mb is not None and facts.boot_mb < BOOT_MB:
        yield find("boot_small", "/boot has {0} MB.".format(facts.boot_mb), "Kernels and firmware have grown; {0} MB are advised.".format(BOOT_MB),
                   "Make it larger, or keep one kernel only.")
    if facts.tmp == "disk" and wanted.target in TMPFS_FROM and wanted.start not in TMPFS_FROM:
        most = facts.ram_mb // 2
        yield find("tmp_on_ram", "/tmp will be memory after the reboot: at most {0} MB, and {1} MB lie in it now.".format(most, facts.tmp_mb),
                   "What lies there now is hidden, and what fills it takes memory from everybody.",
                   "Move what is needed elsewhere, or run `systemctl mask tmp.mount` to keep it on the disk.",
                   severity=WARNING if facts.tmp_mb * 4 > most else INFO, ram_mb=facts.ram_mb, used_mb=facts.tmp_mb)
    if facts.plain and wanted.target in TMPFS_FROM:
        yield find("crypt_plain", "Plain dm-crypt without its parameters in /etc/crypttab: {0}.".format(some(facts.plain)),
                   "The defaults change, and with the new ones the data looks random.",
                   "Add cipher=aes-cbc-essiv:sha256,size=256,hash=ripemd160 where it was made with the defaults of bookworm.", devices=facts.plain)
    if facts.grub is not None and (not facts.grub or facts.grub_lost):
        yield find("grub_device", "grub-pc does not know a disk to install to{0}.".format(
            ": {0} is not there".format(some(facts.grub_lost)) if facts.grub_lost else ""),
            "The boot loader on the disk stays the old one, and may not find the new one's files.", "Answer `dpkg-reconfigure grub-pc`.")
    if facts.kernels_without_initrd:
        yield find("initrd_missing", "Kernels without an initramfs: {0}.".format(some(facts.kernels_without_initrd)),
                   "The machine may not boot, also not back into the old series.", "Run `update-initramfs -c -k VERSION`.",
                   versions=facts.kernels_without_initrd)


def _tmp(system: System, kind: Optional[str]) -> str:
    """What /tmp is, and stays: "own" when fstab, a mask or a unit of the operator decides it."""
    if any(line.split()[1:2] == [ROOM] for line in system.lines("/etc/fstab")) or system.exists("/etc/systemd/system/tmp.mount"):
        return "own"
    return "disk" if kind is None else "tmpfs" if kind == "tmpfs" else "own"


def _used(place: str, most: int = 100000) -> int:
    """MB of the files below PLACE, on its file system; no more than MOST files are counted."""
    total, seen = 0, 0
    device = os.stat(place).st_dev if os.path.isdir(place) else None
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name)) and _device(os.path.join(folder, name)) == device]
        for name in names:
            seen += 1
            if seen > most:
                return total // MB
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total // MB


def _device(path: str) -> Optional[int]:
    try:
        return os.lstat(path).st_dev
    except FileNotFoundError:
        return None


def _size(system: System, place: str) -> int:
    found = os.statvfs(system.path(place))
    return found.f_blocks * found.f_frsize // MB


def _plain(lines: List[str]) -> List[str]:
    rows = [line.split() for line in lines]
    return [row[0] for row in rows if len(row) > 3 and "plain" in row[3].split(",") and not ("cipher=" in row[3] and "hash=" in row[3])]


def _grub(system: System) -> Optional[List[str]]:
    if "grub-pc" not in system.versions():
        return None
    shown = system.run(["debconf-show", "grub-pc"])
    if shown.rc != 0:
        raise OSError("debconf does not tell where grub-pc is installed: {0}".format(shown.err.strip()[:200]))
    answer = re.search(r"grub-pc/install_devices:(.*)$", shown.out, re.MULTILINE)
    return [device.strip() for device in answer.group(1).split(",") if device.strip()] if answer else []


def _without_initrd(system: System) -> List[str]:
    if "initramfs-tools" not in system.versions():
        return []
    versions = [path.split("vmlinuz-", 1)[1] for path in system.glob("/boot/vmlinuz-*")]
    return [version for version in versions if not system.exists("/boot/initrd.img-" + version)]
