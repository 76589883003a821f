# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the demo and shows its lines as they come; a command module would be mute until the end."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

DEMO = pathlib.Path(__file__).resolve().parents[2] / "playbooks" / "loopback" / "demo.py"
display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        with subprocess.Popen([sys.executable, str(DEMO)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as story:
            try:
                for line in story.stdout or ():
                    display.display(line.rstrip("\n"))
            finally:
                # Ended already, unless we are being interrupted; the demo clears its stage on TERM.
                story.terminate()
        if story.returncode:
            return {"failed": True, "changed": True, "msg": "The demo did not go as it is told; see the lines above.", "rc": story.returncode}
        return {"changed": True, "rc": 0}
