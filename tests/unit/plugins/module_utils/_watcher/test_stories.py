# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole lives, disturbed at any durable step: the end is the one of the undisturbed life, whatever died, tore, filled or stepped."""

from __future__ import annotations

import pathlib
import random
import shutil
import tempfile

import pytest
from tests.rig import story as stories
from tests.rig.story import DISTURBANCES, ENDINGS, Story, tell

# Every story with every disturbance at this many of its steps, at others with each seed.
POINTS = 2


@pytest.fixture
def place():
    memory = pathlib.Path("/dev/shm")
    made = pathlib.Path(tempfile.mkdtemp(prefix="story-", dir=memory if memory.is_dir() else None))
    yield lambda: pathlib.Path(tempfile.mkdtemp(dir=made))
    shutil.rmtree(made)


@pytest.mark.parametrize("seed", range(2 * len(ENDINGS)))
def test_story_ends_the_same_whatever_disturbs_it_wherever(place, seed):
    """S1, S3, T2, T3, C7, C8, L2"""
    story = Story.told_by(seed)
    end, life = tell(place(), story)
    dice = random.Random(seed)
    for how in DISTURBANCES:
        for at in dice.sample(range(1, life.disk.acts), POINTS):
            found, disturbed = tell(place(), story, at, how)
            if disturbed.disturbed_early:
                assert found[0] == "ABORTED", (how, at)
            else:
                assert found == end, (how, at)


def test_stories_come_to_every_end_and_use_every_verb():
    told = [Story.told_by(seed) for seed in range(2 * len(ENDINGS))]
    assert {story.ending for story in told} == set(ENDINGS)
    assert {wish.do for story in told for wish in story.wishes} == {
        "drain", "upgrade", "extend", "expect_disruption", "hold", "resume", "commit", "rollback", "clean"}
    assert {story.reboot for story in told} == {True, False}


@pytest.mark.parametrize("how", ["killed before", "killed after", "torn"])
def test_death_at_any_step_of_a_rollback_leads_to_its_end(place, how):
    """S3, L2"""
    story = Story(False, "rollback", (stories.Wish(("ARMED",), "upgrade"), stories.Wish(("WATCHING",), "rollback")))
    end, life = tell(place(), story)
    assert end[0] == "ROLLED_BACK"
    for at in range(1, life.disk.acts, 3 if how == "killed after" else 7):
        assert tell(place(), story, at, how)[0] == end, at
