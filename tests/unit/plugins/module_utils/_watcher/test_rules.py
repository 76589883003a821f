# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the watcher has a test, and the page that says so is up to date."""

from __future__ import annotations

from tests import rules


def test_every_rule_has_a_test_that_names_it():
    assert [rule for rule, tests in rules.proofs().items() if not tests] == []


def test_no_test_names_a_rule_that_is_not_there():
    assert sorted(set(rules.proofs()) - set(rules.RULES)) == []


def test_the_rules_on_the_page_are_the_rules_of_the_tests():
    assert rules.shown() == rules.table(), "python -m tests.rules writes it anew"
