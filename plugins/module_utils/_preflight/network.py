# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces and the resolver before an upgrade. Private room of the collection: look() sees, findings() is pure."""

from __future__ import annotations

import os
import re
from typing import Iterator, List, NamedTuple

from .finding import ISSUES, NOBLE, WARNING, INFO, Finding, Kind, Wanted, finder, some
from .system import System

KINDS = {
    "interface_renamed": Kind(WARNING, ISSUES, (25,)),
    "interface_may_rename": Kind(WARNING, ISSUES, (25,)),
    "resolver_stub": Kind(INFO, NOBLE, (36,)),
}
find = finder(KINDS)


class Interface(NamedTuple):
    """named: what udev would call it now, "" when it has no opinion. driver: of its device. sun: whether firmware gives it a slot number."""

    name: str
    named: str
    driver: str
    sun: bool


class Facts(NamedTuple):
    """interfaces: those with a device behind them. pinned: names that a .link file of the operator gives. stub: resolv.conf leads to systemd-resolved."""

    interfaces: List[Interface]
    pinned: List[str]
    ifnames_off: bool
    stub: bool


def look(system: System) -> Facts:
    """Raises OSError for what cannot be told."""
    found = []
    for path in system.glob("/sys/class/net/*"):
        if system.exists(path + "/device"):
            found.append(_interface(system, path))
    links = [line for path in system.glob("/etc/systemd/network/*.link") for line in system.lines(path)]
    command_line = (system.text("/proc/cmdline") or "").split()
    return Facts(
        interfaces=found,
        pinned=[line.split("=", 1)[1].strip() for line in links if line.startswith("Name=")],
        ifnames_off="net.ifnames=0" in command_line,
        stub="systemd/resolve" in (os.readlink(system.path("/etc/resolv.conf")) if os.path.islink(system.path("/etc/resolv.conf")) else ""),
    )


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    free = [] if facts.ifnames_off else [interface for interface in facts.interfaces if interface.name not in facts.pinned]
    renamed = ["{0} to {1}".format(interface.name, interface.named) for interface in free if interface.named not in ("", interface.name)]
    if renamed:
        yield find("interface_renamed", "udev would rename {0} at the next boot.".format(some(renamed)),
                   "The configuration of the network names the old one.", "Keep the name with a .link file in /etc/systemd/network, or set up the new one.",
                   renamed=renamed)
    if wanted.target in ("trixie", "forky", "duke", "resolute"):
        may = ["{0} ({1})".format(interface.name, interface.driver if interface.driver == "i40e" else "slot number of the firmware")
               for interface in free if interface.driver == "i40e" or interface.sun]
        if may:
            yield find("interface_may_rename", "systemd 257 may name these differently: {0}.".format(some(may)),
                       "Only the new udev can tell, and it is asked before the reboot.", "Keep the name with a .link file in /etc/systemd/network.",
                       interfaces=may)
    if facts.stub and wanted.target == "noble":
        yield find("resolver_stub", "/etc/resolv.conf leads to systemd-resolved.", "Upgrades from jammy have switched its stub off (LP 2043820).",
                   "Look at name resolution after the upgrade.")


def _interface(system: System, path: str) -> Interface:
    name = os.path.basename(path)
    said = system.run(["udevadm", "test-builtin", "net_setup_link", "/sys/class/net/" + name])
    named = re.search(r"^ID_NET_NAME=(\S+)$", said.out, re.MULTILINE)
    driver = os.path.basename(os.path.realpath(system.path(path + "/device/driver")))
    return Interface(name, named.group(1) if said.rc == 0 and named else "", driver, system.exists(path + "/device/firmware_node/sun"))
