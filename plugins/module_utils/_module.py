# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one file that knows AnsibleModule: connection options of the endpoint, and errors turned into answers.

Private to this collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ._lease.client import Client
from ._lease.lease import LeaseError

# Documented once, in the fragment leasehold.series_upgrade.endpoint; a test compares the two.
ENDPOINT_OPTIONS = dict(
    endpoint_url=dict(type="str", required=True, fallback=(env_fallback, ["LEASE_ENDPOINT_URL"])),
    endpoint_token=dict(type="str", no_log=True, fallback=(env_fallback, ["LEASE_ENDPOINT_TOKEN"])),
    endpoint_ca_file=dict(type="path", fallback=(env_fallback, ["LEASE_ENDPOINT_CA_FILE"])),
    endpoint_timeout=dict(type="float", default=60.0),
)  # type: Dict[str, Dict[str, Any]]


def module(options, **more):  # type: (Dict[str, Dict[str, Any]], Any) -> AnsibleModule
    """A module with its own options and those of the endpoint; check mode is always supported."""
    return AnsibleModule(argument_spec=dict(ENDPOINT_OPTIONS, **options), supports_check_mode=True, **more)


def client(params):  # type: (Dict[str, Any]) -> Client
    """The endpoint's client from a module's or an action's options. Raises LeaseError."""
    return Client(params["endpoint_url"], params.get("endpoint_token"), params.get("endpoint_ca_file"), params["endpoint_timeout"])


def run(door, work):  # type: (AnsibleModule, Callable[[Client, Dict[str, Any], bool], Dict[str, Any]]) -> None
    """Does ``work(client, params, check_mode)`` and answers with what it returns. Every LeaseError becomes ``kind`` and ``msg``.

    A result with ``failed`` true is answered as a failure with all it says, so that what did work is still named.
    """
    try:
        answer = work(client(door.params), door.params, door.check_mode)
    except LeaseError as error:
        door.fail_json(msg=error.msg, kind=error.kind, pinners=error.details.get("pinners", []))
    if answer.pop("failed", False):
        door.fail_json(**answer)
    door.exit_json(**answer)
