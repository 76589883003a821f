# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How to reach the lease endpoint: written once, for all modules and actions of the group ``endpoint``."""

    DOCUMENTATION = r"""
options:
  endpoint_url:
    description:
      - Address of the lease endpoint, like V(https://leases.example.net:8470).
      - Best given once, with C(module_defaults) for the group C(leasehold.series_upgrade.endpoint).
      - When not set, the environment variable E(LEASE_ENDPOINT_URL) is used.
    type: str
    required: true
  endpoint_token:
    description:
      - Token that says who the caller is and what it may do.
      - When not set, the environment variable E(LEASE_ENDPOINT_TOKEN) is used.
    type: str
  endpoint_ca_file:
    description:
      - PEM file of the certificate authority that signed the endpoint's certificate, on the machine where the task runs.
      - Without it the certificates of the system are trusted.
      - When not set, the environment variable E(LEASE_ENDPOINT_CA_FILE) is used.
    type: path
  endpoint_timeout:
    description:
      - Seconds the endpoint may take for an answer before it counts as unreachable. A connection must stand within 10 of them.
      - A pin of leadership that lives elsewhere is answered when it is in force there. That may take half a minute with Patroni. The endpoint ends
        every call within 50 s; what takes longer it goes on with by itself, and the same pin asked for again finds it done.
    type: float
    default: 60.0
"""

    # The same for plugins, which read their options from the environment by themselves.
    PLUGIN = r"""
options:
  endpoint_url:
    description:
      - Address of the lease endpoint, like V(https://leases.example.net:8470). Certificates are always checked; without TLS only loopback is spoken to.
    type: str
    required: true
    env:
      - name: LEASE_ENDPOINT_URL
  endpoint_token:
    description:
      - Token that says who the caller is; reading needs no further right.
      - Better given by the environment or in O(endpoint_token_file) than written into a file of the inventory.
    type: str
    env:
      - name: LEASE_ENDPOINT_TOKEN
  endpoint_token_file:
    description: File that holds the token. Read when O(endpoint_token) is not set.
    type: path
    env:
      - name: LEASE_ENDPOINT_TOKEN_FILE
  endpoint_ca_file:
    description:
      - PEM file of the certificate authority that signed the endpoint's certificate.
      - Without it the certificates of the system are trusted.
    type: path
    env:
      - name: LEASE_ENDPOINT_CA_FILE
  endpoint_timeout:
    description:
      - Seconds the endpoint may take for an answer before it counts as unreachable. A connection must stand within 10 of them.
      - A pin of leadership that lives elsewhere is answered when it is in force there. That may take half a minute with Patroni. The endpoint ends
        every call within 50 s; what takes longer it goes on with by itself, and the same pin asked for again finds it done.
    type: float
    default: 60.0
"""
