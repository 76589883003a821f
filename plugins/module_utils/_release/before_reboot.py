# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What would keep a machine from coming back after the reboot into its new release, looked for while somebody can still do something about it.

Only looks. What cannot be found out is left to the watcher, which sees the machine come back or takes it back. Private room of the collection.
"""

from __future__ import annotations

import os
import re
from typing import Callable, Iterator, List, Optional

from .._snapshot.boot import Boot
from .._watcher.steps import Result

Run = Callable[..., Result]

CRYPTSETUP = ("usr/bin/systemd-cryptsetup", "usr/lib/systemd/systemd-cryptsetup", "lib/systemd/systemd-cryptsetup")
# What makes an initramfs; without either, kernels may boot without one.
MAKERS = ("usr/sbin/update-initramfs", "usr/bin/dracut")
SMALLEST_INITRD = 64 * 1024


def problems(run: Run, root: str = "/") -> List[str]:
    """What would go wrong, one sentence with the next step each."""
    return list(_names(run, root)) + list(_disks(root)) + list(_kernel(root))


def _names(run: Run, root: str) -> Iterator[str]:
    """Network interfaces that the new udev would give another name."""
    folder = os.path.join(root, "sys/class/net")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        # Only hardware is named by udev; bridges, tunnels and the like are named by whoever makes them.
        if not os.path.exists(os.path.join(folder, name, "device")) or _named_by_rule(name, root):
            continue
        told = run(["udevadm", "test-builtin", "net_setup_link", "/sys/class/net/" + name], timeout=30)
        match = re.search(r"^ID_NET_NAME=(\S+)$", told.out, re.MULTILINE)
        if told.rc == 0 and match and match.group(1) != name:
            yield ("the reboot would rename the network interface {0} to {1}, and its settings would not be found; keep its name by a file "
                   "/etc/systemd/network/10-{0}.link with [Match] MACAddress=... and [Link] Name={0}").format(name, match.group(1))


def _named_by_rule(name: str, root: str) -> bool:
    folder = os.path.join(root, "etc/udev/rules.d")
    for rules in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if 'NAME="{0}"'.format(name) in _text(os.path.join(folder, rules)):
            return True
    return False


def _disks(root: str) -> Iterator[str]:
    """Encrypted disks that nobody would open: the program is a package of its own in newer releases."""
    lines = [line.split() for line in _text(os.path.join(root, "etc/crypttab")).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    opened = [line[0] for line in lines if not (len(line) > 3 and "noauto" in line[3].split(","))]
    if opened and not any(os.path.exists(os.path.join(root, path)) for path in CRYPTSETUP):
        yield "{0} in /etc/crypttab would not be opened at the boot; install systemd-cryptsetup".format(", ".join(opened))


def _kernel(root: str) -> Iterator[str]:
    """A newest kernel without a whole initramfs, and a menu that leads nowhere."""
    boot = os.path.join(root, "boot")
    names = os.listdir(boot) if os.path.isdir(boot) else []
    kernels = sorted((name for name in names if name.startswith("vmlinuz-")), key=_version)
    if kernels and any(os.path.exists(os.path.join(root, maker)) for maker in MAKERS):
        version = kernels[-1].partition("-")[2]
        initrd = os.path.join(boot, "initrd.img-" + version)
        if not os.path.isfile(initrd) or os.path.getsize(initrd) < SMALLEST_INITRD:
            yield "the kernel {0} has no whole initramfs; run update-initramfs -c -k {0}, and look at the room in /boot".format(version)
    menu: Optional[str] = Boot(root).problem()
    if menu:
        yield "the boot menu does not lead to this system: {0}".format(menu.rstrip("."))


def _version(name: str) -> List[object]:
    """So that 6.12.9 comes before 6.12.10."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
