# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Requests and markers that nobody would send or write, and whole lives disturbed at any step, against the watcher's rooms in this process.

    python -m tests.fuzz [--requests N] [--markers N] [--stories N] [--seed S]

The seed is printed first and tells the whole run; the first crash or wrong state ends it with exit status 1. A long run tells how far it is, and
what it has found until then when it is interrupted.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import typing as t

from tests.fuzz.markers import Markers
from tests.fuzz.talk import Talk
from tests.rig.oracle import WrongState
from tests.rig.story import DISTURBANCES, Story, tell

# What is done between two words about it; each slice begins anew, with a seed of its own.
SLICE = 500000
# Lines in one go; in between the watcher's life goes on.
BREATH = 8


def requests(count: int, seed: int, directory: pathlib.Path) -> collections.Counter[str]:
    """What count requests were answered with. Raises what goes wrong."""
    talk = Talk(directory, random.Random(seed))
    try:
        for _breath in range(-(-count // BREATH)):
            talk.live()
            talk.say(BREATH)
    finally:
        talk.close()
    return collections.Counter({**talk.answers, **talk.ends})


def markers(count: int, seed: int, directory: pathlib.Path) -> collections.Counter[str]:
    """What count markers were read as. Raises what goes wrong."""
    subject = Markers(directory, random.Random(seed))
    for _number in range(count):
        subject.try_one()
    return collections.Counter(subject.counts)


def stories(count: int, seed: int, directory: pathlib.Path) -> collections.Counter[str]:
    """How count disturbed lives have ended, each like its undisturbed one. Raises what goes wrong."""
    dice, ends = random.Random(seed), collections.Counter[str]()
    for number in range(count):
        story = Story.told_by(dice.randrange(10 ** 9))
        end, life = tell(directory / ("%d-a" % number), story)
        at, how = dice.randrange(1, life.disk.acts), dice.choice(DISTURBANCES)
        try:
            found, disturbed = tell(directory / ("%d-b" % number), story, at, how)
        except AssertionError as problem:
            raise WrongState("%r, %s at step %d: %s" % (story, how, at, problem)) from problem
        if found != end and not (disturbed.disturbed_early and found[0] == "ABORTED"):
            raise WrongState("%r, %s at step %d, has ended as %r and not as %r" % (story, how, at, found, end))
        ends[found[0]] += 1
        for name in ("a", "b"):
            shutil.rmtree(directory / ("%d-%s" % (number, name)))
    return ends


SUBJECTS: dict[str, t.Callable[[int, int, pathlib.Path], collections.Counter[str]]] = {
    "requests": requests, "markers": markers, "stories": stories,
}


def main(arguments: t.Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="No crash and no wrong state, whatever is sent or lies there.")
    parser.add_argument("--requests", type=int, default=1000000, metavar="N")
    parser.add_argument("--markers", type=int, default=100000, metavar="N")
    parser.add_argument("--stories", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run (default: another one each time)")
    options = parser.parse_args(arguments)
    seed = int(time.time()) if options.seed is None else options.seed
    print("seed %d" % seed, flush=True)
    os.fsync = lambda fd: None  # type: ignore[assignment]  # what is tried here is the reading, not the disk
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
    for name, run in SUBJECTS.items():
        count, began = getattr(options, name), time.monotonic()
        if not count:
            continue
        counts, done = collections.Counter[str](), 0
        try:
            while done < count:
                with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as directory:
                    counts += run(min(SLICE, count - done), seed + done, pathlib.Path(directory))
                done = min(done + SLICE, count)
                if done < count:
                    print("  %d of %d %s in %.0f s" % (done, count, name, time.monotonic() - began), flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        seconds = time.monotonic() - began
        print("%d %s in %.0f s (%.0f a second): %s" % (done, name, seconds, done / seconds, ", ".join(
            "%d %s" % (number, word) for word, number in counts.most_common())), flush=True)
        if done < count:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
