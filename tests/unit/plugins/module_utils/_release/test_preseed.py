# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import preseed
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result, StepFailed

LINES = ["grub-pc grub-pc/install_devices multiselect /dev/vda", "app app/password password secret"]


@pytest.fixture(name="cache")
def _cache(tmp_path):
    place = tmp_path / "cache"
    place.mkdir()
    for name in preseed.DATABASES:
        (place / name).write_text("before " + name, encoding="ascii")
        (place / name).chmod(0o600 if name.startswith("passwords") else 0o644)
    return place


def test_answers_reach_debconf_in_a_file_that_is_gone_afterwards(context, cache, tmp_path):
    seen = []
    plain = context.run
    context.run = lambda argv, timeout=60, env=None: (seen.append(open(argv[1], encoding="ascii").read()), plain(argv, timeout))[1]
    preseed.give(context, LINES, str(cache))
    assert seen == ["".join(line + "\n" for line in LINES)]
    assert not [path for path in (tmp_path / "debconf").iterdir() if "secret" in path.read_text(encoding="ascii")]


def test_all_that_debconf_knew_is_put_back_exactly_and_the_copy_is_gone(context, cache, tmp_path):
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in cache.iterdir()}
    for dummy in range(2):
        preseed.give(context, LINES, str(cache))
        for path in before:
            path.write_text("answered", encoding="ascii")
    for dummy in range(2):
        preseed.take_back(context, str(cache))
    assert {path: (path.read_bytes(), path.stat().st_mode) for path in cache.iterdir()} == before
    assert not (tmp_path / "debconf").exists()


@pytest.mark.parametrize("answer", [Result(1, "", "error: parse error on line 2: 'app app/password password secret'"),
                                    Result(0, "", "warning: Unknown type passwort, skipping line 2")])
def test_answer_that_debconf_does_not_take_or_only_passes_over_is_a_failure_that_tells_no_secret(context, cache, answer):
    context.run = lambda argv, timeout=60, env=None: answer
    with pytest.raises(StepFailed, match="debconf does not take all answers") as failure:
        preseed.give(context, LINES, str(cache))
    assert "secret" not in str(failure.value) + str(context.told)


def test_nothing_is_asked_of_debconf_without_answers(context, cache):
    preseed.give(context, preseed.checked(None), str(cache))
    preseed.take_back(context, str(cache))
    assert context.runs == []
