# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.spec import SpecError, checked

GOOD = {"upgrade_id": "to-trixie/m1/1", "run": "to-trixie", "machine": "m1", "source_series": "bookworm", "target_series": "trixie", "method": "debian"}
TCP = {"name": "db", "kind": "tcp", "port": 5432}


def test_defaults_are_filled_in_and_checking_twice_changes_nothing():
    spec = checked(dict(GOOD, checks=[TCP], drain=[{"unit": "db/0", "command": "true"}]))
    assert (spec["grace"], spec["on_failure"], spec["reboot"]) == (60, "rollback", True)
    assert spec["checks"][0]["allowed_misses"] == 2
    assert spec["drain"][0] == {"unit": "db/0", "command": "true", "resume": None, "timeout": 300}
    assert checked(spec) == spec


@pytest.mark.parametrize("change, says", [
    ({"target_series": "bookworm"}, "both bookworm"),
    ({"target_series": 13}, "target_series must be a word"),
    ({"upgrade_id": "../x y"}, "upgrade_id must be a word"),
    ({"colour": "red"}, "unknown keys: colour"),
    ({"reboot": "yes"}, "reboot is true or false"),
    ({"on_failure": "cry"}, "on_failure is one of rollback, hold"),
    ({"grace": "60"}, "grace must be a number"),
    ({"grace": 10, "checks": [TCP]}, "raise grace"),
    ({"checks": [{"name": "db", "kind": "smell"}]}, "kind is one of command, http, systemd, tcp"),
    ({"checks": [{"name": "db", "kind": "http"}]}, "needs url"),
    ({"checks": [dict(TCP, port=70000)]}, "1 to 65535"),
    ({"checks": [TCP, TCP]}, "names must differ"),
    ({"checks": [dict(TCP, name="series")]}, "names must differ"),
    ({"checks": "db"}, "list of dictionaries"),
    ({"retain": -1}, "retain must be a number"),
    ({"no_return": [{"application": "db", "command": "true"}]}, "needs reason"),
    ({"no_return": [{"application": "db", "command": "true", "reason": "r", "why": "x"}]}, "unknown keys: why"),
    ({"grace": float("nan")}, "grace must be a number"),
    ({"grace": float("inf")}, "grace must be a number"),
    ({"command": ["up"]}, "command must be a dictionary"),
    ({"snapshot": "btrfs"}, "snapshot must be a dictionary"),
    ({"snapshot": {"kind": 7}}, "the snapshot's kind must be a text"),
    ({"checks": [dict(TCP, host=7)]}, "host must be a text"),
    ({"checks": [dict(TCP, kind=[])]}, "kind is one of"),
    ({"drain": [{"command": "true"}]}, "names its unit"),
    ({"drain": [{"unit": "db/0", "comand": "true"}]}, "unknown keys: comand"),
])
def test_wrong_spec_is_refused_in_one_sentence(change, says):
    """T4"""
    with pytest.raises(SpecError, match=says) as refusal:
        checked(dict(GOOD, **change))
    assert "\n" not in str(refusal.value)
