# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole upgrade_series run: module tasks a machine has to run, and what the run costs the controller, beside one `command` task."""

from __future__ import annotations

import pathlib

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import Stage
from tests.bench.playing import Failed, Modules, play
from tests.bench.table import Table


def measure(directory: pathlib.Path, quick: bool) -> Table:
    count = 4 if quick else 20
    fleet = {"app%d" % pair: {"units": {"app%d/%d" % (pair, unit): "m%d" % (2 * pair + unit) for unit in (0, 1)}} for pair in range(count // 2)}
    with Stage(directory / "s", fleet) as stage:
        modules = Modules(directory)
        stage.write_inventory(ansible_python_interpreter=modules.variable(stage.machines))
        inventory = ["-i", str(stage.inventory)]
        rival = play(directory, [{"hosts": "all", "gather_facts": False, "tasks": [{"name": "Command", "ansible.builtin.command": "true"}]}],
                     *inventory, env=stage.env, forks=count)
        rival_cpu = rival.cpu - modules.cpu()
        modules.forget()
        ours = play(directory, "leasehold.series_upgrade.upgrade_series", *inventory, env=stage.env, forks=count)
        behind = [machine for machine in stage.machines if stage.series(machine) != "trixie"]
        if behind:
            raise Failed("not upgraded: %s" % ", ".join(behind))
        counted = modules.count()
    table = Table("upgrade_series on %d machines with %d applications (method command, grace 3 s)" % (count, len(fleet)))
    table.add("module tasks on a machine, at most", max(counted.get(machine, 0) for machine in stage.machines), "tasks")
    table.add("controller, a machine: upgrade_series", (ours.cpu - modules.cpu()) / count, "CPU-s")
    table.add("controller, a machine: ansible -m command", rival_cpu / count, "CPU-s")
    table.add("wall: upgrade_series", ours.wall, "s")
    table.notes = ["Start-up of ansible-playbook is in both. Modules and watchers run on the machines and are not in these CPU-s."]
    return table
