#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: turn
short_description: Wait for a machine's turn, and give it back
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - With O(state=take) waits until the plan lets this machine go, freezes the leadership of its applications when it is their first, and
    keeps renewing all pins of the run while it waits.
  - The leader that counts is the one found under the pin. If it is not the one the plan was made for, the order is planned anew first.
  - With O(state=give) gives the turn back. It counts as done only with a positive proof from the machine. Everything else (no proof,
    unreachable, skipped, unknown) is a failure; the applications of the machine are halted and stay pinned until the deadline, others go on.
  - The last machine of an application unpins it and says how often its leader changed while it was pinned.
  - Belongs into a play with C(strategy=ansible.builtin.host_pinned) over the hosts of M(leasehold.series_upgrade.upgrade_plan), in that order,
    the work in a C(block) with C(ignore_unreachable), the return of the turn in its C(always).
options:
  state:
    description:
      - Take the turn or give it back.
      - V(close) belongs at the very end of a run, for C(localhost). It takes this run's pins off applications of which every machine
        is done (an earlier execution may have died before it could), and tells how everything stands.
    type: str
    choices: [take, give, close]
    required: true
  proof:
    description:
      - For O(state=give), the RV(leasehold.series_upgrade.watcher_call#module:status) the machine gave last.
      - An upgrade is proved by a record C(COMMITTED) on the target series with that series seen live, a rollback by C(ROLLED_BACK) on the old one.
    type: dict
  reason:
    description: For O(state=give) without proof, what went wrong. The message of the failed task, for instance.
    type: str
  timeout:
    description: Seconds to wait for the turn.
    type: int
    default: 86400
  turn_file:
    description: The book of turns. That of C(hostvars.localhost.series_upgrade_plan) when not given.
    type: path
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
seealso:
  - module: leasehold.series_upgrade.upgrade_plan
  - module: leasehold.series_upgrade.watcher_call
"""

EXAMPLES = r"""
- name: Upgrade this machine in its turn
  ignore_unreachable: true
  block:
    - name: Wait for this machine's turn
      leasehold.series_upgrade.turn:
        state: take
      register: __series_upgrade_turn

    - name: Upgrade and watch until the machine has committed
      leasehold.series_upgrade.watcher_call:
        do: upgrade
        until: settled
      register: __series_upgrade_outcome
  always:
    - name: Give the turn back
      leasehold.series_upgrade.turn:
        state: give
        proof: "{{ __series_upgrade_outcome.status | default(omit) }}"
        reason: "{{ ansible_failed_result.msg | default(omit) }}"
"""

RETURN = r"""
turn:
  description: What became of the turn.
  returned: when O(state) is V(take) or V(give)
  type: str
  sample: go
  choices: [go, done, failed, halted]
kind:
  description: For failures, one word to branch on, V(halted), V(no_proof), V(leader_changed), V(timeout) or the kind of the endpoint's refusal.
  returned: failure
  type: str
run:
  description: Name of the run.
  returned: always
  type: str
applications:
  description: Applications of this machine (of the run, when O(state=close)) with what is known of their pin.
  returned: success
  type: dict
  sample: {db: {state: pinned, holder: db/1, term: 4, leadership_changes: 0, why: ""}}
machines:
  description: How every machine of the run stands. One of C(pending), C(waiting), C(running), C(done), C(failed), C(halted), and why.
  returned: when O(state=close)
  type: dict
  sample: {m1: {state: done, why: ""}}
unpinned:
  description: Applications that were unpinned, with the number of leadership changes while they were pinned.
  returned: when O(state) is V(give) or V(close)
  type: dict
  sample: {db: 0}
spec:
  description: For an upgrade, the specification to arm the machine's watcher with.
  returned: when O(state=take)
  type: dict
"""
