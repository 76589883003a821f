#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The work is done on the controller by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: watcher_call
short_description: Converse with a machine's watcher over its control socket
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Sends one request to the watcher of this machine and, when asked to, follows what comes of it until the machine is settled.
  - Reaches the Unix socket through an SSH channel of its own, so it needs no Python on the machine. Comes back by itself after a cut or a reboot.
  - Shows phases and percentages while it waits, and keeps the pins of the run alive.
  - Asks before it acts, so a repeated call picks up what an earlier one has begun.
  - When nobody answers at the socket, O(do=rollback), O(do=abort) and O(do=hold) are left in the spool on the machine and a watcher is started,
    unless O(upgrade_id) is given. This takes a shell there, as the user of the watcher, and no Python. Everything else is refused then, because it
    needs somebody who has seen how the machine is.
options:
  do:
    description: The request.
    type: str
    required: true
    choices: [status, drain, upgrade, rollback, commit, abort, hold, resume, extend, expect_disruption, clean, wait, shutdown]
  reason:
    description: Why. Kept in the machine's journal. For O(do=expect_disruption), what is going to happen.
    type: str
  seconds:
    description: For O(do=extend), by how much the grace is extended. For O(do=expect_disruption), how long checks that fail count for nothing.
    type: int
  force:
    description: For O(do=rollback), the applications that are taken back although they are past their point of no return.
    type: list
    elements: str
  until:
    description:
      - V(answered) returns when the request is on the machine's disk.
      - V(settled) returns when the machine stays as it is without anybody's doing, in a terminal state or held.
      - V(watching) returns also when the machine has come up on the new series and is being watched.
      - The default is V(settled) for C(upgrade), C(rollback), C(commit), C(abort) and C(wait), otherwise V(answered).
    type: str
    choices: [answered, watching, settled]
  expect:
    description:
      - States in which this task succeeds. Any other ends it as failed with the reason the watcher gave.
      - By default C(COMMITTED) for upgrade and commit (C(WATCHING) too with O(until=watching)), C(ROLLED_BACK)
        for rollback, C(ABORTED) for abort, any for the others.
    type: list
    elements: str
  timeout:
    description: Seconds until the outcome has to be known.
    type: int
    default: 14400
  reconnect_timeout:
    description: Seconds the machine may be out of reach at a stretch, a reboot for instance.
    type: int
    default: 900
  upgrade_id:
    description: Refuse when the machine is in another upgrade than this one.
    type: str
  control_socket:
    description: Path of the socket on the machine. C(control.sock) in the variable C(upgrade_watcher_runtime_dir) when not given.
    type: path
  transport:
    description:
      - How the socket is reached. V(auto) takes the socket itself for a local connection, else an SSH channel by paramiko, and OpenSSH's own forwarding
        where the SSH configuration asks for what paramiko cannot do (C(ProxyJump), C(ProxyCommand), certificates, hardware keys).
    type: str
    choices: [auto, local, paramiko, openssh]
    default: auto
  turn_file:
    description: The book of turns whose pins are to be renewed. That of C(hostvars.localhost.series_upgrade_plan) when not given; none is needed.
    type: path
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
notes:
  - A machine out of reach makes this task fail with RV(kind) V(unreachable). It never counts as unreachable for Ansible, so C(always) still runs.
seealso:
  - module: leasehold.series_upgrade.turn
  - module: leasehold.series_upgrade.watcher
"""

EXAMPLES = r"""
- name: Ask how the machine is
  leasehold.series_upgrade.watcher_call:
    do: status

- name: Upgrade and watch until the machine has committed
  leasehold.series_upgrade.watcher_call:
    do: upgrade
  register: __series_upgrade_outcome

- name: Bring the machine back to the previous series
  leasehold.series_upgrade.watcher_call:
    do: rollback
    reason: the operator asked for it
"""

RETURN = r"""
status:
  description: The status the watcher gave last. Whole with O(do=status), else what proves the outcome.
  returned: when the watcher answered
  type: dict
  sample: {state: COMMITTED, series: trixie, target_series: trixie, upgrade_id: to-trixie/m1/1}
state:
  description: The state the machine is in.
  returned: when the watcher answered
  type: str
  sample: COMMITTED
kind:
  description: >-
    For failures, one word to branch on. V(unreachable), V(untrusted) (host key), V(denied) (login), V(no_watcher) (nobody answers at the socket),
    V(rejected) (the watcher said no), V(rolled_back), V(aborted), V(held) and V(unexpected) (settled in such a state instead, or in any other),
    V(timeout), V(other_upgrade), V(invalid).
  returned: failure
  type: str
refusal:
  description: When RV(kind) is V(rejected), the kind of the watcher's refusal, C(no_artifact) or C(too_late) for instance.
  returned: when the watcher refused
  type: str
"""
