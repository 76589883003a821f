# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what many clients were told can have happened one after another, while everything under them is killed and cut off.

`python -m tests.linear --help` runs long histories; a short one is part of the tests (tests/integration/test_linear.py).
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "roles/lease_endpoint/files"))
