# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A double of do-release-upgrade, made after its source (the script, the fetcher, the non-interactive view): the same words, files and exit statuses.

Run as: python3 fake_upgrader.py ETC MODE WORDS... MODE: well, not-current, not-rebooted, not-offered, never, unreachable, not-fetched (which ends with 0),
fails-late (a package failed at the end), dies (before it has changed anything), other (it offers another release).
"""

from __future__ import annotations

import pathlib
import re
import sys

NO_LTS = """There is no development version of an LTS available.
To upgrade to the latest non-LTS development release
set Prompt=normal in /etc/update-manager/release-upgrades.
"""


def check(etc: pathlib.Path, mode: str) -> int:
    print("Checking for a new Ubuntu release")
    prompt = re.search(r"(?m)^Prompt=(\w+)", (etc / "update-manager/release-upgrades").read_text(encoding="utf-8"))
    if mode == "unreachable":
        print("Failed to connect to https://changelogs.ubuntu.com/meta-release-lts. Check your Internet connection or proxy settings")
        print(NO_LTS, end="")
        return 1
    if mode == "never" or prompt is None or prompt.group(1) != "lts":
        print("In /etc/update-manager/release-upgrades Prompt\nis set to never so upgrading is not possible.")
        return 1
    if mode == "not-offered":
        print(NO_LTS, end="")
        return 1
    print("New release '%s' available.\nRun 'do-release-upgrade' to upgrade to it." % ("23.10" if mode == "other" else "24.04.3 LTS"))
    return 0


def upgrade(etc: pathlib.Path, mode: str) -> int:
    print("Checking for a new Ubuntu release")
    if mode == "not-current":
        print("Please install all available updates for your release before upgrading.")
        return 1
    if mode == "not-rebooted":
        print("You have not rebooted after updating a package which requires a reboot. Please reboot before upgrading.")
        return 1
    if mode == "not-fetched":
        # The script does not look at what its fetcher says.
        print("Failed to fetch\nFetching the upgrade failed. There may be a network problem. ")
        return 0
    if mode == "dies":
        return 1
    print("fetched http://archive.ubuntu.com/ubuntu noble InRelease (12.50/100) at 0b/s")
    print("fetched http://archive.ubuntu.com/ubuntu noble/main amd64 Packages (100.00/100) at 10.2Mb/s")
    sources = etc / "apt/sources.list.d"
    (etc / "apt/sources.list").write_text("# Ubuntu sources have moved to /etc/apt/sources.list.d/ubuntu.sources\n", encoding="utf-8")
    own = "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu/\nSuites: noble noble-updates\nComponents: main\n"
    (sources / "ubuntu.sources").write_text(own, encoding="utf-8")
    for listing in sources.glob("*.list"):
        lines = listing.read_text(encoding="utf-8").splitlines()
        listing.write_text("".join("# %s # disabled on upgrade to noble\n" % line for line in lines), encoding="utf-8")
    (etc / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\nVERSION_ID=24.04\n", encoding="utf-8")
    print("Setting up base-files (13ubuntu10.3) ...")
    return 1 if mode == "fails-late" else 0


if __name__ == "__main__":
    words = sys.argv[3:]
    sys.exit((check if "--check-dist-upgrade-only" in words else upgrade)(pathlib.Path(sys.argv[1]), sys.argv[2]))
