#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan
short_description: Plan which machine may go when, and open the run's book of turns
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Reads the leaders from the lease endpoint and the preflight results of the machines, and plans the order in which the machines go.
  - Prints the plan as a tree with its reasons and opens the book of turns that M(leasehold.series_upgrade.turn) works from.
  - Changes nothing, neither at the endpoint nor on a machine. Every bad input is refused with one sentence that names the next step.
  - Runs on the controller, once, in a play of its own for C(localhost).
options:
  applications:
    description:
      - The applications, their units and rules. Usually the variable C(series_upgrade_applications).
    type: dict
    required: true
  target:
    description: Codename of the series the machines go to.
    type: raw
    required: true
  run:
    description:
      - Name of the run. A rerun under the same name resumes.
      - C(to-TARGET) when not given.
    type: str
  purpose:
    description: Whether the machines go to the target or back from it.
    type: str
    choices: [upgrade, rollback]
    default: upgrade
  scope:
    description:
      - Who goes. Names of machines and applications, or C(all). The rules of every application still count.
      - A machine that carries no application may be named too, it goes without waiting for anybody.
    type: list
    elements: str
    default: [all]
  pin:
    description: Whether leadership is frozen while machines go. Without it a change of leader is merely counted.
    type: bool
    default: true
  pin_duration:
    description: Seconds a pin lives without being renewed. The run renews its pins every 20 seconds.
    type: int
    default: 3600
  takeover:
    description:
      - Take the run over from a controller that was heard less than a minute ago.
      - Needed only when that controller is known to be dead and the minute is too long.
    type: bool
    default: false
  force:
    description:
      - For O(purpose=rollback), the applications that are taken back although their C(no_return) has the rule C(last_machine) and all of
        their machines are on the target.
    type: list
    elements: str
    default: []
  preflight:
    description:
      - Results of M(leasehold.series_upgrade.preflight) by host.
      - Read from the variable C(__preflight_facts) of every machine when not given.
    type: dict
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
seealso:
  - module: leasehold.series_upgrade.turn
  - module: leasehold.series_upgrade.watcher_call
"""

EXAMPLES = r"""
- name: Decide who goes when
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Plan the way to trixie
      leasehold.series_upgrade.upgrade_plan:
        applications: "{{ series_upgrade_applications }}"
        target: "{{ series_upgrade_target }}"

- name: Upgrade every machine as soon as its turn comes
  hosts: "{{ hostvars.localhost.series_upgrade_plan.players }}"
  strategy: ansible.builtin.host_pinned
  gather_facts: false
  tasks:
    - name: Wait for this machine's turn
      leasehold.series_upgrade.turn:
        state: take
      when: inventory_hostname in hostvars.localhost.series_upgrade_plan.hosts
"""

RETURN = r"""
ansible_facts:
  description: The plan, as the variable C(series_upgrade_plan) of the host this ran for (localhost).
  returned: success
  type: dict
  contains:
    series_upgrade_plan:
      description: The plan and where its book of turns is.
      type: dict
      contains:
        run:
          description: Name of the run.
          type: str
          sample: to-trixie
        session:
          description: This execution of the run, told to the endpoint with every pin.
          type: str
          sample: control1:4242:5f1c9a
        target:
          description: Codename of the target series.
          type: str
        purpose:
          description: Whether the machines go to the target or back from it.
          type: str
        hosts:
          description: The machines that still have to go, in an order that never waits for a later one.
          type: list
          elements: str
          sample: [m2, m3, m1]
        players:
          description:
            - To be used as C(hosts) of the next play. The same, with localhost before them when there are any.
            - A play in which every host fails ends the playbook, so without localhost nobody would report that everybody failed.
          type: list
          elements: str
          sample: [localhost, m2, m3, m1]
        skipped:
          description: Machines that need not go, and why.
          type: dict
          sample: {m4: is already on trixie}
        failed:
          description: Machines that cannot go, and why. Their applications are halted from the start.
          type: dict
          sample: {m5: could not be reached by the preflight}
        applications:
          description: Names of the applications concerned.
          type: list
          elements: str
        hash:
          description: Names this plan. Another order, leader or rule gives another one.
          type: str
        pins:
          description: What a pin means, for each application concerned whose leadership lives elsewhere.
          type: dict
          sample: {db: "led by patroni; a pin pauses the whole cluster: no failover, no restart of PostgreSQL by Patroni, while it lives"}
        tree:
          description: The plan as it was printed.
          type: str
        turn_file:
          description: The book of turns. It lives only as long as this execution.
          type: str
"""
