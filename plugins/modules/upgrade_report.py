#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_report
short_description: Tell how a run ended and what to do next
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Prints how a run ended, per application and machine, and what the operator should do next, and keeps the same in a file.
  - Beside it writes an HTML page that needs nothing but itself, with a timeline of the machines and of the leadership of the applications.
  - Fails when something is left to do, so that the playbook ends with an error.
  - With O(about=fleet) prints how the applications and machines are now, and never fails.
  - Runs on the controller, in a play of its own for C(localhost).
options:
  about:
    description:
      - A run that has just ended, or the fleet as it is.
      - With V(refusal) a run in which nobody went, because some machines have refused beforehand. What they said is read from the variable
        C(__rollback_would) of every machine.
    type: str
    choices: [run, refusal, fleet]
    default: run
  outcome:
    description: For O(about=run), the result of M(leasehold.series_upgrade.turn) with C(state=close).
    type: dict
    default: {}
  leases:
    description:
      - For O(about=fleet), the RV(leasehold.series_upgrade.lease_info#module:leases) of the applications.
      - Without them the report says that they are not known.
    type: dict
  unreadable:
    description:
      - For O(about=fleet), the RV(leasehold.series_upgrade.lease_info#module:unreadable) beside them, so that what is not known is told.
    type: dict
  directory:
    description:
      - Where the file is kept, on the controller. One file a run; it is replaced by a later execution of the run unless that found everything done.
    type: path
    default: series_upgrade_reports
attributes:
  check_mode:
    description: Prints the report and writes no file.
    support: full
seealso:
  - module: leasehold.series_upgrade.turn
"""

EXAMPLES = r"""
- name: Tell what became of the run
  leasehold.series_upgrade.upgrade_report:
    outcome: "{{ __series_upgrade_closed }}"
"""

RETURN = r"""
text:
  description: What was printed.
  returned: success
  type: str
path:
  description: The file with the report.
  returned: unless O(about=fleet)
  type: str
  sample: /home/me/series_upgrade_reports/to-trixie.json
timeline:
  description: The page with the timeline, beside the file.
  returned: unless O(about=fleet)
  type: str
  sample: /home/me/series_upgrade_reports/to-trixie.html
report:
  description: The report, as it is in the file.
  returned: success, unless O(about=fleet)
  type: dict
  contains:
    succeeded:
      description: Whether every machine is done and no leader changed.
      type: bool
    applications:
      description: By name, the leadership changes while pinned, whether it is still pinned, whether it is halted.
      type: dict
    machines:
      description: By host, how it ended, why, and the series that is live.
      type: dict
    next:
      description: What the operator should do, most urgent first.
      type: list
      elements: str
    events:
      description:
        - What happened, with C(at), the seconds since C(began) on the controller's clock.
        - Those with C(machine) are its turns and what its watcher told, those with C(application) are pins and leaders.
      type: list
      elements: dict
"""
