# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: figures that a test has measured (record_property) are printed at the end of the run."""

from __future__ import annotations


def pytest_terminal_summary(terminalreporter):
    measured = [
        (report.nodeid, key, value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for key, value in getattr(report, "user_properties", [])
    ]
    if measured:
        terminalreporter.section("measured")
        for nodeid, key, value in measured:
            terminalreporter.write_line("%s: %s = %s" % (nodeid.split("::")[-1], key, value))
