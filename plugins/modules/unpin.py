#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: unpin
short_description: Take off the pins that a run has left behind, and clear halts
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Removes every pin of one run, or with O(orphans=true) those of all runs that have fallen silent, and says which.
  - The pins of a run that is alive stay. So do pins that were set by hand, without a session; M(leasehold.series_upgrade.lease_pin) removes those.
  - Runs on the controller, in a play for C(localhost).
options:
  run:
    description: Name of the run whose pins go. C(to-TARGET) when not given.
    type: str
  target:
    description: Codename of the target series, for the name of the run.
    type: raw
  orphans:
    description: Remove the pins of all runs that were not heard for O(silence) seconds, whosever they are. Needs the scope C(admin) for pins of others.
    type: bool
    default: false
  silence:
    description: Seconds after which a run counts as dead.
    type: float
    default: 60.0
  clear_halts:
    description: Applications that may go on after a halt, or V(all). Needs the scope C(admin).
    type: list
    elements: str
    default: []
  takeover:
    description: Remove the run's own pins although it seems to be alive.
    type: bool
    default: false
  reason:
    description: Why. Kept by the endpoint.
    type: str
    default: an operator asked for it
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
attributes:
  check_mode:
    description: Says what would be removed.
    support: full
seealso:
  - module: leasehold.series_upgrade.lease_pin
"""

EXAMPLES = r"""
- name: Take off what this run has left behind
  leasehold.series_upgrade.unpin:
    run: to-trixie

- name: Take off what dead runs have left behind, and let db go on
  leasehold.series_upgrade.unpin:
    target: trixie
    orphans: true
    clear_halts: [db]
"""

RETURN = r"""
removed:
  description: The pins that went, each with C(application) and C(pinner).
  returned: success
  type: list
  elements: dict
cleared:
  description: Applications that are no longer halted.
  returned: success
  type: list
  elements: str
left:
  description: A sentence for each pin of which nobody can tell whether it is an orphan.
  returned: success
  type: list
  elements: str
kind:
  description: For failures, one word to branch on, V(pinned), V(forbidden), V(unreachable) or another of the endpoint.
  returned: failure
  type: str
"""
