# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemathesis against a real endpoint: requests made from its OpenAPI document, right ones and wrong ones, and every answer held to it.

Left out: /v1/events, whose answer never ends.
"""

from __future__ import annotations

import math
import pathlib
import re
import subprocess
import sys
from typing import Optional

from tests.contract.endpoint import Endpoint

OPERATIONS = 13
# Not asked for: ignored_auth needs no checking of a second kind (tests/contract/test_rights.py), the stateful ones are about created resources.
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance",
          "negative_data_rejection", "positive_data_acceptance", "missing_required_header", "unsupported_method", "allow_header_conformance", "ignored_auth")


def start(directory: pathlib.Path) -> Endpoint:
    """An endpoint that refuses nobody for asking often, with a few leases, pins and a halt for the requests to meet."""
    endpoint = Endpoint(directory, "--limit-token", "off", "--limit-failures", "off")
    endpoint.start()
    for application in ("0", "00", "A", "db", "pinned", "halted"):
        endpoint.claim(application, "0", 300)
    endpoint.pin("halted", duration=5)
    endpoint.pass_time(6)
    endpoint.pin("pinned", duration=600000)
    return endpoint


def run(endpoint: Endpoint, cases: int, seed: int, phases: str = "examples,coverage,fuzzing", report: Optional[pathlib.Path] = None) -> tuple[int, str]:
    """At least so many requests, if no failure ends it. Returns how many there were and what schemathesis said; raises when it found something."""
    argv = [
        sys.executable, "-m", "schemathesis.cli", "run", endpoint.url + "/openapi.json", "--no-color",
        "--header", "Authorization: Bearer " + endpoint.tokens["admin"],
        "--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", str(math.ceil(cases / OPERATIONS)), "--seed", str(seed),
        "--exclude-path", "/v1/events", "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off", "--workers", "1",
    ]
    if report is not None:
        argv += ["--report", "ndjson", "--report-ndjson-path", str(report)]
    # It leaves notes of its own where it runs.
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=endpoint.directory)
    said = ran.stdout + ran.stderr
    made = re.search(r"Test cases:\s*\n?\s*([0-9,]+) generated", said) or re.search(r"([0-9,]+) generated", said)
    assert ran.returncode == 0, said[-20000:]
    assert made, said[-5000:]
    return int(made[1].replace(",", "")), said
