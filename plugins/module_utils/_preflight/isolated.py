# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
An apt of its own beside the machine's: sources of the target, lists and caches in a directory that is deleted, the machine's packages as a copy.

Private room of the collection. Nothing here writes to /etc, /var/lib/apt, /var/lib/dpkg or /var/cache/apt, takes the machine's locks, or runs
the hooks that its apt.conf names. Keys and passwords of /etc are read in place.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import tempfile
import time
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from .._release import kept
from .._watcher.steps import Result
from .system import Run

# Lists of main, security and updates, and the cache that apt builds of them. Unpacked, for compressed ones cost twice the time.
ROOM_MB = 400
PLACES = ("/var/tmp", "/tmp", "/run")
# Where the machine's own apt looks for packages before it fetches them, and how long fetching them all may take, in seconds.
ARCHIVES = "/var/cache/apt/archives"
FETCHING = 3600.0
# What the machine's own apt.conf may say to ours. Everything else, hooks above all, is left out.
HEARD = re.compile(r"^(?:Acquire::(?!IndexTargets\b)|APT::(?:Architectures?|Solver|Get|Authentication|Key|Sandbox)\b|APT::Install-|Binary::apt-get::)")
OWN = (
    ("Acquire::Languages", "none"),
    ("Acquire::GzipIndexes", "false"),
    ("Acquire::Retries", "1"),
    ("Acquire::http::Timeout", "20"),
    ("Acquire::https::Timeout", "20"),
    ("APT::Get::Always-Include-Phased-Updates", "true"),
    ("APT::Get::Assume-Yes", "true"),
    ("Dpkg::Use-Pty", "0"),
)
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


class NotPredicted(Exception):
    """The target could not be looked at. The text is one sentence that says why."""


class Failure(NamedTuple):
    """A suite that did not come. kind: missing (it is not there), unreachable, or unsigned (no key for it)."""

    uri: str
    suite: str
    kind: str
    why: str


class Fetched(NamedTuple):
    """problem: why not everything came, "" when it did. changed: whether anything came that was not there."""

    problem: str
    changed: bool


class Isolated:
    """
    with Isolated(run, texts, seconds) as apt: ... TEXTS: the sources by path, as they are to be; SECONDS: for everything together. PINS: globs
    over the files of preferences that are heeded, as the upgrade will.

    Raises NotPredicted when there is no room for it, or the time is over.
    """

    def __init__(
        self, run: Run, texts: Mapping[str, str], seconds: float, etc: str = "/etc", dpkg: str = "/var/lib/dpkg", state: str = "/var/lib/apt",
        places: Sequence[str] = PLACES, pins: Sequence[str] = (), clock: Callable[[], float] = time.monotonic, archives: str = ARCHIVES,
    ) -> None:
        self._archives = archives
        self._run, self._clock, self._deadline, self._seconds = run, clock, clock() + seconds, seconds
        self._etc, self._dpkg, self._state, self._places, self._pins = etc, dpkg, state, places, pins
        self._texts = texts
        self.home = ""

    def __enter__(self) -> "Isolated":
        place = next((place for place in self._places if _free_mb(place) >= ROOM_MB), None)
        if place is None:
            raise NotPredicted("No {0} MB are free in {1} to look at the target with.".format(ROOM_MB, " or ".join(self._places)))
        self.home = tempfile.mkdtemp(prefix="series-upgrade-preflight-", dir=place)
        try:
            # apt fetches as a user of its own, who has to find the way to the lists.
            os.chmod(self.home, 0o755)
            for folder in ("lists/partial", "archives/partial", "debs", "dpkg", "log", "pins"):
                os.makedirs(os.path.join(self.home, folder))
            shutil.copyfile(os.path.join(self._dpkg, "status"), self.path("dpkg/status"))
            if os.path.exists(os.path.join(self._state, "extended_states")):
                shutil.copyfile(os.path.join(self._state, "extended_states"), self.path("extended_states"))
            self._choose_pins()
            self._configure(self.point("etc", self._texts))
        except OSError as problem:
            shutil.rmtree(self.home, ignore_errors=True)
            raise NotPredicted("The packages of this machine could not be copied: {0}.".format(problem))
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def path(self, name: str) -> str:
        return os.path.join(self.home, name)

    def point(self, folder: str, texts: Mapping[str, str]) -> str:
        """Write sources TEXTS (by their path on the machine) below FOLDER; its path. They may hold passwords, and nobody else reads them."""
        place = self.path(folder)
        kept.lay(place, texts)
        os.chmod(place, 0o700)
        return place

    def ask(self, *argv: str) -> Result:
        """Run a program of apt with this configuration. Raises NotPredicted when the time is over."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise NotPredicted("The {0:.0f} s for it were over.".format(self._seconds))
        answer = self._run(list(argv), timeout=left, env=dict(ENVIRONMENT, APT_CONFIG=self.path("apt.conf")))
        if answer.rc == 124 and self._clock() >= self._deadline:
            raise NotPredicted("{0} took longer than the {1:.0f} s for everything.".format(" ".join(argv[:2]), self._seconds))
        return answer

    def update(self, *settings: str) -> List[Failure]:
        """Fetch the lists; what did not come. An update that fails as a whole raises NotPredicted."""
        told = self.ask("apt-get", *settings, "update")
        failed = failures(told.out + "\n" + told.err)
        if told.rc != 0 and not failed:
            raise NotPredicted("apt-get update failed: {0}.".format(_last(told)))
        return failed

    def fetch(self) -> Fetched:
        """Fetch what the upgrade needs to where the machine's own apt will look for it. The time for it is its own."""
        told = self._run(["apt-get", "-o", "Dir::Cache::archives=" + self._archives, "--download-only", "full-upgrade"], timeout=FETCHING,
                         env=dict(ENVIRONMENT, APT_CONFIG=self.path("apt.conf")))
        return Fetched(_last(told) if told.rc != 0 else "", re.search(r"^Need to get (?!0 B)", told.out, re.MULTILINE) is not None)

    def codenames(self) -> List[str]:
        """The series of which lists have come."""
        listed = self.ask("apt-get", "indextargets", "--format", "$(RELEASE) $(CODENAME)", "Created-By: Packages")
        if listed.rc != 0:
            raise NotPredicted("apt does not tell what it has fetched: {0}.".format(_last(listed)))
        return sorted(set(listed.out.split()))

    def lists_mb(self) -> int:
        """MB of the lists, as apt keeps them by default."""
        folder = self.path("lists")
        return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))) // (1024 * 1024)

    def _choose_pins(self) -> None:
        folder = os.path.join(self._etc, "apt", "preferences.d")
        named = [os.path.join(self._etc, "apt", "preferences")]
        named += [os.path.join(folder, name) for name in (sorted(os.listdir(folder)) if os.path.isdir(folder) else [])]
        for path in named:
            if os.path.isfile(path) and any(fnmatch.fnmatchcase(path, glob) for glob in self._pins):
                shutil.copyfile(path, os.path.join(self.path("pins"), os.path.basename(path)))

    def _configure(self, sources: str) -> None:
        dumped = self._run(["apt-config", "dump"], timeout=30, env=ENVIRONMENT)
        if dumped.rc != 0:
            raise NotPredicted("apt-config does not tell the settings of apt: {0}.".format(_last(dumped)))
        lines = [line for line in dumped.out.splitlines() if HEARD.match(line)]
        directories: Dict[str, str] = {
            "Dir::State": self.home, "Dir::State::lists": self.path("lists"), "Dir::State::status": self.path("dpkg/status"),
            "Dir::State::extended_states": self.path("extended_states"), "Dir::Cache": self.home, "Dir::Cache::archives": self.path("archives"),
            "Dir::Log": self.path("log"), "Dir::Etc::main": "/dev/null", "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": os.path.join(sources, "sources.list"), "Dir::Etc::sourceparts": os.path.join(sources, "sources.list.d"),
        }
        directories.update({"Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": self.path("pins")})
        for key, name in (("trusted", "trusted.gpg"), ("trustedparts", "trusted.gpg.d"), ("netrc", "auth.conf"), ("netrcparts", "auth.conf.d")):
            directories["Dir::Etc::" + key] = os.path.join(self._etc, "apt", name)
        lines += ['{0} "{1}";'.format(key, value) for key, value in list(OWN) + sorted(directories.items())]
        descriptor = os.open(self.path("apt.conf"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def failures(text: str) -> List[Failure]:
    """What `apt-get update` says did not come, one Failure for each suite."""
    found: Dict[str, Failure] = {}
    for match in re.finditer(r"^W: GPG error: (\S+) (\S+) (?:In)?Release: (.*)$", text, re.MULTILINE):
        found[" ".join(match.groups()[:2])] = Failure(match.group(1), match.group(2), "unsigned", match.group(3).strip())
    for match in re.finditer(r"^[WE]: Failed to fetch (\S+?)/dists/(\S+?)/(\S+)\s+(.*)$", text, re.MULTILINE):
        kind = "missing" if re.search(r"404|File not found|does not exist", match.group(4)) else "unreachable"
        found.setdefault(" ".join(match.groups()[:2]), Failure(match.group(1), match.group(2), kind, match.group(4).strip()))
    for match in re.finditer(r"^[WE]: The repository '(\S+?)/? (\S+) (?:In)?Release' (.*)$", text, re.MULTILINE):
        kind = "missing" if "have a Release file" in match.group(3) or "has a Release file" in match.group(3) else "unsigned"
        found.setdefault(" ".join(match.groups()[:2]), Failure(match.group(1), match.group(2), kind, match.group(3).strip()))
    return [failure._replace(uri=failure.uri.rstrip("/")) for failure in found.values()]


def _last(result: Result) -> str:
    lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
    return lines[-1].strip()[:300].rstrip(".") if lines else "exit status {0}".format(result.rc)


def _free_mb(place: str) -> int:
    try:
        found = os.statvfs(place)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize // (1024 * 1024)


def given(seconds: Optional[float]) -> float:
    """The time for a prediction, by default three minutes."""
    return float(seconds or 180)
