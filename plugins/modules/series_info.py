#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: series_info
short_description: Tell which series a machine runs, and which one follows
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Reads the series, and the record of the watcher when there is one. Changes nothing.
  - Fails when the series or the record cannot be read. What cannot be read is not the same as what is not there.
options:
  state_dir:
    description: Where the watcher keeps its marker, journal and logs.
    type: path
    default: /var/lib/series-upgrade
  series_file:
    description: The file that says which series is live.
    type: path
    default: /etc/os-release
attributes:
  check_mode:
    description: Reads the same in check mode.
    support: full
  diff_mode:
    description: There is never a difference.
    support: none
seealso:
  - module: leasehold.series_upgrade.preflight
"""

EXAMPLES = r"""
- name: Ask which series this machine runs
  leasehold.series_upgrade.series_info:
  register: found

- name: Say where it can go
  ansible.builtin.debug:
    msg: "{{ found.series }} -> {{ found.successor }}"
"""

RETURN = r"""
distribution:
  description: The distribution, by the ID in its os-release file.
  returned: success
  type: str
  sample: debian
series:
  description: Codename of the live series.
  returned: success
  type: str
  sample: bookworm
version:
  description: Its version.
  returned: success
  type: str
  sample: "12"
successor:
  description: The series that follows, none when it is the last one or not known.
  returned: success
  type: str
  sample: trixie
marker:
  description: What the watcher's marker says, as in RV(leasehold.series_upgrade.preflight#module:marker). None when there is none.
  returned: success
  type: dict
boot_id:
  description: What names this boot of the machine.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._release import machine, os_release, series
from ..module_utils._watcher.marker import Damaged
from ..module_utils._watcher.steps import StepFailed

OPTIONS = dict(
    state_dir=dict(type="path", default="/var/lib/series-upgrade"),
    series_file=dict(type="path", default="/etc/os-release"),
)


def main():
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        release = os_release.read(module.params["series_file"])
        record = machine.record_in(module.params["state_dir"])
    except (StepFailed, Damaged) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(
        changed=False,
        distribution=release.id,
        series=release.codename,
        version=release.version,
        successor=series.successor(release.codename),
        marker=record,
        boot_id=machine.boot_id(),
    )


if __name__ == "__main__":
    main()
