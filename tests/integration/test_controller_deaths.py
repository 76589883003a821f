# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
kill -9 of the controller at the points of a playbook, and another controller that knows nothing of the first one finishes.

The points are found by an undisturbed run. Three of each playbook are tried here, one before anything has happened and the others evenly chosen
from where machines have their turns; `make deaths` tries all of them, on two stages side by side.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import processes_of, until
from tests.integration.on_stage import PATIENCE, Ran, run, stage_of, variables

# How many points of each playbook are tried, 0 is all of them; or the numbers themselves: "upgrade_series=22,rollback=7".
WANTED = os.environ.get("LEASEHOLD_DEATHS", "3")
# As many stages, side by side, share the points.
LANES = int(os.environ.get("LEASEHOLD_DEATHS_LANES", "1"))
PLAYBOOKS = ("upgrade_series", "rollback")
# Programs that are started to outlive whoever starts them, as a service does.
LASTING = ("watcher.pyz", "unit.py", "hold.py", "sleep 1000000")
# What comes before it only looks, so one death there stands for all where only a few are tried.
TURN = "turn and pin"
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
        """A controller that dies at point AT (0: lives on). Returns how it ended, the points it has passed, and its home, by which its workers are known."""
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
            return Ran(ended.returncode, said.read()), log.read_text(encoding="utf-8").splitlines(), home

    def workers_left(self, home):
        """What still works for the dead controller with this home, after some time to find out that it is dead. Watchers and units are nobody's workers."""
        def working():
            found = []
            for pid in processes_of(str(self.stage.directory)):
                with contextlib.suppress(OSError):
                    of_it = b"\0HOME=%s\0" % home.encode() in pathlib.Path("/proc/%d/environ" % pid).read_bytes()
                    line = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes().replace(b"\0", b" ").decode()
                    found += [line] if of_it and not any(word in line for word in LASTING) else []
            return found

        with contextlib.suppress(TimeoutError):
            until(lambda: not working(), "nobody works for the dead one", 20)
        return working()

    def forget(self):
        """The next cycle begins: nothing was run yet."""
        self.cycle += 1
        for machine in self.stage.machines:
            (self.stage.home(machine) / "ran").unlink(missing_ok=True)

    def ran(self, machine):
        path = self.stage.home(machine) / "ran"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def end(self):
        """All that has to be the same, whoever died meanwhile."""
        pins = self.stage.ask("pins")
        markers = {machine: json.loads((self.stage.home(machine) / "state" / "marker.json").read_text(encoding="utf-8")) for machine in self.stage.machines}
        return {
            "series": {machine: self.stage.series(machine) for machine in self.stage.machines},
            "states": {machine: marker["state"] for machine, marker in markers.items()},
            "ran": {machine: self.ran(machine) for machine in self.stage.machines},
            "leads": {name: (lease["holder"], lease["term"]) for name, lease in self.stage.leases().items()},
            "pins": pins["pins"], "tombstones": pins["tombstones"], "halts": pins["halts"],
        }

    def undisturbed(self):
        """Of each playbook the points and the end, when nobody dies."""
        self.forget()
        points, ends = {}, {}
        for playbook in PLAYBOOKS:
            ran, points[playbook], _home = self.live(playbook)
            assert ran.code == 0, ran.said
            ends[playbook] = self.end()
        assert ends["upgrade_series"]["ran"] == {"m1": ["upgrade"], "m2": ["upgrade"]}
        assert ends["rollback"]["ran"] == {"m1": ["upgrade", "rollback"], "m2": ["upgrade", "rollback"]}
        assert ends["rollback"]["leads"] == ends["upgrade_series"]["leads"] == {"db": ("db/0", 1)} and not ends["rollback"]["pins"]
        return points, ends

    def there_and_back(self, plan, points, ends):
        """One cycle: of each playbook the next point of its plan. Returns what differed, as text."""
        self.forget()
        for playbook in PLAYBOOKS:
            begun = time.monotonic()
            at = plan[playbook].pop(0) if plan[playbook] else 0
            died, passed, home = self.live(playbook, at) if at else (None, [], "")
            ran = self.finish(playbook)
            left = self.workers_left(home) if at else []
            name = "%s %d of %d: %s" % (playbook, at, len(points[playbook]), passed[-1] if len(passed) == at > 0 else "undisturbed")
            end = self.end()
            other = {key: end[key] for key in end if end[key] != ends[playbook][key]}
            # Two machines go side by side, so a run may have a few points less than the one that was counted. It ends well then.
            lived = bool(at) and died.code != -9 and (died.code != 0 or len(passed) >= at)
            wrong = [("lived on", lived), ("%s still works for the dead one" % left, left), ("ended %d" % ran.code, ran.code), ("differs in %s" % other, other)]
            told = next((what for what, seen in wrong if seen), "the same end")
            print("%s, %s, %.0f s" % (name, told, time.monotonic() - begun), flush=True)
            if told != "the same end":
                said = "\n".join([name, told, str(other), died.said if died else "", "--- and the other one:", ran.said])
                print(said, flush=True)
                return said
        return ""


def chosen(points, wanted):
    """Numbers of points, the first is 1: all of them; or the wanted count, one from before the turns, the others each in the middle of its share."""
    count = len(points)
    if not wanted or wanted >= count:
        return list(range(1, count + 1))
    turns = [number for number, point in enumerate(points) if TURN in point][0]
    rest = wanted - 1
    return [turns // 2 + 1] + [turns + 1 + int((count - turns) * (index + 0.5) / rest) for index in range(rest)]


def planned(points, lane):
    """Playbook -> the numbers of the points that this lane tries."""
    if "=" in WANTED:
        named = [word.split("=") for word in WANTED.split(",")]
        found = {playbook: [int(number) for name, number in named if name == playbook] for playbook in PLAYBOOKS}
    else:
        found = {playbook: chosen(points[playbook], int(WANTED)) for playbook in PLAYBOOKS}
    return {playbook: numbers[lane::LANES] for playbook, numbers in found.items()}


# Three points of each take a minute on two quiet cores.
@pytest.mark.timeout(280 if WANTED == "3" else 0)
def test_whenever_the_controller_is_killed_another_one_comes_to_the_same_end():
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        differences = [difference for found in pool.map(differing, range(LANES)) for difference in found]
    assert not differences, "%d differ:\n%s" % (len(differences), "\n\n".join(differences))


def differing(lane):
    """What differed at the points of this lane, as text."""
    plan, differences = None, []
    while plan is None or any(plan.values()):
        # After a difference nothing can be said of what follows on that stage.
        with stage_of(APPLICATIONS) as stage:
            world = World(stage)
            points, ends = world.undisturbed()
            plan = planned(points, lane) if plan is None else plan
            difference = ""
            while any(plan.values()) and not difference:
                difference = world.there_and_back(plan, points, ends)
        differences += [difference] if difference else []
    return differences
