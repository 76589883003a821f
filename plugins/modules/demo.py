#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: demo
short_description: Play the demo of this collection on loopback
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Plays what C(playbooks/demo.yml) is for, a whole run with a machine that rolls itself back and a resume, and shows its lines as they come.
  - Everything runs on the controller as its user, in a directory of its own, and has ended when the task has.
attributes:
  check_mode:
    description: There is nothing to predict.
    support: none
"""

EXAMPLES = r"""
- name: Play the demo
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Play the demo
      leasehold.series_upgrade.demo:
"""

RETURN = r"""
rc:
  description: Exit code of the story, 0 when it went as it is told.
  returned: always
  type: int
"""
