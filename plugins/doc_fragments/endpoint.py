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
    description: Seconds the endpoint may stay silent before it counts as unreachable.
    type: float
    default: 10.0
"""
