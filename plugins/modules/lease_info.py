#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lease_info
short_description: Tell who leads which application, and who has pinned it
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Reads leases and pins from the lease endpoint. Reading changes nothing.
  - There are three answers. An application is pinned, it is not, or that could not be found out; the third is a failure of the task.
options:
  applications:
    description: Names of the applications to ask for. All that the endpoint knows when not given.
    type: list
    elements: str
  lapsed:
    description: Whether to list pins that have lapsed, and the halts they left, as well.
    type: bool
    default: false
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
attributes:
  check_mode:
    description: Reads the same in check mode.
    support: full
  diff_mode:
    description: There is never a difference.
    support: none
seealso:
  - module: leasehold.series_upgrade.lease_pin
  - module: leasehold.series_upgrade.lease_transfer
"""

EXAMPLES = r"""
- name: Ask who leads the database
  leasehold.series_upgrade.lease_info:
    applications: [db]
  register: found

- name: Stop when the database is led by nobody or frozen by somebody
  ansible.builtin.assert:
    that:
      - found.leases.db.holder is not none
      - not found.leases.db.pinned
    quiet: true
"""

RETURN = r"""
leases:
  description:
    - The leases by application. Times ending in C(_in) are seconds from the answer, others are Unix times of the endpoint's clock.
    - C(provider) says where the leadership lives. V(native) is the endpoint itself. Elsewhere C(members) are the units as that system sees them,
      with C(lag) in bytes behind the leader, C(capabilities) says what a pin means there (with C(scope=cluster) it stops more than elections), and
      C(freeze) whether it is in force. Not C(wanted) means that a thaw is owed and tried again.
  returned: success or when some could not be read
  type: dict
  contains:
    db:
      description: One entry for each application.
      type: dict
      sample:
        application: db
        provider: native
        holder: db/1
        term: 4
        revision: 19
        expires_at: 1795851000.0
        expires_in: 42.5
        renewed_at: 1795850940.0
        overdue: false
        pinned: true
        pins:
          - pinner: control1/to-trixie
            run: to-trixie
            identity: control1
            reason: series upgrade
            since: 1795850900.0
            until: 1795854500.0
            until_in: 3540.0
            holder: db/1
            term: 4
            session: null
            session_seen_in: null
        halted: null
        units: [db/0, db/1, db/2]
        last_holder: db/1
        duration: 60.0
        handover: null
        members: []
        capabilities:
          scope: lease
          terms: true
        freeze: null
        read_ago: 0.0
unreadable:
  description:
    - Applications whose leadership lives elsewhere, in Patroni for example, and could not be read there, with the reason. The task fails then,
      and names all others in RV(leases) nevertheless. It says nothing of who leads them.
  returned: success or when some could not be read
  type: dict
  sample: {}
unknown:
  description: Names asked for that the endpoint has never heard of.
  returned: success
  type: list
  elements: str
  sample: []
tombstones:
  description: Pins that ended by their deadline, C(application), C(pinner), C(lapsed_at), C(reason).
  returned: when O(lapsed=true)
  type: list
  elements: dict
halts:
  description: Applications that stay halted until a person clears them.
  returned: when O(lapsed=true)
  type: list
  elements: dict
kind:
  description: For failures, one fixed word to branch on, like V(unreachable) or V(forbidden).
  returned: failure
  type: str
  sample: unreachable
"""

from typing import Any, Dict

from ..module_utils import _module
from ..module_utils._lease.client import Client


def work(client, params, check_mode):  # type: (Client, Dict[str, Any], bool) -> Dict[str, Any]
    leases = client.leases(params["applications"], partial=True)
    answer = {
        "changed": False, "leases": dict((name, lease.as_dict()) for name, lease in leases.items()), "unknown": leases.unknown,
        "unreadable": leases.unreadable,
    }  # type: Dict[str, Any]
    if params["lapsed"]:
        listed = client.pins()
        answer.update(tombstones=listed["tombstones"], halts=listed["halts"])
    if leases.unreadable:
        answer.update(failed=True, kind="unreachable", msg="; ".join(leases.unreadable[name] for name in sorted(leases.unreadable)))
    return answer


def main():  # type: () -> None
    options = dict(
        applications=dict(type="list", elements="str"),
        lapsed=dict(type="bool", default=False),
    )  # type: Dict[str, Dict[str, Any]]
    _module.run(_module.module(options), work)


if __name__ == "__main__":
    main()
