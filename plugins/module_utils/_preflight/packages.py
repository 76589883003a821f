# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packages of a machine tell before an upgrade. Private room of the collection: look() sees, findings() judges and is pure."""

from __future__ import annotations

import os
import re
from typing import Iterator, List, NamedTuple

from .finding import INFO, INHIBITOR, ISSUES, NOBLE, UPGRADING, WARNING, Finding, Kind, Wanted, finder, some
from .system import Installed, System

KINDS = {
    "backports": Kind(WARNING, UPGRADING, (1,)),
    "updates_pending": Kind(WARNING, UPGRADING, (1,)),
    "default_release": Kind(INHIBITOR, "apt_preferences(5)", (1,)),
    "left_beside": Kind(INFO, UPGRADING, (1, 42)),
    "residual": Kind(INFO, UPGRADING, (17, 42)),
    "foreign_architectures": Kind(WARNING, ISSUES, (29,)),
    "time_t": Kind(WARNING, ISSUES, (29,)),
    "usr_unmerged": Kind(INHIBITOR, NOBLE, (18,), acceptable=False),
    "python_applications": Kind(WARNING, "https://docs.python.org/3/library/venv.html", (21, 22)),
}
find = finder(KINDS)

BESIDE = (".dpkg-dist", ".dpkg-new", ".dpkg-old", ".ucf-dist", ".ucf-old", ".ucf-new", ".merge-error")
# Where people put what pip has made. /home is left alone: it may be anywhere, and slow.
VENVS = ("/opt/*", "/opt/*/*", "/srv/*", "/srv/*/*", "/usr/local/*", "/usr/local/lib/*", "/var/lib/*", "/root/*")
SIMULATE = ["apt-get", "--simulate", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "dist-upgrade"]


class Facts(NamedTuple):
    """architecture: of dpkg. pending: packages that have a newer version in the lists that apt has now. beside: files below /etc."""

    architecture: str
    packages: List[Installed]
    residual: List[str]
    pending: List[str]
    default_release: str
    beside: List[str]
    merged: bool
    pythons: List[str]


def look(system: System) -> Facts:
    """What there is. Raises OSError for what cannot be told."""
    architecture = system.run(["dpkg", "--print-architecture"])
    release = system.run(["apt-config", "shell", "FOUND", "APT::Default-Release"])
    simulated = system.run(SIMULATE, env={"LC_ALL": "C.UTF-8"}, timeout=120)
    for answer, what in ((architecture, "dpkg"), (release, "apt-config")):
        if answer.rc != 0:
            raise OSError("{0} does not answer: {1}".format(what, answer.err.strip()[:200] or answer.rc))
    # A simulation that fails has a broken dpkg behind it, which is a finding of its own.
    return Facts(
        architecture=architecture.out.strip(),
        packages=system.packages(),
        residual=system.residual(),
        pending=re.findall(r"^Inst (\S+)", simulated.out, re.MULTILINE) if simulated.rc == 0 else [],
        default_release="".join(re.findall(r"FOUND='(.*)'", release.out)),
        beside=_beside(system),
        merged=all(os.path.islink(system.path(name)) for name in ("/bin", "/sbin", "/lib") if system.exists(name)),
        pythons=_pythons(system),
    )


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    backports = sorted({package.name for package in facts.packages if "~bpo" in package.version})
    if backports:
        yield find("backports", "From backports: {0}.".format(some(backports)), "They may be newer than what {0} has.".format(wanted.target),
                   "Look whether each has a successor there, and remove what has none.", packages=backports)
    if facts.pending:
        yield find("updates_pending", "{0} packages are behind {1}: {2}.".format(len(facts.pending), wanted.start or "their series", some(facts.pending)),
                   "An upgrade begins on the latest point release.", "Run `apt-get dist-upgrade` within the series first.", packages=facts.pending)
    if facts.default_release and not facts.default_release.startswith(wanted.target):
        yield find("default_release", "APT::Default-Release is {0}.".format(facts.default_release),
                   "apt would prefer it to {0}, and upgrade little or nothing.".format(wanted.target),
                   "Take it out of /etc/apt/apt.conf and apt.conf.d.", value=facts.default_release)
    if facts.beside:
        yield find("left_beside", "Versions of configuration files lie beside the ones in use: {0}.".format(some(facts.beside)),
                   "Those of this upgrade will be hard to tell from them.", "Merge or delete them.", files=facts.beside)
    if facts.residual:
        yield find("residual", "Gone but for their configuration: {0}.".format(some(facts.residual)), "", "Purge them with `dpkg --purge`.",
                   packages=facts.residual)
    yield from _architectures(facts, wanted)
    if not facts.merged:
        yield find("usr_unmerged", "/bin, /sbin or /lib is no link into /usr.", "Packages of {0} need a merged /usr.".format(wanted.target),
                   "Install the package usrmerge first.")
    if facts.pythons:
        yield find("python_applications", "Made for the present Python: {0}.".format(some(facts.pythons)),
                   "The upgrade brings another Python, and they will not start with it.", "Plan to make them anew after the upgrade.", paths=facts.pythons)


def _architectures(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    foreign = sorted({"{0}:{1}".format(package.name, package.architecture) for package in facts.packages
                      if package.architecture not in ("all", facts.architecture)})
    if foreign:
        yield find("foreign_architectures", "Of another architecture than {0}: {1}.".format(facts.architecture, some(foreign)),
                   "{0} has fewer packages of it, and both halves of a library have to move together.".format(wanted.target),
                   "Remove what is not needed.", packages=foreign)
    if facts.architecture in ("armhf", "armel") and wanted.target in ("trixie", "noble"):
        yield find("time_t", "This machine is {0}.".format(facts.architecture),
                   "Its libraries change to a 64-bit time_t under the same names; programs from elsewhere may lose data without a word.",
                   "Have everything rebuilt that is not {0}'s own; dump rrd files before.".format(wanted.target))


def _beside(system: System) -> List[str]:
    found, prefix = [], len(system.root.rstrip("/"))
    for folder, dummy, names in os.walk(system.path("/etc")):
        found += [os.path.join(folder, name)[prefix:] for name in names if name.endswith(BESIDE)]
    return sorted(found)


def _pythons(system: System) -> List[str]:
    venvs = [os.path.dirname(path) for pattern in VENVS for path in system.glob(os.path.join(pattern, "pyvenv.cfg"))]
    pip = [os.path.dirname(path) for path in system.glob("/usr/local/lib/python3.*/dist-packages/*")]
    return sorted(set(venvs) | set(pip))
