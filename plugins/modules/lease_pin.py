#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lease_pin
short_description: Freeze the leadership of applications, or let it go again
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - A pinned lease does not expire, so that its application elects nobody else while machines are worked on. A pin keeps nobody alive.
  - Takes many applications in one call. Each gets its own answer; those that worked stay and are named, also when others fail.
  - Where the leadership lives elsewhere, in Patroni for example, a pin is answered when it is in force there, which may take half a minute. It
    may freeze more than the one leadership; RV(leases) tells in C(capabilities). Unpinned while that system does not answer, the pin is gone
    at once and the endpoint goes on trying to thaw; the task warns of it.
  - Pins belong to the caller, known by its token, and to O(run). Pinning again renews the deadline, unpinning again does nothing,
    and pins of others are never touched.
options:
  applications:
    description: Names of the applications.
    type: list
    elements: str
    required: true
  state:
    description: Whether this run's pin is to be there.
    type: str
    choices: [present, absent]
    default: present
  run:
    description: Name under which the pins are held. Together with the caller's identity it makes the pinner.
    type: str
    required: true
  reason:
    description: Why, for those who meet the pin.
    type: str
    default: Pinned by a playbook
  duration:
    description: Seconds until the pin ends by itself, unless it is renewed. What it froze is let go then, and the application is halted.
    type: float
    default: 3600.0
  exclusive:
    description: Refuse when somebody else holds a pin on the application.
    type: bool
    default: false
  allow_no_leader:
    description: Pin although nobody leads the application; whoever leads it next is frozen then.
    type: bool
    default: false
  session:
    description:
      - Tells executions of one run apart. With O(exclusive) a pin that another session of the same run has renewed within the last minute
        is refused, so that two controllers do not work under one name.
    type: str
  pinner:
    description: With O(state=absent), the full name of another pinner whose pin is to be removed. Needs the scope C(admin).
    type: str
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
attributes:
  check_mode:
    description: Foresees the endpoint's answers, its refusals included, from what it tells now.
    support: full
  diff_mode:
    description: Shows the pinner's own pins before and after.
    support: full
seealso:
  - module: leasehold.series_upgrade.lease_info
  - module: leasehold.series_upgrade.lease_transfer
"""

EXAMPLES = r"""
- name: Freeze the leadership of database and queue while racks are moved
  leasehold.series_upgrade.lease_pin:
    applications: [db, queue]
    run: rack-move
    reason: Moving racks 3 and 4
    duration: 1800

- name: Let go of both
  leasehold.series_upgrade.lease_pin:
    applications: [db, queue]
    run: rack-move
    state: absent
"""

RETURN = r"""
pinner:
  description: The name under which the endpoint holds the pins.
  returned: success or a refusal for single applications
  type: str
  sample: control1/rack-move
leases:
  description: Leases, as M(leasehold.series_upgrade.lease_info) returns them, of the applications for which the call worked.
  returned: success or a refusal for single applications
  type: dict
refused:
  description: For each application that was refused, C(kind), C(msg), and C(pinners) when pins of others are the cause.
  returned: success or a refusal for single applications
  type: dict
  sample: {}
kind:
  description: For failures, one fixed word to branch on, V(no_leader), V(pinned), V(halted), V(forbidden), V(unreachable) and others.
  returned: failure
  type: str
  sample: no_leader
"""

from typing import Any, Dict, List

from ..module_utils import _module
from ..module_utils._lease.client import Client
from ..module_utils._lease.lease import Lease, Leases, NoLeader, Outcome, Pin


def work(client, params, check_mode):  # type: (Client, Dict[str, Any], bool) -> Dict[str, Any]
    names = list(dict.fromkeys(params["applications"]))
    pinner = params["pinner"] or "%s/%s" % (client.whoami()["identity"], params["run"])
    before = client.leases(names, partial=True)
    if check_mode:
        outcomes = foresee(before, names, pinner, params)
    elif params["state"] == "present":
        outcomes = client.pin(names, params["run"], params["reason"], params["duration"], params["session"], params["exclusive"], params["allow_no_leader"])
    else:
        outcomes = client.unpin(names, params["run"], params["reason"], params["pinner"])
    after = dict((name, outcome.lease) for name, outcome in outcomes.items() if outcome.ok and outcome.lease)
    refused = dict((name, outcome) for name, outcome in outcomes.items() if not outcome.ok)
    answer = {
        "changed": any(outcome.changed for outcome in outcomes.values()),
        "pinner": pinner,
        "leases": dict((name, lease.as_dict()) for name, lease in after.items()),
        "refused": dict((name, {"kind": item.kind, "msg": item.msg, "pinners": list(item.pinners)}) for name, item in refused.items()),
        "diff": {"before": shown(before, names, pinner), "after": shown(dict(before, **after), names, pinner)},
    }  # type: Dict[str, Any]
    unread = [outcome.unknown for outcome in outcomes.values() if outcome.ok and outcome.unreadable]
    if unread or any(lease.owed for lease in after.values()):
        answer["warnings"] = unread + [lease.owed for lease in after.values() if lease.owed]
    if refused:
        first = next(iter(refused.values()))
        answer.update(failed=True, kind=first.kind, msg="%d of %d applications refused: %s" % (
            len(refused), len(names), "; ".join(item.msg for item in refused.values())))
    return answer


def foresee(before, names, pinner, params):  # type: (Leases, List[str], str, Dict[str, Any]) -> Dict[str, Outcome]
    """What the endpoint would answer now."""
    outcomes = {}
    for name in names:
        if name in before.unreadable:
            outcomes[name] = Outcome(name, False, kind="unreachable", msg=before.unreadable[name])
            continue
        known, lease = name in before, before.get(name, Lease(name))
        if params["state"] == "absent":
            after, refusal = lease.without_pin(pinner), None
        else:
            after = lease.with_pin(Pin(pinner, run=params["run"], reason=params["reason"], until_in=params["duration"], session=params["session"]))
            refusal = lease.refusal_of_pin(pinner, params["exclusive"], params["allow_no_leader"])
            if not known and refusal:
                refusal = NoLeader("the endpoint has never heard of %s; is its name right, and has any unit of it claimed the lease?" % name)
        if refusal:
            outcomes[name] = Outcome(name, False, kind=refusal.kind, msg=refusal.msg, pinners=tuple(refusal.details.get("pinners", ())))
        else:
            outcomes[name] = Outcome(name, True, after != lease, after if known else None)
    return outcomes


def shown(leases, names, pinner):  # type: (Dict[str, Lease], List[str], str) -> Dict[str, str]
    """The pinner's own pins, one line each: what a diff should be about."""
    lines = {}
    for name in names:
        pin = leases[name].pin_of(pinner) if name in leases else None
        lines[name] = "not pinned by %s" % pinner if pin is None else "pinned by %s: %s" % (pinner, pin.reason)
    return lines


def main():  # type: () -> None
    options = dict(
        applications=dict(type="list", elements="str", required=True),
        state=dict(type="str", choices=["present", "absent"], default="present"),
        run=dict(type="str", required=True),
        reason=dict(type="str", default="Pinned by a playbook"),
        duration=dict(type="float", default=3600.0),
        exclusive=dict(type="bool", default=False),
        allow_no_leader=dict(type="bool", default=False),
        session=dict(type="str"),
        pinner=dict(type="str"),
    )  # type: Dict[str, Dict[str, Any]]
    door = _module.module(options)
    if door.params["pinner"] and door.params["state"] == "present":
        door.fail_json(kind="invalid", msg="pinner names another's pin to remove, so it needs state: absent; a pin is taken under the caller's own name.")
    _module.run(door, work)


if __name__ == "__main__":
    main()
