#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_report
short_description: Tell what the preflight of all machines found
version_added: 0.2.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Prints what M(leasehold.series_upgrade.preflight) found on every machine, by severity, with what is the same for several machines told once.
  - Keeps the same as JSON and as an HTML page that needs nothing but itself, and writes a playbook that repairs what a program may
    repair, for the operator to read and to run.
  - Does not fail because of what was found; M(leasehold.series_upgrade.upgrade_plan) refuses then. Fails when the variable
    C(series_upgrade_accepted_findings) names a finding or a machine that does not exist.
  - Runs on the controller, in a play of its own for C(localhost). The answers are read from the variable C(__preflight_facts) of every machine.
options:
  target:
    description: Codename of the series to go to.
    type: raw
    required: true
  run:
    description: Name of the run, by default C(to-) and the target. The files are called after it.
    type: str
  directory:
    description: Where the files are kept, on the controller.
    type: path
    default: series_upgrade_reports
attributes:
  check_mode:
    description: Prints the same and writes no file.
    support: full
seealso:
  - module: leasehold.series_upgrade.preflight
"""

EXAMPLES = r"""
- name: Tell what was found
  leasehold.series_upgrade.preflight_report:
    target: trixie
"""

RETURN = r"""
ready:
  description: Whether every machine may go.
  returned: success
  type: bool
counts:
  description: How many findings there are, by severity, without the accepted ones.
  returned: success
  type: dict
  sample: {inhibitor: 0, warning: 3, info: 4}
path:
  description: The report as JSON.
  returned: unless in check mode
  type: str
  sample: /home/me/series_upgrade_reports/to-trixie-preflight.json
page:
  description: The report as a page.
  returned: unless in check mode
  type: str
repair:
  description: The playbook with repairs.
  returned: when there is something to repair
  type: str
"""
