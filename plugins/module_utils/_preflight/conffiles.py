# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Configuration files that the operator has changed and the target's packages change too. Private room of the collection.

Only the new package knows its version of a file, so those packages are fetched, within a limit.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from .isolated import Isolated
from .system import System

MOST_BYTES = 64 * 1024 * 1024
MOST_PACKAGES = 24


class Conflicts(NamedTuple):
    """
    both: files changed here and there, {"file", "package"}. unknown: changed here, and the new package could not be looked into. ucf: files
    that packages look after with ucf and that are changed here.
    """

    both: List[Dict[str, str]]
    unknown: List[Dict[str, str]]
    ucf: List[str]


def changed(system: System, upgraded: Mapping[str, str]) -> Dict[str, Dict[str, Tuple[str, str]]]:
    """By package that is UPGRADED: {file: (md5 as it was shipped, md5 now)} of the configuration files that differ. A deleted one differs."""
    shown = system.run(["dpkg-query", "--show", "--showformat", "${Package}\n${Conffiles}\n"])
    if shown.rc != 0:
        raise OSError("dpkg-query does not answer: {0}".format(shown.err.strip()[:200]))
    found: Dict[str, Dict[str, Tuple[str, str]]] = {}
    package = ""
    for line in shown.out.splitlines():
        row = re.match(r"^ (\S.*?) ([0-9a-f]{32})( obsolete)?(?: remove-on-upgrade)?$", line)
        if row is None:
            package = line.strip() or package
        elif package in upgraded and not row.group(3):
            now = md5(system.path(row.group(1)))
            if now != row.group(2):
                found.setdefault(package, {})[row.group(1)] = (row.group(2), now)
    return found


def of_ucf(system: System) -> List[str]:
    """Files of /etc in ucf's book that are not as ucf has put them there."""
    rows = [line.split(None, 1) for line in (system.text("/var/lib/ucf/hashfile") or "").splitlines()]
    return sorted(path for row in rows if len(row) == 2 for path in [row[1].strip()]
                  if path.startswith("/etc/") and system.exists(path) and md5(system.path(path)) != row[0])


def conflicts(apt: Isolated, system: System, upgraded: Mapping[str, str], sizes: Mapping[str, int]) -> Conflicts:
    """UPGRADED: new version by package; SIZES: bytes to fetch by package. Raises OSError and NotPredicted."""
    here = changed(system, upgraded)
    chosen, total = [], 0
    for package in sorted(here, key=lambda name: sizes.get(name, MOST_BYTES)):
        total += sizes.get(package, MOST_BYTES)
        if total <= MOST_BYTES and len(chosen) < MOST_PACKAGES:
            chosen.append(package)
    if chosen:
        apt.ask("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", apt.path("debs"), "apt-get", "--quiet", "-o", "APT::Sandbox::User=root", "download",
                *["{0}={1}".format(package, upgraded[package]) for package in chosen])
    fetched = {name.split("_")[0]: os.path.join(apt.path("debs"), name) for name in os.listdir(apt.path("debs"))}
    both, unknown = [], []
    for package, files in sorted(here.items()):
        new = shipped(fetched[package], list(files)) if package in chosen and package in fetched else None
        for path, (was, now) in sorted(files.items()):
            entry = {"file": path, "package": package}
            if new is None:
                unknown.append(entry)
            elif new.get(path) not in (None, was, now):
                both.append(entry)
    return Conflicts(both, unknown, of_ucf(system))


def shipped(deb: str, paths: List[str]) -> Optional[Dict[str, str]]:
    """md5 by path of the files that the package DEB ships; None when it cannot be read."""
    found: Dict[str, str] = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as unpacked:
        try:
            with tarfile.open(fileobj=unpacked.stdout, mode="r|") as archive:
                for member in archive:
                    path = "/" + member.name.lstrip("./")
                    content = archive.extractfile(member) if path in paths and member.isfile() else None
                    if content is not None:
                        found[path] = hashlib.md5(content.read()).hexdigest()
        except (tarfile.TarError, OSError, ValueError):
            return None
        finally:
            # Our end first, or a dpkg-deb with more to say would wait for a reader for ever.
            if unpacked.stdout is not None:
                unpacked.stdout.close()
    return found


def md5(path: str) -> str:
    """As dpkg writes it down; "" for what is not there. Raises OSError for what cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.md5(file.read()).hexdigest()
    except FileNotFoundError:
        return ""
