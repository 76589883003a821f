# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
kill -9 of the controller at the points of a playbook, and another controller that knows nothing of the first one finishes.

The points are found by an undisturbed run. Three of each playbook, evenly chosen, are tried here, and all of them by `make deaths`.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

from tests.integration.on_stage import PATIENCE, Ran, run, stage_of, variables

# How many points of each playbook are tried; 0 is all of them.
POINTS = int(os.environ.get("LEASEHOLD_DEATHS", "3"))
APPLICATIONS = {"db": {"units": {"db/0": "m1", "db/1": "m2"}}}
CALLBACKS = str(pathlib.Path(__file__).parent / "callbacks")
WHOM = {"rollback": {"series_upgrade_rollback": "all"}, "upgrade_series": {}}


class World:
    """A stage that goes to the next series and back, each time under the name of another run. Whoever works on it is a new controller."""

    def __init__(self, stage):
        self.stage = stage
        self.cycle = 0
        inventory = json.loads(stage.inventory.read_text(encoding="utf-8"))
        for machine, host in inventory["all"]["hosts"].items():
            for verb, command in host["series_upgrade_command"].items():
                host["series_upgrade_command"][verb] = "echo %s >>%s; %s" % (verb, stage.home(machine) / "ran", command)
        stage.inventory.write_text(json.dumps(inventory), encoding="utf-8")

    def words(self, playbook, **more):
        return variables(series_upgrade_run="cycle-%d" % self.cycle, **WHOM[playbook], **more)

    def finish(self, playbook):
        """A controller with a home and a directory for temporary files that nobody has used."""
        home = tempfile.mkdtemp(prefix="other-", dir=self.stage.directory)
        return run(self.stage, playbook, *self.words(playbook, series_upgrade_takeover=True), HOME=home, TMPDIR=home)

    def live(self, playbook, at=0):
        """A controller that dies at point AT (0: lives on). Returns how it ended, and the points it has passed."""
        # It goes with the stage, for what the dead one had at work may still write there for a moment.
        home = tempfile.mkdtemp(prefix="one-", dir=self.stage.directory)
        log = pathlib.Path(home, "points")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.stage.inventory), "leasehold.series_upgrade." + playbook]
        env = {**self.stage.env, "HOME": home, "TMPDIR": home, "ANSIBLE_FORKS": "10", "ANSIBLE_NOCOLOR": "1",
               "ANSIBLE_CALLBACK_PLUGINS": CALLBACKS, "DEATH_LOG": str(log), "DEATH_AT": str(at)}
        # Into a file: what the dead one's workers still hold open must not keep anybody waiting.
        with open(os.path.join(home, "said"), "w+", encoding="utf-8") as said:
            ended = subprocess.run(command + self.words(playbook), env=env, cwd=self.stage.directory, stdin=subprocess.DEVNULL, stdout=said,
                                   stderr=said, start_new_session=True, check=False, timeout=PATIENCE)
            said.seek(0)
            return Ran(ended.returncode, said.read()), log.read_text(encoding="utf-8").splitlines()

    def forget(self):
        """The next cycle begins: nothing was run yet."""
        self.cycle += 1
        for machine in self.stage.machines:
            (self.stage.home(machine) / "ran").unlink(missing_ok=True)

    def end(self):
        """All that has to be the same, whoever died meanwhile."""
        pins = self.stage.ask("pins")
        markers = {machine: json.loads((self.stage.home(machine) / "state" / "marker.json").read_text(encoding="utf-8")) for machine in self.stage.machines}
        return {
            "series": {machine: self.stage.series(machine) for machine in self.stage.machines},
            "states": {machine: marker["state"] for machine, marker in markers.items()},
            "ran": {machine: (self.stage.home(machine) / "ran").read_text(encoding="utf-8").split() for machine in self.stage.machines},
            "leads": {name: (lease["holder"], lease["term"]) for name, lease in self.stage.leases().items()},
            "pins": pins["pins"], "tombstones": pins["tombstones"], "halts": pins["halts"],
        }


@pytest.fixture(name="found", scope="module")
def undisturbed():
    """A world, and of each playbook the points and the end of an undisturbed run."""
    with stage_of(APPLICATIONS) as stage:
        world = World(stage)
        world.forget()
        points, ends = {}, {}
        for playbook in ("upgrade_series", "rollback"):
            ran, points[playbook] = world.live(playbook)
            assert ran.code == 0, ran.said
            ends[playbook] = world.end()
        assert ends["upgrade_series"]["ran"] == {"m1": ["upgrade"], "m2": ["upgrade"]}
        assert ends["rollback"]["ran"] == {"m1": ["upgrade", "rollback"], "m2": ["upgrade", "rollback"]}
        assert ends["rollback"]["leads"] == ends["upgrade_series"]["leads"] == {"db": ("db/0", 1)} and not ends["rollback"]["pins"]
        yield world, points, ends


def chosen(count):
    """Numbers of points, the first is 1: all of them, or as many as are wanted, each in the middle of its share."""
    wanted = min(POINTS or count, count)
    return [1 + int(count * (index + 0.5) / wanted) for index in range(wanted)]


# Three points take 90 s on two quiet cores.
@pytest.mark.timeout(280 if POINTS == 3 else 0)
def test_whenever_the_controller_is_killed_another_one_comes_to_the_same_end(found):
    world, points, ends = found
    plan = {playbook: chosen(len(points[playbook])) for playbook in points}
    failures = []
    while any(plan.values()):
        world.forget()
        for playbook in ("upgrade_series", "rollback"):
            begun = time.monotonic()
            at = plan[playbook].pop(0) if plan[playbook] else 0
            died, passed = world.live(playbook, at) if at else (None, [])
            ran = world.finish(playbook)
            name = "%s %d of %d: %s" % (playbook, at, len(points[playbook]), passed[-1] if len(passed) == at > 0 else "undisturbed")
            end = world.end()
            other = {key: end[key] for key in end if end[key] != ends[playbook][key]}
            # Two machines go side by side, so a run may have a few points less than the one that was counted. It ends well then.
            lived = bool(at) and died.code != -9 and (died.code != 0 or len(passed) >= at)
            print("%s, %s, %.0f s" % (name, "lived on" if lived else other or "the same end", time.monotonic() - begun), flush=True)
            if ran.code or other or lived:
                failures.append((name, "lived on" if lived else "ended %d" % ran.code, other, ran.said))
    assert not failures, "\n\n".join("%s, %s: differs in %s\n%s" % failure for failure in failures)
