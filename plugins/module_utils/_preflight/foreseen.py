# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a prediction of the target means for the operator. Private room of the collection, pure."""

from __future__ import annotations

import fnmatch
from typing import Iterator

from .finding import INFO, INHIBITOR, ISSUES, UBUNTU_UPGRADE, UPGRADING, WARNING, Finding, Kind, Wanted, finder, some
from .target import Prediction

KINDS = {
    "not_predicted": Kind(WARNING, UPGRADING, (17, 18, 19)),
    "predicted": Kind(INFO, UPGRADING, (18, 19)),
    "not_fetched": Kind(WARNING, UPGRADING, (15,)),
    "unresolvable": Kind(INHIBITOR, UPGRADING, (17, 20), acceptable=False),
    "suite_missing": Kind(INHIBITOR, UBUNTU_UPGRADE, (15,), acceptable=False),
    "archive_key_missing": Kind(INHIBITOR, "apt-secure(8)", (14, 15), acceptable=False),
    "source_unreachable": Kind(WARNING, UBUNTU_UPGRADE, (15,)),
    "source_follows": Kind(INFO, UBUNTU_UPGRADE, (15,)),
    "removes_protected": Kind(INHIBITOR, UPGRADING, (18,), acceptable=False),
    "removes_serving": Kind(INHIBITOR, UPGRADING, (18,)),
    "removals": Kind(WARNING, UPGRADING, (18,)),
    "kept_back": Kind(WARNING, UPGRADING, (17,)),
    "obsolete": Kind(WARNING, UPGRADING, (17, 29)),
    "room_short": Kind(INHIBITOR, UPGRADING, (19,)),
    "conffile_conflict": Kind(WARNING, "dpkg(1), --force-confold", (8,)),
    "conffile_unknown": Kind(INFO, "dpkg(1), --force-confold", (8,)),
    "ucf_changed": Kind(INFO, "ucf(1)", (8,)),
    "cryptsetup_missing": Kind(INHIBITOR, ISSUES, (26,)),
}
find = finder(KINDS)
# A library that is replaced by its twin with another name is no loss.
TWIN = "t64"


def findings(seen: Prediction, wanted: Wanted, protected: tuple = ()) -> Iterator[Finding]:
    """PROTECTED: globs over the packages that the method refuses to lose."""
    yield from _sources(seen, wanted)
    if seen.problem:
        yield find("not_predicted", "What {0} would change here could not be {1} predicted: {2}".format(
            wanted.target, "wholly" if seen.whole else "", seen.problem).replace("be  ", "be "),
            "Removals, disk need and changed files are {0} unknown until the upgrade itself looks at them.".format("partly" if seen.whole else "all"),
            "See that apt reaches {0}, and look again; or lengthen preflight_predict_timeout.".format(wanted.target))
    if seen.refused:
        yield find("unresolvable", "apt finds no way to {0}: {1}.".format(wanted.target, seen.refused.rstrip(".")), "The upgrade would stop there.",
                   "Remove or release what stands in its way, then look again.")
    if seen.whole:
        yield find("predicted", "{0} packages upgraded, {1} new, {2} removed; {3} MB {4}.".format(
            len(seen.upgraded), len(seen.new), len(seen.removed), seen.download_mb,
            "to fetch" if seen.fetched is None or seen.fetched.problem else "have been fetched"), "", "", upgraded=len(seen.upgraded), new=sorted(seen.new),
            removed=seen.removed, download_mb=seen.download_mb, room=[need._asdict() for need in seen.room], seconds=seen.seconds)
        if seen.fetched is not None and seen.fetched.problem:
            yield find("not_fetched", "Not all packages of {0} could be fetched: {1}.".format(wanted.target, seen.fetched.problem.rstrip(".")),
                       "They are fetched when it is the machine's turn, and its upgrade does not begin without them.", "Look again when that is mended.")
        yield from _packages(seen, wanted, protected)
        yield from _room(seen)
        yield from _files(seen)


def _sources(seen: Prediction, wanted: Wanted) -> Iterator[Finding]:
    for failure in seen.failures:
        name = "{0} {1}".format(failure.uri, failure.suite)
        if failure.kind == "missing":
            yield find("suite_missing", "{0} is not there: {1}.".format(name, failure.why.rstrip(".")),
                       "Fetching the lists would fail, and the upgrade with it.",
                       "Say another suite, or disable, in series_upgrade_debian.sources.", uri=failure.uri, suite=failure.suite)
        elif failure.kind == "unsigned":
            yield find("archive_key_missing", "{0} cannot be trusted: {1}.".format(name, failure.why.rstrip(".")), "apt takes nothing from it.",
                       "Upgrade debian-archive-keyring, or fetch the key of that source.", uri=failure.uri, suite=failure.suite)
        else:
            yield find("source_unreachable", "{0} could not be reached: {1}.".format(name, failure.why.rstrip(".")),
                       "Whether it has {0} is not known.".format(wanted.target), "Look at the network, then look again.", uri=failure.uri, suite=failure.suite)
    for name, there in sorted(seen.probes.items()):
        said = {True: "has {0}".format(wanted.target), False: "has no {0}".format(wanted.target), None: "could not be asked for {0}".format(wanted.target)}
        remedy = "Say `follow` for it in series_upgrade_debian.sources if it shall." if there else ""
        yield find("source_follows", "The disabled source {0} {1}.".format(name, said[there]), "", remedy, source=name, has_target=there)


def _packages(seen: Prediction, wanted: Wanted, protected: tuple) -> Iterator[Finding]:
    lost = [name for name in seen.removed if any(fnmatch.fnmatchcase(name, glob) for glob in protected)]
    if lost:
        yield find("removes_protected", "The upgrade would remove {0}.".format(some(lost)), "It must stay.",
                   "Find out what drives it out: `apt-get --simulate full-upgrade` on the target's sources.", packages=lost)
    serving = {name: whom for name, whom in seen.serve.items() if name not in lost}
    if serving:
        yield find("removes_serving", "The upgrade would remove {0}.".format(some("{0} ({1})".format(name, ", ".join(whom)) for name, whom in serving.items())),
                   "An application of this machine needs it.", "Find its successor, or protect it (series_upgrade_debian.protect).", packages=sorted(serving))
    rest = [name for name in seen.removed if name not in lost and name not in serving and name + TWIN not in seen.new]
    if rest:
        yield find("removals", "The upgrade removes {0}.".format(some(rest)), "", "Look whether something of yours needs one of them.", packages=rest)
    if seen.kept:
        yield find("kept_back", "Kept back: {0}.".format(some(seen.kept)), "They stay at their old version.", "See what holds them.", packages=seen.kept)
    if seen.obsolete:
        yield find("obsolete", "Not in {0} nor in any source that stays: {1}.".format(wanted.target, some(seen.obsolete)),
                   "They get no more updates, and may keep others back.", "Decide for each: a successor, a source of its own, or away with it.",
                   packages=seen.obsolete)
    if seen.crypttab and wanted.target in ("trixie", "forky", "duke") and "systemd-cryptsetup" not in [*seen.new, *seen.upgraded]:
        yield find("cryptsetup_missing", "/etc/crypttab has entries, and the upgrade does not bring systemd-cryptsetup.",
                   "Encrypted file systems would not be mounted after the reboot.", "Let apt install recommended packages, or install it before the reboot.")


def _room(seen: Prediction) -> Iterator[Finding]:
    for need in seen.room:
        if need.needed > need.free:
            parts = ", ".join("{0} {1}".format(megabytes, what) for what, megabytes in need.parts.items() if megabytes)
            yield find("room_short", "{0} needs {1} MB ({2}), and {3} MB are free.".format(need.place, need.needed, parts, need.free),
                       "An upgrade that fills the disk stops in the middle.", "Make room (apt-get clean, old kernels, logs), or enlarge it.",
                       **need._asdict())


def _files(seen: Prediction) -> Iterator[Finding]:
    if seen.conflicts is None:
        return
    if seen.conflicts.both:
        files = [entry["file"] for entry in seen.conflicts.both]
        yield find("conffile_conflict", "Changed here and by the target: {0}.".format(some(files)), "Yours is kept; the new one lies beside it.",
                   "Merge them after the upgrade.", files=seen.conflicts.both)
    if seen.conflicts.unknown:
        yield find("conffile_unknown", "Changed here, and perhaps by the target: {0}.".format(some(entry["file"] for entry in seen.conflicts.unknown)),
                   "Too much would have to be fetched to know.", "Yours is kept.", files=seen.conflicts.unknown)
    if seen.conflicts.ucf:
        yield find("ucf_changed", "Changed here, and looked after by ucf: {0}.".format(some(seen.conflicts.ucf)),
                   "What the target does with them is known later.", "Yours is kept.", files=seen.conflicts.ucf)
