"""Leadership as an onlooker sees it: every lease, every second, through the endpoint's own door."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time

from .endpoint import Endpoint

PATIENCE = 30.0     # s until the onlooker has looked once; a question itself is given up after 5


class Sampler:
    """Samples while it is entered, once at least before and after what happens in it; ``samples`` are the endpoint's answers, with the time of
    each question (s since the epoch)."""

    def __init__(self, endpoint: Endpoint, name: str = "samples", every: float = 1.0) -> None:
        self.endpoint = endpoint
        self.every = every
        self.path = pathlib.Path(endpoint.home, f"{name}.jsonl")
        self._process = None

    def __enter__(self) -> "Sampler":
        with open(self.path, "w", encoding="utf-8") as out:
            self._process = self.endpoint.fleet.popen(self.endpoint.question("/v1/leases", str(self.every)), stdin=subprocess.DEVNULL, stdout=out)
        self._asked_since(0.0)
        return self

    def __exit__(self, failed, *_exc) -> None:
        try:
            if failed is None:
                self._asked_since(time.time())
        finally:
            self._process.terminate()
            self._process.wait()

    def _asked_since(self, moment: float) -> None:
        """Return when a question has been asked after ``moment``, and answered or not."""
        deadline = time.monotonic() + PATIENCE
        while not any(sample["time"] >= moment for sample in self.samples[-1:]):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the onlooker of {self.path} has not looked")
            time.sleep(0.05)

    @property
    def samples(self) -> list:
        """Return the samples so far; the last line may still be on its way."""
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]

    def history(self, application: str) -> list:
        """Return [(time, holder, term, pinned), ...] of an application; a sample that failed is no sample, see ``failures``."""
        found = []
        for sample in self.samples:
            for lease in sample.get("leases", ()):
                if lease["application"] == application:
                    found.append((sample["time"], lease["holder"], lease["term"], lease["pinned"]))
        return found

    @property
    def failures(self) -> list:
        """Return what the onlooker could not see, and why."""
        return [sample["error"] for sample in self.samples if "error" in sample]


def changes(history: list, pinned_only: bool = False) -> list:
    """Return the pairs of neighbouring samples between which holder or term changed; ``pinned_only``: while pinned in both."""
    pairs = zip(history, history[1:])
    return [(one, two) for one, two in pairs if one[1:3] != two[1:3] and (not pinned_only or (one[3] and two[3]))]
