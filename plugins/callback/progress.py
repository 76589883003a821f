# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells by application how far a run is."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: aggregate
short_description: How far a series upgrade is, by application
version_added: 0.1.0
author:
  - the leasehold.series_upgrade authors (@leasehold)
description:
  - Tells by application whether its leadership is pinned and who leads it, which machines are done, what is being done to which machine, and who
    comes next.
  - Prints a line for each application that has changed whenever a turn is taken or given back.
    On a terminal it keeps a table up to date below the output instead.
  - Stands beside whatever callback writes the output, and so also works in AWX, where it always prints lines.
requirements:
  - enabled by C(callbacks_enabled = leasehold.series_upgrade.progress) in ansible.cfg, or E(ANSIBLE_CALLBACKS_ENABLED)
  - the Python library rich, for the table on a terminal
options:
  display:
    description:
      - V(live) keeps a table up to date, V(lines) prints whole lines, V(none) is silent.
      - V(auto) is V(live) on a terminal, and V(lines) in AWX, in files and where rich is missing.
    type: str
    choices: [auto, live, lines, none]
    default: auto
    env:
      - name: SERIES_UPGRADE_PROGRESS
    ini:
      - section: callback_series_upgrade_progress
        key: display
"""

import atexit
import os
import sys
import threading
import typing as t

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

from ..plugin_utils._progress import Row, rows
from ..plugin_utils._turn_file import NoBook, TurnFile

try:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
except ImportError as problem:
    HAS_RICH: ImportError | None = problem
else:
    HAS_RICH = None

COLLECTION = "leasehold.series_upgrade."
# Often enough to look alive, seldom enough to cost nothing.
REDRAW = 0.5


class CallbackModule(CallbackBase):
    """Listens for the results of upgrade_plan and turn; what they mean is in the book of turns."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = COLLECTION + "progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._book: TurnFile | None = None
        self._said: dict[str, str] = {}
        self._table: LiveTable | None = None

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._hear(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._hear(result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        if self._table is not None:
            self._table.stop()
            self._table = None
            self._tell()

    def _hear(self, result: t.Any) -> None:
        task, told = _parts(result)
        action = str(getattr(task, "resolved_action", None) or getattr(task, "action", ""))
        if action == COLLECTION + "upgrade_plan":
            facts = (told.get("ansible_facts") or {}).get("series_upgrade_plan") or {}
            if facts.get("turn_file"):
                self._open(TurnFile(facts["turn_file"]), facts.get("hosts") or [])
        elif action == COLLECTION + "turn" and self._table is None:
            self._tell()

    def _open(self, book: TurnFile, hosts: list[str]) -> None:
        self._book, self._said = book, {}
        how = str(self.get_option("display"))
        if how == "auto":
            how = "lines" if HAS_RICH or not _on_terminal() else "live"
        if how == "live" and hosts and not HAS_RICH:
            if self._table is not None:
                self._table.stop()
            self._table = LiveTable(book, self._display)
            self._table.start()
        elif how == "none":
            self._book = None

    def _tell(self) -> None:
        """A line for each application of which there is something new."""
        if self._book is None:
            return
        try:
            found = rows(self._book.read(), self._book.notes())
        except NoBook:
            return
        for row in found:
            line = row.line()
            if self._said.get(row.application) != line:
                self._said[row.application] = line
                self._display.display("progress: " + line, color=C.COLOR_HIGHLIGHT)


class LiveTable:
    """A table below the output, drawn anew whenever the book has changed."""

    def __init__(self, book: TurnFile, display: t.Any) -> None:
        self._book, self._display = book, display
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="series-upgrade-progress", daemon=True)
        # No thread of rich's own: ours draws under Ansible's lock, so that no worker process is forked in the middle of a drawing.
        self._live = Live(console=Console(file=sys.stdout, no_color=C.ANSIBLE_NOCOLOR or None), auto_refresh=False, transient=True)

    def start(self) -> None:
        with self._display._lock:
            self._live.start()
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Takes the table away and gives the terminal back."""
        if self._over.is_set():
            return
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(2)
        with self._display._lock:
            self._live.stop()
        atexit.unregister(self.stop)

    def _draw(self) -> None:
        drawn: list[Row] = []
        while not self._over.wait(REDRAW):
            try:
                found = rows(self._book.read(), self._book.notes())
            except NoBook:
                continue
            if found == drawn:
                continue
            drawn, table = found, table_of(found)
            with self._display._lock:
                if not self._over.is_set():
                    self._live.update(table, refresh=True)


def table_of(found: t.Iterable[Row]) -> t.Any:
    """The rows as a table for a terminal of any width."""
    table = Table(expand=True)
    for title in ("application", "leadership", "done", "at work", "next"):
        table.add_column(title, overflow="fold")
    for row in found:
        table.add_row(*row.cells())
    return table


def _on_terminal() -> bool:
    """Whether what is written can be drawn over. AWX has a terminal, but keeps every line."""
    if os.environ.get("ANSIBLE_STDOUT_CALLBACK") == "awx_display" or os.environ.get("TERM") in (None, "", "dumb"):
        return False
    return sys.stdout.isatty()


def _parts(result: t.Any) -> tuple[t.Any, t.Mapping[str, t.Any]]:
    """Task and result, under the names of ansible-core 2.19 and of those before."""
    task = getattr(result, "task", None) or getattr(result, "_task", None)
    told = getattr(result, "result", None) or getattr(result, "_result", None) or {}
    return task, told
