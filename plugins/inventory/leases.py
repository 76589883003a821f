# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: leases
short_description: Groups and variables from who leads what, as the lease endpoint tells it
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Asks the lease endpoint for all leases and puts the hosts of their units into groups.
    V(lease_app_db) has the hosts of the application C(db), V(lease_leader_db) its leader's host, V(lease_provider_patroni) all hosts of
    applications that Patroni leads. V(lease_leaders), V(lease_pinned), V(lease_halted), V(lease_overdue) and V(lease_unreadable) always exist,
    so that a play on one of them that is empty simply has nothing to do.
  - Every host gets the variable C(leases), by application, with C(unit), C(leads), C(holder), C(term), C(provider), C(pinned), C(pinners), C(halted),
    C(overdue) and C(unreadable); and the lists of application names C(lease_applications), C(lease_leads), C(lease_pinned) and C(lease_halted).
  - The endpoint knows units, not hosts. Which host a unit is, is looked up first in O(hosts), then in the variable C(series_upgrade_applications) of the
    group C(all), if the inventory has it (in C(group_vars) or in a source read before this one), then told by O(host).
  - The endpoint does not know the series of a machine. With a fact cache, group by it with O(keyed_groups), see the examples.
notes:
  - The file must be called C(leases.yml) or C(leases.yaml), or end in C(.leases.yml) or C(.leases.yaml).
  - Ansible goes on with an empty inventory when a source of it cannot be read, unless C(any_unparsed_is_failed=true) is set in the section C([inventory])
    of C(ansible.cfg), which is recommended.
  - Leadership moves while nobody looks. O(cache) keeps what was read, so use it only where an old answer does no harm.
extends_documentation_fragment:
  - leasehold.series_upgrade.endpoint.plugin
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [leasehold.series_upgrade.leases]
  applications:
    description: Only these applications. All that the endpoint knows when not given. One that it does not know is an error.
    type: list
    elements: str
  hosts:
    description: Which host a unit is, by unit.
    type: dict
    default: {}
  host:
    description:
      - A Jinja expression that tells the host of a unit, when neither O(hosts) nor C(series_upgrade_applications) does.
      - It knows C(unit), C(application) and C(lease), all that the endpoint says of it.
      - An empty result leaves the unit out.
    type: str
  unmapped:
    description: What to do with a unit of which nobody says which host it is.
    type: str
    choices:
      fail: It is an error.
      skip: It is left out.
    default: fail
  unreadable:
    description: What to do when the leadership of an application lives elsewhere and cannot be read at present.
    type: str
    choices:
      fail: It is an error.
      group: Its hosts, as far as O(hosts) or C(series_upgrade_applications) name them, are put into V(lease_unreadable), and of it nothing else is claimed.
    default: fail
  group_prefix:
    description: What the names of all groups begin with, those of O(keyed_groups) excepted.
    type: str
    default: lease_
"""

EXAMPLES = r"""
# inventory/leases.yml, beside inventory/hosts.yml and inventory/group_vars/all.yml with series_upgrade_applications.
# The token comes from the variable LEASE_ENDPOINT_TOKEN.
plugin: leasehold.series_upgrade.leases
endpoint_url: https://leases.example.net:8470
endpoint_ca_file: /etc/ssl/certs/leases.pem

---
# Units that are called like their hosts, with a domain; groups by what they lead, and by the series that the fact cache knows.
plugin: leasehold.series_upgrade.leases
endpoint_url: https://leases.example.net:8470
endpoint_token_file: ~/.config/leases.token
host: unit ~ '.example.net'
keyed_groups:
  - {key: lease_leads, prefix: leads}
  - {key: ansible_distribution_release | default('unknown'), prefix: series}
groups:
  frozen_by_me: leases.values() | map(attribute='pinners') | flatten | select('match', 'controller/') | length > 0
compose:
  db_term: leases.db.term
"""

import re
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.plugins.loader import cache_loader
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ..module_utils._lease.client import Client
from ..module_utils._lease.lease import LeaseError
from ..plugin_utils import _leased_hosts as leased

ENDINGS = re.compile(r"(^|.*[/.])leases\.ya?ml$")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Asks, maps units to hosts, and leaves the rest to what all constructed inventories do."""

    NAME = "leasehold.series_upgrade.leases"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and ENDINGS.match(path) is not None

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        said = self._said(path, cache)
        variables = self._variables_of_all(path)
        try:
            wanted = leased.read(variables.get("series_upgrade_applications"), self.templar)
            hosts = leased.Hosts(self.get_option("hosts"), wanted, self.get_option("host"), self.get_option("unmapped") == "skip", self._compose)
            found = leased.by_host(said, hosts, self.get_option("unreadable") == "group")
        except leased.Unclear as trouble:
            raise AnsibleParserError("%s: %s" % (path, trouble)) from trouble
        self._fill(found)

    def _said(self, path: str, cache: bool) -> dict[str, t.Any]:
        """What the endpoint says: ``leases`` as dictionaries, ``unreadable`` sentences by application; from the cache where that is wanted."""
        key, caching = self.get_cache_key(path), self.get_option("cache")
        if caching and cache and key in self._cache:
            return self._cache[key]
        said = self._ask(path)
        if caching:
            self._cache[key] = said
        return said

    def _ask(self, path: str) -> dict[str, t.Any]:
        try:
            client = Client(self.get_option("endpoint_url"), self._token(), self.get_option("endpoint_ca_file"), self.get_option("endpoint_timeout"))
            found = client.leases(self.get_option("applications"), partial=True)
        except LeaseError as trouble:
            raise AnsibleParserError("%s: %s" % (path, trouble.msg)) from trouble
        if found.unknown:
            raise AnsibleParserError("%s: the endpoint knows no application %s; mend the option applications" % (path, ", ".join(found.unknown)))
        return {"leases": [found[name].as_dict() for name in sorted(found)], "unreadable": dict(found.unreadable)}

    def _token(self) -> str | None:
        file = self.get_option("endpoint_token_file")
        if self.get_option("endpoint_token") or not file:
            return self.get_option("endpoint_token")
        try:
            with open(file, encoding="utf-8") as kept:
                return kept.read().strip()
        except OSError as trouble:
            raise AnsibleParserError("the token file %s cannot be read: %s" % (file, trouble.strerror)) from trouble

    def _variables_of_all(self, path: str) -> dict[str, t.Any]:
        """What the sources before this one, and group_vars beside any of them, say of the group all."""
        group = self.inventory.groups["all"]
        sources = [*getattr(self.inventory, "processed_sources", []), path]
        return combine_vars(get_group_vars([group]), get_vars_from_inventory_sources(self.loader, sources, [group], "all"))

    def _fill(self, found: leased.Found) -> None:
        prefix, strict = self.get_option("group_prefix"), self.get_option("strict")
        for group in found.groups:
            self.inventory.add_group(prefix + group)
        for host, variables in found.variables.items():
            self.inventory.add_host(host)
            for name, value in variables.items():
                self.inventory.set_variable(host, name, value)
        for group, members in found.groups.items():
            for host in members:
                self.inventory.add_child(prefix + group, host)
        facts = cache_loader.get(C.CACHE_PLUGIN)
        try:
            for host in found.variables:
                self._set_composite_vars(self.get_option("compose"), self._known(host, facts), host, strict=strict)
                variables = self._known(host, facts)
                self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict, fetch_hostvars=False)
                self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict, fetch_hostvars=False)
        except AnsibleParserError:
            raise
        except AnsibleError as trouble:
            raise AnsibleParserError("one of compose, groups and keyed_groups cannot be used: %s" % trouble) from trouble

    def _known(self, host: str, facts: t.Any) -> dict[str, t.Any]:
        """The host's variables, its groups' and, if there is a cache of them, its facts."""
        found = self.inventory.hosts[host]
        known = combine_vars(get_group_vars(found.get_groups()), found.get_vars())
        return combine_vars(known, facts.get(host)) if facts.contains(host) else known
