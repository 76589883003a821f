#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_hop
short_description: Find out which hop is next for machines that go more than one series on
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Reads what M(leasehold.series_upgrade.series_info) has registered as C(__hop_release) at each host, and tells the first of the hops that not all of
    them have committed.
  - A later hop than the first is refused while a machine could not be looked at.
  - Runs on the controller and changes nothing. The playbook C(upgrade_hops) uses it.
options:
  hops:
    description: Codenames of the targets, in order. Each has to follow the one before. Usually the variable C(series_upgrade_hops).
    type: raw
    required: true
  hosts:
    description: The machines that go.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Shows no differences.
    support: none
  platform:
    description: The controller.
    platforms: posix
    support: full
"""

EXAMPLES = r"""
- name: Find out where the fleet goes next
  leasehold.series_upgrade.upgrade_hop:
    hops: [trixie, forky]
    hosts: "{{ groups.all }}"
  register: hop
"""

RETURN = r"""
target:
  description: Codename of the series that the machines go to now.
  returned: success
  type: str
number:
  description: Which hop that is, from 1.
  returned: success
  type: int
left:
  description: Machines that are not there yet. None when all hops are through.
  returned: success
  type: list
  elements: str
kind:
  description: V(unseen) when a machine could not be looked at, V(invalid) for hops that are none.
  returned: failure
  type: str
"""
