#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: watcher
short_description: Arm the watcher of this machine for one series upgrade, or take it away
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Puts the watcher's program beside its state, installs and starts its service, writes the first record and waits until the watcher has taken over.
  - An armed watcher does nothing until it is asked to over its control socket, for example by M(leasehold.series_upgrade.watcher_call).
  - Arming the same upgrade again changes nothing. Another upgrade that is not over is refused by its name.
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
options:
  state:
    description:
      - V(armed) has a watcher guard the upgrade that O(spec) describes.
      - V(absent) ends the watcher and removes its program and service. It is refused while an upgrade is not over. The records and logs stay in O(state_dir).
    type: str
    choices: [armed, absent]
    default: armed
  spec:
    description:
      - What the machine is asked to do, as C(docs/control_protocol.md) describes it. RV(leasehold.series_upgrade.turn#module:spec) has this form.
      - Required when O(state=armed).
    type: dict
  service:
    description:
      - V(systemd) is a unit that is started at every boot and when it dies.
      - V(process) is a detached process of the login user, for containers and tests. It does not come back after a reboot.
    type: str
    choices: [systemd, process]
    default: systemd
  state_dir:
    description: Where the record, the journal, the logs and the program are. It must survive a reboot.
    type: path
    default: /var/lib/series-upgrade
  runtime_dir:
    description: Where the control socket is. The directory is the watcher's own.
    type: path
    default: /run/series-upgrade
  python:
    description:
      - The interpreter that runs the watcher. It must be there on the old and on the new series.
      - The default is C(/usr/bin/python3) for O(service=systemd) and the interpreter of this module for O(service=process).
    type: path
notes:
  - Needs root when O(service=systemd).
seealso:
  - module: leasehold.series_upgrade.watcher_call
"""

EXAMPLES = r"""
- name: Arm the watcher of this machine
  leasehold.series_upgrade.watcher:
    spec:
      upgrade_id: to-trixie/m1/1
      run: to-trixie
      machine: m1
      source_series: bookworm
      target_series: trixie
      method: debian
      snapshot: {kind: btrfs}
      drain:
        - {unit: db/0, command: systemctl stop db.service, resume: systemctl start db.service}
      checks:
        - {name: db answers, kind: tcp, port: 5432}

- name: Take the watcher away when its upgrade is over
  leasehold.series_upgrade.watcher:
    state: absent
"""

RETURN = r"""
upgrade_id:
  description: The upgrade that is armed.
  returned: when there is one
  type: str
  sample: to-trixie/m1/1
watcher_state:
  description: The state of that upgrade.
  returned: when there is one
  type: str
  sample: ARMED
generation:
  description: How often the record was written.
  returned: when armed and not in check mode
  type: int
  sample: 2
socket:
  description: The path of the control socket.
  returned: success
  type: str
  sample: /run/series-upgrade/control.sock
pid:
  description: The process of the watcher.
  returned: when armed and not in check mode
  type: int
  sample: 512
"""

import os
import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming, program


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["armed", "absent"], default="armed"),
            spec=dict(type="dict"),
            service=dict(type="str", choices=["systemd", "process"], default="systemd"),
            state_dir=dict(type="path", default="/var/lib/series-upgrade"),
            runtime_dir=dict(type="path", default="/run/series-upgrade"),
            python=dict(type="path"),
        ),
        required_if=[("state", "armed", ["spec"])],
        supports_check_mode=True,
    )
    how = arming.settings(
        module.params["service"],
        os.path.abspath(module.params["state_dir"]),
        os.path.abspath(module.params["runtime_dir"]),
        module.params["python"] or ("/usr/bin/python3" if module.params["service"] == "systemd" else sys.executable),
    )
    try:
        module.exit_json(**(_armed if module.params["state"] == "armed" else _absent)(module, how))
    except (arming.ArmingError, arming.SpecError) as problem:
        module.fail_json(msg="%s." % problem)


def _armed(module: AnsibleModule, how: dict) -> dict:
    spec, image = arming.checked(module.params["spec"]), program.build()
    found = arming.look(how)
    before, after = found.as_dict(), arming.planned(found, spec, how, image)
    result = _answer(before, after, how)
    if not module.check_mode:
        status = arming.arm(found, spec, how, image)
        result.update(watcher_state=status["state"], generation=status["generation"], pid=status["pid"])
    return result


def _absent(module: AnsibleModule, how: dict) -> dict:
    found = arming.look(how)
    before = found.as_dict()
    after = dict(before, program=None, unit=None, running=False)
    if after != before and not module.check_mode:
        arming.disarm(found, how)
    return _answer(before, after, how)


def _answer(before: dict, after: dict, how: dict) -> dict:
    return dict(
        changed=after != before,
        diff=dict(before=before, after=after),
        upgrade_id=after["upgrade_id"],
        watcher_state=after["state"],
        socket=arming.socket_path(how),
    )


if __name__ == "__main__":
    main()
