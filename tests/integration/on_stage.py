# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests run the collection's playbooks on the stage of the demo, and watch who leads meanwhile."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import typing as t

from ansible_collections.leasehold.series_upgrade.playbooks.loopback.stage import Stage, processes_of

# As fast as (allowed_misses + 1) x interval <= grace lets it be.
PACE = {"series_upgrade_grace": 1, "series_upgrade_interval": 0.4, "series_upgrade_allowed_misses": 1}
# Three times what a run takes on two busy cores; a hang is noticed and told with all that was said.
PATIENCE = 150


@contextlib.contextmanager
def stage_of(applications: t.Mapping[str, t.Any], **more: t.Any) -> t.Iterator[Stage]:
    """A stage in a short directory of its own, gone afterwards; fails when a process of it is left."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lease-test-", dir="/tmp"))
    try:
        with Stage(directory, applications, variables=PACE, **more) as stage:
            yield stage
        assert processes_of(str(directory)) == []
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Ran(t.NamedTuple):
    """How a playbook ended: exit code and everything it said."""

    code: int
    said: str


def start(stage: Stage, playbook: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(stage.inventory), "leasehold.series_upgrade." + playbook, *arguments]
    return subprocess.Popen(
        command,
        env={**stage.env, "ANSIBLE_FORKS": "10", "ANSIBLE_NOCOLOR": "1", **env},
        cwd=stage.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str], patience: float = PATIENCE) -> Ran:
    try:
        said = process.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("the playbook did not end:\n" + process.communicate()[0]) from None
    return Ran(process.returncode, said)


def run(stage: Stage, playbook: str, *arguments: str, **env: str) -> Ran:
    return end(start(stage, playbook, *arguments, **env))


def variables(**values: t.Any) -> list[str]:
    """Extra variables for a playbook, typed as they are."""
    return ["-e", json.dumps(values)]


class Leadership:
    """Who leads, in which term, and whether that is pinned, sampled while the block runs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.seen: list[dict[str, tuple[str | None, int, bool]]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._ended.wait(0.2):
            with contextlib.suppress(OSError):
                leases = self.stage.leases().values()
                self.seen.append({lease["application"]: (lease["holder"], lease["term"], lease["pinned"]) for lease in leases})

    def __enter__(self) -> Leadership:
        self._thread.start()
        return self

    def __exit__(self, *dummy: object) -> None:
        self._ended.set()
        self._thread.join()

    def while_pinned(self, application: str) -> set[tuple[str | None, int]]:
        """The different (holder, term) seen while the application was pinned."""
        return {sample[application][:2] for sample in self.seen if sample.get(application, (None, 0, False))[2]}
