# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Configuration files that the machine's owner and the new series have both changed: found, told, and settled as the owner has said.

Private room of the collection. During the upgrade dpkg and ucf keep the owner's version of all of them, because they can be told one answer
only. Where the rule for a file is "new", the two versions change places afterwards: the same end as --force-confnew leaves, the owner's
version lying beside as .dpkg-old.
"""

from __future__ import annotations

import fnmatch
import os
from typing import Any, Dict, List, Mapping, Sequence

from . import report
from .._watcher import files
from .._watcher.steps import Context, StepFailed

KEEP, NEW = "keep", "new"
# The ending that the new version gets beside the owner's, and the one for the owner's version once it has made way.
BESIDE = {".dpkg-dist": ".dpkg-old", ".dpkg-new": ".dpkg-old", ".ucf-dist": ".ucf-old"}

BEFORE = "conffiles_before"


def left_beside(etc: str) -> List[str]:
    """The files below etc that package upgrades have left beside changed ones, in order."""
    return sorted(
        os.path.join(folder, name) for folder, _folders, names in os.walk(etc) for name in names if name.endswith(tuple(BESIDE))
    )


def note(context: Context, etc: str) -> None:
    """Remember what lies there before the upgrade, so that earlier ones' leavings are not taken for ours. Repeating it changes nothing."""
    if context.recall(BEFORE) is None:
        context.remember(BEFORE, {path: _stamp(path) for path in left_beside(etc)})


def settle(context: Context, etc: str, rules: Mapping[str, str]) -> None:
    """
    Make way for the new version where rules (glob over a path -> "keep" or "new") say so, and report every conflict as
    {"file", "kept": "yours" or "new", "beside"}. Repeatable. Raises StepFailed.
    """
    before = context.recall(BEFORE) or {}
    # Told first: when the two have changed places, nothing on the disk says any more that there was a conflict.
    found: List[Dict[str, Any]] = list(report.told(context, "conffiles") or [])
    known = {entry["file"] for entry in found}
    for beside in left_beside(etc):
        path = _owners(beside)
        if path in known or before.get(beside) == _stamp(beside):
            continue
        kept = "new" if os.path.lexists(path) and _rule(path, rules) == NEW else "yours"
        ending = os.path.splitext(beside)[1]
        found.append({"file": path, "kept": kept, "beside": path + BESIDE[ending] if kept == "new" else beside})
    report.tell(context, conffiles=sorted(found, key=lambda entry: entry["file"]))
    for entry in found:
        if entry["kept"] == "new":
            _make_way(entry["file"], entry["beside"])


def check(rules: Any) -> None:
    """Raises StepFailed when these are no rules."""
    if not isinstance(rules, dict) or any(answer not in (KEEP, NEW) for answer in rules.values()):
        raise StepFailed("series_upgrade_debian.conffiles maps paths, or globs over them, to keep or new; correct it.")


def sentence(found: Sequence[Mapping[str, Any]]) -> str:
    """The conflicts for the log; "" when there were none."""
    yours = [entry["beside"] for entry in found if entry["kept"] == "yours"]
    new = [entry["file"] for entry in found if entry["kept"] == "new"]
    parts = ["kept your version of a changed file; the new one lies at {0}".format(", ".join(yours))] if yours else []
    parts += ["took the new version of {0}, as you said; yours lies beside".format(", ".join(new))] if new else []
    return "; ".join(parts)


def _rule(path: str, rules: Mapping[str, str]) -> str:
    # An exact path is said of this file and counts more than a glob that happens to fit.
    return rules.get(path) or next((rules[glob] for glob in rules if fnmatch.fnmatchcase(path, glob)), KEEP)


def _owners(beside: str) -> str:
    return os.path.splitext(beside)[0]


def _make_way(path: str, old: str) -> None:
    fresh = next((path + ending for ending in BESIDE if BESIDE[ending] == os.path.splitext(old)[1] and os.path.isfile(path + ending)), None)
    if fresh is None:
        return  # Done before.
    try:
        # A link and a rename: whoever reads the file meanwhile finds one version or the other.
        if os.path.lexists(old):
            os.unlink(old)
        os.link(path, old, follow_symlinks=False)
        os.replace(fresh, path)
        files.sync_directory(os.path.dirname(path))
    except OSError as problem:
        raise StepFailed("{0} could not take its new version: {1}. Do it by hand, then resume.".format(path, problem.strerror or problem))


def _stamp(path: str) -> List[int]:
    found = os.lstat(path)
    return [found.st_mtime_ns, found.st_size]
