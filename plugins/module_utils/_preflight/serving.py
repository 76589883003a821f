# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages an application needs on this machine: those of its units, of its commands, and of who listens where it is checked."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Optional

from .system import System


def needed(system: System, serves: Mapping[str, Any], packages: List[str]) -> Dict[str, List[str]]:
    """
    Of PACKAGES, those that something in SERVES needs: {package: ["unit patroni.service", ...]}. SERVES: {"units", "programs", "ports"}.

    Only what a package owns can be told: a program that somebody has put to /usr/local has none, and none is lost with it.
    """
    found: Dict[str, List[str]] = {}
    if not packages:
        return found
    for unit in serves.get("units") or ():
        for path in _unit_files(system, unit):
            _note(system, found, packages, path, "unit " + unit)
    for program in serves.get("programs") or ():
        path = _program(system, program)
        if path:
            _note(system, found, packages, path, "command " + program)
    for port in serves.get("ports") or ():
        for path in listeners(system, int(port)):
            _note(system, found, packages, path, "port {0}".format(port))
    return found


def _note(system: System, found: Dict[str, List[str]], packages: List[str], path: str, what: str) -> None:
    for candidate in dict.fromkeys((path, os.path.realpath(path), re.sub(r"^/usr/", "/", path), "/usr" + path)):
        owner = system.run(["dpkg-query", "--search", candidate])
        for names in re.findall(r"^(?!diversion )(\S[^/]*): ", owner.out, re.MULTILINE) if owner.rc == 0 else ():
            for name in names.split(", "):
                if name.split(":")[0] in packages:
                    mine = found.setdefault(name.split(":")[0], [])
                    mine += [] if what in mine else [what]


def _unit_files(system: System, unit: str) -> List[str]:
    """The unit's own file and the programs that it starts."""
    name = unit if "." in unit else unit + ".service"
    shown = system.run(["systemctl", "show", "--property", "FragmentPath", "--property", "ExecStart", name])
    paths = re.findall(r"^FragmentPath=(\S+)$", shown.out, re.MULTILINE) + re.findall(r"path=(\S+)", shown.out)
    return list(dict.fromkeys(paths))


def _program(system: System, program: str) -> Optional[str]:
    if program.startswith("/"):
        return program
    folders = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    return next((os.path.join(folder, program) for folder in folders if system.exists(os.path.join(folder, program))), None)


def listeners(system: System, port: int) -> List[str]:
    """The programs that listen at the TCP port, as far as this user may see them."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in (line.split() for line in (system.text(table) or "").splitlines()[1:]):
            # state 0A: listening
            if len(row) > 9 and row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port:
                inodes.add("socket:[{0}]".format(row[9]))
    found = []
    for process in system.glob("/proc/[0-9]*") if inodes else ():
        try:
            folder = system.path(process + "/fd")
            if any(os.readlink(os.path.join(folder, name)) in inodes for name in os.listdir(folder)):
                found.append(os.readlink(system.path(process + "/exe")))
        except OSError:
            continue  # It has ended meanwhile, or is not ours to look into.
    return sorted(set(found))
