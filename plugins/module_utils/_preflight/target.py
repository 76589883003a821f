# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the upgrade would do to this machine, found out without doing it. Private room of the collection.

look() asks an isolated apt; the judging is in foreseen.py, which is pure.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from .._release import archived, sources
from . import conffiles, needs, serving
from .finding import Wanted
from .isolated import Failure, Fetched, Isolated, NotPredicted
from .system import System

NO_INDEXES = ("-o", "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false", "-o", "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false")


class Prediction(NamedTuple):
    """
    problem: why nothing, or not everything, could be predicted, "" when all could. whole: whether the way itself was found out.
    failures: suites that did not come. refused: what apt says when it finds no way. upgraded, new: version by package; removed: packages;
    serve: what of an application needs a package that is removed, by package. kept: packages that stay behind; obsolete: packages that the
    target has not. room: what each file system needs, see needs.py. probes: whether a source that is switched off has the target, None for
    unknown, by "URI SUITE". fetched: None where that was not asked for, or not tried because the way is not known.
    """

    problem: str = ""
    whole: bool = False
    failures: List[Failure] = []
    refused: str = ""
    upgraded: Mapping[str, str] = {}
    new: Mapping[str, str] = {}
    removed: List[str] = []
    serve: Mapping[str, List[str]] = {}
    kept: List[str] = []
    obsolete: List[str] = []
    download_mb: int = 0
    room: List[needs.Need] = []
    conflicts: Optional[conffiles.Conflicts] = None
    probes: Mapping[str, Optional[bool]] = {}
    crypttab: bool = False
    seconds: float = 0.0
    fetched: Optional[Fetched] = None


def look(system: System, wanted: Wanted, texts: Mapping[str, str], options: Mapping[str, Any], state_dir: str, seconds: float,
         fetch: bool = False, **places: Any) -> Prediction:
    """
    TEXTS: the machine's apt sources by path; OPTIONS: series_upgrade_debian, of which sources, archived and pins count. FETCH: bring the
    packages as well, to apt's own cache. Never raises for what could not be found out: that is in `problem`, and everything known until
    then stays.
    """
    begun = time.monotonic()
    rules = options.get("sources") or {}
    made, changes = sources.plan(texts, wanted.start, wanted.target, rules, tuple(options.get("archived") or ()) + archived.SERIES)
    seen = Prediction(crypttab=bool(system.lines("/etc/crypttab")))
    try:
        with Isolated(system.run, made, seconds, pins=options.get("pins") or (), **places) as apt:
            seen = seen._replace(failures=apt.update())
            if wanted.target not in apt.codenames():
                raise NotPredicted(_unreached(seen.failures, wanted))
            seen = _way(apt, seen)
            if not seen.refused:
                records = needs.records(apt, {**seen.upgraded, **seen.new})
                seen = seen._replace(
                    whole=True, download_mb=sum(record.size for record in records.values()) // needs.MB,
                    room=needs.needs(system, records, seen.upgraded, seen.removed, wanted.snapshot, state_dir, apt.lists_mb()),
                    serve=serving.needed(system, wanted.serves, seen.removed),
                )
                sizes = {name: record.size for name, record in records.items()}
                seen = seen._replace(conflicts=conffiles.conflicts(apt, system, seen.upgraded, sizes))
            seen = seen._replace(probes=_probes(apt, texts, changes, wanted, rules), seconds=round(time.monotonic() - begun, 1))
            if fetch and seen.whole:
                return seen._replace(fetched=apt.fetch())
    except NotPredicted as problem:
        seen = seen._replace(problem=str(problem))
    except (OSError, ValueError) as problem:
        seen = seen._replace(problem="{0}.".format(str(problem).rstrip(".")))
    return seen._replace(seconds=round(time.monotonic() - begun, 1))


def _unreached(failures: List[Failure], wanted: Wanted) -> str:
    if not failures:
        return "apt has fetched lists, but none of {0}.".format(wanted.target)
    first = failures[0]
    return "{0} {1} could not be had: {2}.".format(first.uri, first.suite, first.why.rstrip("."))


def _way(apt: Isolated, seen: Prediction) -> Prediction:
    """What apt would do. Both steps of the real upgrade end where one full-upgrade ends."""
    simulated = apt.ask("apt-get", "--simulate", "full-upgrade")
    if simulated.rc != 0:
        lines = [line.strip() for line in simulated.out.splitlines() + simulated.err.splitlines() if line.startswith(("E:", " "))]
        return seen._replace(refused=" ".join(lines)[:400] or "exit status {0}".format(simulated.rc))
    upgraded, new, removed = steps(simulated.out)
    listed = apt.ask("apt", "list", "?and(?obsolete,?not(?automatic))")
    gone = set(removed)
    obsolete = sorted({line.split("/")[0] for line in listed.out.splitlines() if "/" in line} - gone)
    if listed.rc != 0:
        raise NotPredicted("apt does not tell which packages have no successor.")
    return seen._replace(upgraded=upgraded, new=new, removed=removed, kept=kept_back(simulated.out), obsolete=obsolete)


def steps(simulation: str) -> Tuple[Dict[str, str], Dict[str, str], List[str]]:
    """(upgraded, new, removed) of `apt-get --simulate`: new version by package, and packages. The architecture is left out of names."""
    upgraded, new = {}, {}
    for name, old, version in re.findall(r"^Inst (\S+)(?: \[([^\]]*)\])? \((\S+)", simulation, re.MULTILINE):
        (upgraded if old else new)[name.split(":")[0]] = version
    removed = [name.split(":")[0] for name in re.findall(r"^(?:Remv|Purg) (\S+)", simulation, re.MULTILINE)]
    return upgraded, new, sorted(set(removed))


def kept_back(simulation: str) -> List[str]:
    """The packages that apt says it leaves as they are although there are newer ones."""
    match = re.search(r"^The following packages have been kept back:\n((?:  .*\n)*)", simulation, re.MULTILINE)
    return match.group(1).split() if match else []


def _probes(apt: Isolated, texts: Mapping[str, str], changes: List[sources.Change], wanted: Wanted,
            rules: Mapping[str, str]) -> Dict[str, Optional[bool]]:
    """Ask the sources that will be switched off for want of a rule whether they have the target."""
    off = {}
    for change in changes:
        follows = tuple(sources.moved(suite, wanted.start, wanted.target) for suite in change.suites)
        if change.action == "disabled" and follows != change.suites and not any(uri.startswith("cdrom:") for uri in change.uri.split()):
            off["{0} {1}".format(change.uri, " ".join(change.suites))] = (change.uri.split(), follows)
    if not off:
        return {}
    follow = {uri: sources.FOLLOW for uris, dummy in off.values() for uri in uris}
    follow.update({uri: rule for uri, rule in rules.items() if uri not in follow})
    place = apt.point("probe", sources.plan(texts, wanted.start, wanted.target, follow)[0])
    os.makedirs(apt.path("probed/partial"))
    failed = apt.update("-o", "Dir::Etc::sourcelist=" + os.path.join(place, "sources.list"), "-o",
                        "Dir::Etc::sourceparts=" + os.path.join(place, "sources.list.d"), "-o", "Dir::State::lists=" + apt.path("probed"), *NO_INDEXES)
    came = set(os.listdir(apt.path("probed")))
    return {name: _has(uris, suites, failed, came) for name, (uris, suites) in off.items()}


def _has(uris: List[str], suites: Tuple[str, ...], failed: List[Failure], came: Set[str]) -> Optional[bool]:
    """Yes by the file that came, no when it is said to be missing; apt is silent about the rest, and that is no answer."""
    kinds = [failure.kind for failure in failed if failure.suite in suites and failure.uri in [uri.rstrip("/") for uri in uris]]
    names = [list_name(uri, suite) for uri in uris for suite in suites]
    if all(name + "_InRelease" in came or name + "_Release" in came for name in names):
        return True
    return False if "missing" in kinds else True if "unsigned" in kinds else None


def list_name(uri: str, suite: str) -> str:
    """How apt calls what it keeps of a suite, without its last word."""
    place = "{0}/dists/{1}".format(re.sub(r"^[a-z+-]+:(?://)?(?:[^/@]*@)?", "", uri).rstrip("/"), suite)
    return re.sub(r'[\\|{}\[\]<>"^~_=!@#$%&*]', lambda match: "%{0:02x}".format(ord(match.group())), place).replace("/", "_")
