#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Tell what stands against upgrading this machine to the next series
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Looks at the series, the room on the disks, the packages and their sources, services, databases and the network, the way back, the
    record of the watcher and the path of its control socket, in one call. Changes nothing, unless O(fetch) asks for that.
  - With O(predict) it also finds out what the upgrade would do, with an apt of its own in a directory that is deleted afterwards. It
    fetches the lists of the target and nothing of the machine's own apt or dpkg is touched or locked. With O(fetch) it fetches the packages too.
  - With O(prove_snapshot) it takes a snapshot for a moment, reads it and drops it again, so that nothing is left.
  - Does not fail because of what it finds. The findings that forbid the upgrade are in RV(problems), one sentence each.
  - A machine in the middle of this same upgrade is only asked what still matters, so that a run can be resumed.
options:
  target:
    description: Codename of the series to go to.
    type: str
    required: true
  run:
    description:
      - Name of the run. An upgrade that another run has begun on this machine is a problem.
      - Without it every unfinished upgrade to the same target is taken for this one.
    type: str
  method:
    description: How the machine will be upgraded.
    type: str
    choices: [command, debian, ubuntu]
    default: debian
  debian:
    description: Options of the method V(debian), as docs/machine_upgrade.md lists them. What is wrong with them is a finding.
    type: dict
  ubuntu:
    description: Options of the method V(ubuntu), as docs/ubuntu.md lists them. What is wrong with them is a finding.
    type: dict
  snapshot:
    description: What the machine can be brought back from.
    type: dict
    suboptions:
      kind:
        description: The kind of snapshot.
        type: str
        choices: [btrfs, command, lvm, none, zfs]
        default: none
      root:
        description: For V(btrfs), V(lvm) and V(zfs), the mount point of the system.
        type: path
      min_free_mb:
        description: For V(btrfs), V(zfs) and a thin pool of V(lvm), the megabytes that a snapshot needs beside it.
        type: int
      size_mb:
        description: For V(lvm) on a thick volume, the megabytes of a snapshot, by default 4096. One that runs full is lost.
        type: int
      create:
        description: For V(command), the shell command that takes the snapshot named in the variable E(SERIES_UPGRADE_SNAPSHOT).
        type: str
      revert:
        description: For V(command), the shell command that brings the machine back to it.
        type: str
      drop:
        description: For V(command), the shell command that gives the snapshot up.
        type: str
      needs_reboot:
        description: For V(command), whether the machine has to reboot after O(snapshot.revert).
        type: bool
  prove_snapshot:
    description:
      - Whether to prove that a snapshot can be made, mounted to be read and dropped, when an upgrade lies ahead and O(snapshot) seems to
        be possible. What fails is a problem.
      - Not done in check mode.
    type: bool
    default: false
  state_dir:
    description: Where the watcher keeps its marker, journal and logs.
    type: path
    default: /var/lib/series-upgrade
  runtime_dir:
    description: Where the control socket is.
    type: path
    default: /run/series-upgrade
  series_file:
    description: The file that says which series is live.
    type: path
    default: /etc/os-release
  min_free_mb:
    description:
      - Megabytes that must be free on each file system that the upgrade writes to.
      - By default what was predicted; without a prediction 2048, and 64 for the method V(command).
    type: int
  machine:
    description:
      - The machine, as the inventory calls it.
      - By default C(inventory_hostname).
    type: str
  accepted_findings:
    description:
      - Findings to go on with, by their id, or as C({id, machine, reason}) with machine and reason left out where they do not matter.
      - An accepted inhibitor stays among RV(findings) and is not among RV(problems). What the upgrade cannot work with is refused.
      - By default the variable C(series_upgrade_accepted_findings).
    type: list
    elements: raw
  predict:
    description: Whether to find out what the upgrade would do. Never done for the method V(command), nor in the middle of an upgrade.
    type: bool
    default: false
  predict_timeout:
    description: Seconds for the whole prediction. What is not known by then is told as not predicted.
    type: int
    default: 180
  fetch:
    description:
      - Whether to fetch the packages that were predicted as well, into apt's own cache, where the upgrade finds them. Never in check mode.
      - Needs O(predict). This alone changes something on the machine, and takes an hour at most.
    type: bool
    default: false
  serves:
    description:
      - What the applications of this machine need, so that a removal that would take it away is told.
      - By default made of the variable C(series_upgrade_applications).
    type: dict
    suboptions:
      units:
        description: Units of systemd.
        type: list
        elements: str
      programs:
        description: Commands, by path or name.
        type: list
        elements: str
      ports:
        description: TCP ports where something of theirs listens.
        type: list
        elements: int
attributes:
  check_mode:
    description: Looks in the same way in check mode.
    details: A snapshot is not proved in check mode, because it would change the machine for a moment.
    support: partial
  diff_mode:
    description: There is never a difference.
    support: none
seealso:
  - module: leasehold.series_upgrade.series_info
  - module: leasehold.series_upgrade.upgrade_plan
"""

EXAMPLES = r"""
- name: Look whether this machine can go to trixie
  leasehold.series_upgrade.preflight:
    target: trixie
    snapshot:
      kind: btrfs
    debian:
      sources:
        "https://apt.postgresql.org/*": follow
        "https://download.example.com/*": keep
  register: looked

- name: Stop when something stands against it
  ansible.builtin.assert:
    that: looked.problems | length == 0
    fail_msg: "{{ looked.problems | join(' ') }}"
"""

RETURN = r"""
series:
  description: Codename of the live series, none when it could not be found out (which is among the findings then).
  returned: always
  type: str
  sample: bookworm
target:
  description: The series asked for.
  returned: always
  type: str
  sample: trixie
on_target:
  description: Whether the machine runs the target already. An upgrade may still be watched then, see RV(marker).
  returned: always
  type: bool
problems:
  description: What forbids the upgrade, with the next step, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["312 MB are free for /, and 2048 MB are needed. Make room (apt-get clean), or lower preflight_min_free_mb."]
findings:
  description: Everything that was found.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: A fixed word.
      type: str
      sample: disk_small
    severity:
      description: One of V(inhibitor) (forbids the upgrade), V(warning) and V(info).
      type: str
    what:
      description: What was found.
      type: str
    why:
      description: Why it matters.
      type: str
    remedy:
      description: The next step.
      type: str
    source:
      description: Who says so.
      type: str
marker:
  description: What the watcher's marker says, none when there is none. A damaged one is among the problems.
  returned: always
  type: dict
  contains:
    state:
      description: State of the upgrade, for instance V(WATCHING) or V(COMMITTED).
      type: str
    generation:
      description: Grows with every write of the marker.
      type: int
    upgrade_id:
      description: Name of this attempt.
      type: str
    run:
      description: Name of the run it belongs to.
      type: str
    machine:
      description: The machine, as the inventory calls it.
      type: str
    source_series:
      description: Where the upgrade began.
      type: str
    target_series:
      description: Where it goes.
      type: str
    reason:
      description: Why it ended as it did.
      type: str
boot_id:
  description: What names this boot of the machine.
  returned: always
  type: str
python:
  description: Version of the Python that looked.
  returned: always
  type: str
  sample: "3.11"
sources:
  description: What the method V(debian) makes of every apt source, one sentence each.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._preflight import accepted, rooms
from ..module_utils._preflight.finding import INHIBITOR, without_passwords
from ..module_utils._preflight.survey import survey
from ..module_utils._release import sources
from ..module_utils._watcher.steps import StepFailed

OPTIONS = dict(
    target=dict(type="str", required=True),
    run=dict(type="str"),
    method=dict(type="str", choices=["command", "debian", "ubuntu"], default="debian"),
    debian=dict(type="dict"),
    ubuntu=dict(type="dict"),
    snapshot=dict(
        type="dict",
        options=dict(
            kind=dict(type="str", choices=["btrfs", "command", "lvm", "none", "zfs"], default="none"),
            root=dict(type="path"),
            min_free_mb=dict(type="int"),
            size_mb=dict(type="int"),
            create=dict(type="str"),
            revert=dict(type="str"),
            drop=dict(type="str"),
            needs_reboot=dict(type="bool"),
        ),
    ),
    prove_snapshot=dict(type="bool", default=False),
    state_dir=dict(type="path", default="/var/lib/series-upgrade"),
    runtime_dir=dict(type="path", default="/run/series-upgrade"),
    series_file=dict(type="path", default="/etc/os-release"),
    min_free_mb=dict(type="int"),
    machine=dict(type="str"),
    accepted_findings=dict(type="list", elements="raw"),
    predict=dict(type="bool", default=False),
    predict_timeout=dict(type="int", default=180),
    fetch=dict(type="bool", default=False),
    serves=dict(
        type="dict",
        options=dict(units=dict(type="list", elements="str"), programs=dict(type="list", elements="str"), ports=dict(type="list", elements="int")),
    ),
)


def answer(seen, wanted):
    """What the module says of the machine it has looked at."""
    machine, prediction = seen.machine, seen.prediction
    known = accepted.read(wanted["accepted_findings"], rooms.KINDS)
    found = accepted.apply([finding._asdict() for finding in seen.findings], known, wanted["machine"] or "")
    series = machine.release.codename if machine.release else None
    return dict(
        changed=bool(prediction and prediction.fetched and prediction.fetched.changed),
        series=series,
        target=wanted["target"],
        on_target=series == wanted["target"],
        problems=[("%s %s" % (one["what"], one["remedy"])).strip() for one in found if one["severity"] == INHIBITOR and one["accepted"] is None],
        findings=found,
        predicted=prediction.whole if prediction else None,
        predict_seconds=prediction.seconds if prediction else 0.0,
        marker=machine.marker,
        boot_id=machine.boot_id,
        python="%d.%d" % machine.python,
        sources=[without_passwords(sources.tell(change)) for change in machine.packages.moves] if machine.packages else [],
    )


def main():
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        wanted = dict(module.params, **{name: module.params[name] and not module.check_mode for name in ("prove_snapshot", "fetch")})
        accepted.read(wanted["accepted_findings"], rooms.KINDS)
        module.exit_json(**answer(survey(wanted), wanted))
    except (StepFailed, accepted.Unknown) as problem:
        module.fail_json(msg=str(problem))


if __name__ == "__main__":
    main()
