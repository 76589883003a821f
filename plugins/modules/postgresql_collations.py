#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_collations
short_description: Find what a new glibc or ICU has put out of order in PostgreSQL, and rebuild it
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Asks each cluster of this machine, as Debian packages them, whether the collations of its databases still have the versions that the databases were
    made with, and lists the indexes and range-partitioned tables that are kept in the order of one that has changed.
  - Changes nothing unless O(reindex=true). Then it rebuilds these indexes while the server goes on working and records the new versions in each
    database where all of that went well.
  - A cluster that does not run or does not answer is told in RV(problems), never taken for unchanged.
  - Run it as root or as the user whom the clusters belong to.
options:
  reindex:
    description:
      - Rebuild the indexes. Only at a leader; a standby is a problem.
      - Wait until all machines of the cluster are on the same series. A standby with another glibc would read the rebuilt indexes in its own order.
    type: bool
    default: false
  clusters:
    description: Only these, V(15/main) for instance. All when it is not given.
    type: list
    elements: str
  timeout:
    description: Seconds for one index.
    type: int
    default: 86400
attributes:
  check_mode:
    description: Tells what would be rebuilt.
    support: full
  diff_mode:
    description: Shows no differences.
    support: none
  platform:
    description: Debian and Ubuntu with postgresql-common.
    platforms: debian
    support: full
"""

EXAMPLES = r"""
- name: See what the upgrade has put out of order
  leasehold.series_upgrade.postgresql_collations:
  register: found
  become: true

- name: Rebuild it, at the leader
  leasehold.series_upgrade.postgresql_collations:
    reindex: true
  become: true
"""

RETURN = r"""
clusters:
  description: Each cluster that answered, before anything was rebuilt.
  returned: always
  type: list
  elements: dict
  contains:
    cluster:
      description: Its name.
      type: str
      sample: 15/main
    version:
      description: The server's version as a number.
      type: int
      sample: 150018
    standby:
      description: Whether it follows another one.
      type: bool
    databases:
      description: Those with something out of order, each with C(name), C(recorded) and C(actual) version of its collation, and the objects in C(depending).
      type: list
      elements: dict
problems:
  description: What could not be asked or rebuilt, one sentence each.
  returned: always
  type: list
  elements: str
indexes:
  description: How many indexes are, or were, in an old order.
  returned: always
  type: int
query:
  description: The query that shows it, to be asked of any database.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._postgres import collations, servers
from ..module_utils._watcher import programs

OPTIONS = dict(
    reindex=dict(type="bool", default=False),
    clusters=dict(type="list", elements="str"),
    timeout=dict(type="int", default=86400),
)


def main():
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    chosen = module.params["clusters"]
    try:
        there = [server for server in servers.servers(programs.run) or [] if chosen is None or server.name in chosen]
    except servers.Unanswered as problem:
        module.fail_json(msg=str(problem), clusters=[], problems=[str(problem)], indexes=0, query=collations.QUERY)
    looked = [(server, collations.look_at(server, programs.run)) for server in there]
    problems = [found["problem"] for dummy, found in looked if "problem" in found]
    problems += ["There is no cluster {0} here.".format(name) for name in chosen or [] if name not in [server.name for server in there]]
    outdated = [(server, found) for server, found in looked if found.get("databases")]
    changed = module.params["reindex"] and any(not found["standby"] for dummy, found in outdated)
    if module.params["reindex"] and not module.check_mode:
        for server, found in outdated:
            problems += collations.rebuild(server, found, programs.run, module.params["timeout"])
    names = [(found["cluster"], database["name"], item["name"]) for dummy, found in outdated for database in found["databases"]
             for item in database["depending"] if item["kind"] == "index"]
    result = dict(changed=changed, clusters=[found for dummy, found in looked if "problem" not in found], problems=problems, indexes=len(set(names)),
                  query=collations.QUERY)
    if problems and module.params["reindex"]:
        module.fail_json(msg=" ".join(problems), **result)
    module.exit_json(msg=" ".join(collations.sentences([found for dummy, found in looked])) or "No collation has changed.", **result)


if __name__ == "__main__":
    main()
