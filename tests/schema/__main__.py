# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.schema --cases 100000: strange requests made from the OpenAPI document. Says what was found, or how many found nothing."""

from __future__ import annotations

import argparse
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "roles/lease_endpoint/files"))  # as pyproject.toml does for pytest


def main() -> None:
    from tests.schema import attack

    parser = argparse.ArgumentParser(prog="python -m tests.schema", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--directory", type=pathlib.Path, help="where the endpoint keeps its files meanwhile; memory (/dev/shm) is quickest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        endpoint = attack.start(pathlib.Path(directory))
        try:
            begun = time.monotonic()
            made, _said = attack.run(endpoint, options.cases, options.seed)
            print("%d requests in %.0f s, seed %d: no answer outside the document, none of the kind 5xx" % (made, time.monotonic() - begun, options.seed))
        finally:
            assert endpoint.stop() == 0


main()
