# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of another series than this box runs: a package of the box's own archive, checked by apt, unpacked and not installed."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

from tests.testbed import sources

KEPT = pathlib.Path(__file__).resolve().parents[2] / ".cache" / "other-series"


class NotToBeHad(Exception):
    """The archive cannot be reached, or has no such package."""


def unpacked(codename: str, package: str) -> pathlib.Path:
    """The directory into which PACKAGE of CODENAME was unpacked, now or by an earlier run. Raises NotToBeHad."""
    kept = KEPT / codename / package
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=kept.parent) as name:
        work = pathlib.Path(name)
        try:
            _download(work, codename, package)
        except (sources.NoArchive, subprocess.CalledProcessError) as problem:
            raise NotToBeHad("%s of %s: %s" % (package, codename, getattr(problem, "stderr", None) or problem)) from problem
        deb, = work.glob(package + "_*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(deb), str(work / "tree")], check=True)
        (work / "tree").rename(kept)
    return kept


def _download(work: pathlib.Path, codename: str, package: str) -> None:
    """By an apt that knows nothing of this box but its archive's address and its proxies, and keeps everything in WORK."""
    for directory in ("lists/partial", "archives/partial"):
        (work / directory).mkdir(parents=True)
    archive = sources.archives()[0]
    (work / "sources.list").write_text("deb [signed-by=%s] %s %s main\n" % (sources.KEYRING, archive.uri, codename), encoding="utf-8")
    (work / "status").touch()
    options = {
        "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": work / "lists", "Dir::State::status": work / "status",
        "Dir::Cache": work, "Dir::Cache::archives": work / "archives", "APT::Sandbox::User": "", "Acquire::Languages": "none",
    }
    words = [word for key, value in options.items() for word in ("-o", "%s=%s" % (key, value))]
    for command in (["update"], ["download", package]):
        subprocess.run(["apt-get", "-qq", *words, "-o", "APT::Update::Error-Mode=any", *command], cwd=work, capture_output=True, text=True, check=True)
