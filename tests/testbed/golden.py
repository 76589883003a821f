"""Golden disks: a bookworm machine, built once by mmdebstrap from the box's own archive, copied for every machine.

A disk is named by the hash of everything that made it, is built beside its place and renamed into it, and is built by
one process at a time. Interrupted, a build (build.py) leaves a directory to sweep and nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

from . import kernel, sources
from .places import IMAGES
from .twoseries import archive as two_series_archive

BUILD = pathlib.Path(__file__).with_name("build.py")
CLUSTERED = pathlib.Path(__file__).with_name("clustered.py")
BASES = {"bookworm": "", "two-series": "bookworm", "patroni": "bookworm", "patroni-two-series": "patroni"}


def disk(image: str) -> pathlib.Path:
    """Return the golden disk of ``image`` (one of BASES), building it and what it is made from when it is not there yet."""
    found = sources.archives()
    recipe = [BUILD.read_bytes(), repr(found).encode()]
    if "two-series" in image:
        recipe.append(two_series_archive().name.encode())
    if "patroni" in image:
        recipe.append(CLUSTERED.read_bytes())
    key = hashlib.sha256(b"\0".join(recipe)).hexdigest()[:16]
    place = IMAGES / f"{image}-{key}.btrfs"
    IMAGES.mkdir(parents=True, exist_ok=True)
    with open(IMAGES / f".lock-{image}", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for left in [*IMAGES.glob(f".building-{image}.*"), *IMAGES.glob(f"{image}-{'[0-9a-f]' * 16}.btrfs")]:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            base = disk(BASES[image]) if BASES[image] else None
            print(f"testbed: building the {image} disk; this happens once", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=IMAGES, prefix=f".building-{image}.") as work:
                subprocess.run(
                    [sys.executable, "-m", "tests.testbed.build", image, work, str(base or "")],
                    check=True, preexec_fn=kernel.die_with_parent, stdin=subprocess.DEVNULL, stdout=sys.stderr,
                    cwd=BUILD.parents[2],
                )
                pathlib.Path(work, "disk").rename(place)
    return place
