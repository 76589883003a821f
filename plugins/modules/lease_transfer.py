#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lease_transfer
short_description: Move the leadership of an application to another unit
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Makes another unit the holder of an application's lease. The term grows, so that the unit that led before is told it no longer does.
  - The new leader begins when the old one has stopped, or when what had been promised to it is over, so that never two act.
  - Only a unit that has taken part in the election can be made the leader.
  - While the application is pinned this is refused, unless every pin is of the caller's own O(run).
  - The task decides on what it read. When the leadership moves in between, it fails with RV(kind=stale) and changes nothing.
options:
  application:
    description: Name of the application.
    type: str
    required: true
  to:
    description: Unit that is to lead.
    type: str
    required: true
  reason:
    description: Why, for the endpoint's log.
    type: str
    default: Transferred by a playbook
  run:
    description: Name of the run whose own pins do not stand in the way.
    type: str
  term:
    description: Fail with RV(kind=stale) unless the leadership is of this term still.
    type: int
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint
attributes:
  check_mode:
    description: Foresees the endpoint's answer from what it tells now.
    support: full
  diff_mode:
    description: Shows holder and term before and after.
    support: full
seealso:
  - module: leasehold.series_upgrade.lease_info
  - module: leasehold.series_upgrade.lease_pin
"""

EXAMPLES = r"""
- name: Let db/1 lead the database before the machine of db/0 is taken out
  leasehold.series_upgrade.lease_transfer:
    application: db
    to: db/1
    reason: The machine of db/0 gets new memory
"""

RETURN = r"""
lease:
  description: The lease after the transfer, as M(leasehold.series_upgrade.lease_info) returns it.
  returned: success
  type: dict
kind:
  description: For failures, one fixed word to branch on, V(pinned), V(stale), V(no_leader), V(forbidden), V(unreachable) and others.
  returned: failure
  type: str
  sample: pinned
"""

import dataclasses
from typing import Any, Dict

from ..module_utils import _module
from ..module_utils._lease.client import Client
from ..module_utils._lease.lease import Lease, NoLeader, Stale


def work(client, params, check_mode):  # type: (Client, Dict[str, Any], bool) -> Dict[str, Any]
    name, to = params["application"], params["to"]
    before = client.leases([name]).get(name)
    if before is None:
        raise NoLeader("the endpoint has never heard of %s; is its name right, and has any unit of it claimed the lease?" % name)
    if params["term"] is not None and before.term != params["term"]:
        raise Stale("%s is in term %d and no longer in %d; read who leads it and decide again" % (name, before.term, params["term"]))
    after = before
    if before.holder != to:
        after = foresee(client, before, params) if check_mode else client.transfer(name, to, params["reason"], run=params["run"], term=before.term)
    return {"changed": after.holder != before.holder, "lease": after.as_dict(), "diff": {"before": shown(before), "after": shown(after)}}


def foresee(client, before, params):  # type: (Client, Lease, Dict[str, Any]) -> Lease
    """The lease as it would be. Raises what the endpoint would refuse with now."""
    pinner = "%s/%s" % (client.whoami()["identity"], params["run"]) if params["run"] else None
    refusal = before.refusal_of_transfer(params["to"], pinner)
    if refusal:
        raise refusal
    return dataclasses.replace(before, holder=params["to"], term=before.term + 1)


def shown(lease):  # type: (Lease) -> Dict[str, Any]
    return {"holder": lease.holder, "term": lease.term}


def main():  # type: () -> None
    options = dict(
        application=dict(type="str", required=True),
        to=dict(type="str", required=True),
        reason=dict(type="str", default="Transferred by a playbook"),
        run=dict(type="str"),
        term=dict(type="int"),
    )  # type: Dict[str, Dict[str, Any]]
    _module.run(_module.module(options), work)


if __name__ == "__main__":
    main()
