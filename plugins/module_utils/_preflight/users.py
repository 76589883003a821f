# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and their scripts rely on and the next series no longer has. Private room of the collection."""

from __future__ import annotations

import os
import re
from typing import Iterator, List, NamedTuple

from .finding import ISSUES, WARNING, Finding, Kind, Wanted, finder, some
from .system import System

KINDS = {
    "ssh_dsa": Kind(WARNING, ISSUES, (35,)),
    "pam_environment": Kind(WARNING, ISSUES, (35,)),
    "last_commands": Kind(WARNING, ISSUES, (37,)),
    "tzdata_legacy": Kind(WARNING, ISSUES, (37,)),
}
find = finder(KINDS)

# Names that tzdata has given to tzdata-legacy: old aliases of countries and of North American zones.
LEGACY = re.compile(r"^(US/|Canada/|Mexico/|Brazil/|Chile/|SystemV/|(Cuba|Egypt|Eire|GB|GB-Eire|Hongkong|Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|"
                    r"Libya|NZ|NZ-CHAT|Navajo|PRC|Poland|Portugal|ROC|ROK|Singapore|Turkey|W-SU|Zulu|UCT|Universal|Greenwich)$)")
# Where a command stands: first on a line, after a separator, or behind the times of a crontab.
LAST = re.compile(r"(?:^\s*|[|;&(`]\s*|\b(?:sudo|then|do|else|root)\s+|^(?:[0-9*,/-]+\s+){5})(?:/usr/bin/)?(?:last|lastb|lastlog)(?=\s|$|[|;)`])")
SCRIPTS = ("/etc/cron.d/*", "/etc/cron.daily/*", "/etc/cron.hourly/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*", "/etc/crontab", "/usr/local/bin/*",
           "/usr/local/sbin/*", "/etc/profile.d/*", "/var/spool/cron/crontabs/*")


class Facts(NamedTuple):
    """dsa: files that hold a DSA key. pam: files ~/.pam_environment. last: scripts that seem to call them. zone: of the machine, "" when unknown."""

    dsa: List[str]
    pam: List[str]
    last: List[str]
    zone: str


def look(system: System) -> Facts:
    """Raises OSError for what cannot be read."""
    homes = ["/root"] + sorted({row[5] for row in (line.split(":") for line in system.lines("/etc/passwd")) if len(row) > 6 and row[5].startswith("/home/")})
    keys = [home + "/.ssh/" + name for home in homes for name in ("authorized_keys", "authorized_keys2")]
    servers = [path for path in system.glob("/etc/ssh/sshd_config") + system.glob("/etc/ssh/sshd_config.d/*.conf")
               if re.search(r"ssh_host_dsa_key|[+,=\s]ssh-dss", "\n".join(system.lines(path)))]
    return Facts(
        dsa=[path for path in keys if re.search(r"^(?:.* )?ssh-dss ", "\n".join(system.lines(path)), re.MULTILINE)] + servers,
        pam=[path for path in (home + "/.pam_environment" for home in homes) if system.lines(path)],
        last=[path for pattern in SCRIPTS for path in system.glob(pattern) if os.path.isfile(system.path(path)) and _calls_last(system, path)],
        zone=_zone(system),
    )


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    if facts.dsa and wanted.target in ("trixie", "forky", "duke", "resolute"):
        yield find("ssh_dsa", "DSA keys in {0}.".format(some(facts.dsa)), "sshd takes them no longer, and they cannot be allowed again.",
                   "Give their owners ed25519 keys first, above all the one that this run uses.", files=facts.dsa)
    if facts.pam and wanted.target in ("trixie", "forky", "duke", "resolute"):
        yield find("pam_environment", "Variables in {0}.".format(some(facts.pam)), "sshd no longer reads them.", "Set them in ~/.profile.", files=facts.pam)
    if facts.last and wanted.target in ("trixie", "forky", "duke", "resolute"):
        yield find("last_commands", "last, lastb or lastlog may be called in {0}.".format(some(facts.last)), "They are gone.",
                   "Install wtmpdb or lastlog2 after the upgrade, and change the scripts.", files=facts.last)
    if LEGACY.match(facts.zone) and wanted.target in ("trixie", "noble"):
        yield find("tzdata_legacy", "The time zone is {0}.".format(facts.zone), "Such old names are in the package tzdata-legacy.",
                   "Set today's name of the zone, or install tzdata-legacy after the upgrade.", zone=facts.zone)


def _calls_last(system: System, path: str) -> bool:
    text = system.text(path) or ""
    if "\0" in text[:1000]:
        return False
    return any(LAST.search(line.split("#", 1)[0]) for line in text.splitlines())


def _zone(system: System) -> str:
    written = (system.text("/etc/timezone") or "").strip()
    link = system.path("/etc/localtime")
    if os.path.islink(link):
        target = os.readlink(link)
        return target.split("zoneinfo/", 1)[1] if "zoneinfo/" in target else written
    return written
