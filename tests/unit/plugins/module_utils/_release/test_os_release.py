# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import os_release, series


BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'


def test_release_is_read_with_and_without_quotes():
    assert os_release.parse(BOOKWORM) == ("debian", "bookworm", "12")
    assert os_release.parse("ID='ubuntu'\n# ID=debian\nVERSION_CODENAME=\"noble\"\nbroken line\n") == ("ubuntu", "noble", "")


def test_missing_file_and_missing_codename_are_errors_and_not_another_series(tmp_path):
    with pytest.raises(os_release.UnknownRelease, match="cannot be read from .*: No such file"):
        os_release.read(str(tmp_path / "none"))
    (tmp_path / "os-release").write_text("ID=debian\n", encoding="utf-8")
    with pytest.raises(os_release.UnknownRelease, match="names no series"):
        os_release.read(str(tmp_path / "os-release"))


@pytest.mark.parametrize("start, target", [("bookworm", "trixie"), ("jammy", "noble"), ("bullseye", "bookworm")])
def test_next_series_is_the_successor(start, target):
    assert series.is_successor(start, target)
    assert series.successor(start) == target


@pytest.mark.parametrize("start, target", [
    ("bookworm", "bookworm"), ("trixie", "bookworm"), ("bullseye", "trixie"), ("jammy", "trixie"), ("sid", "trixie"), ("duke", None), ("sid", None),
])
def test_skipping_going_back_changing_house_and_the_unknown_are_no_successor(start, target):
    assert not series.is_successor(start, target)


def test_distribution_is_none_for_what_we_do_not_know():
    assert [series.distribution(name) for name in ("trixie", "noble", "sid")] == ["debian", "ubuntu", None]
