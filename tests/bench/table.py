# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures beside each other: the first row is ours, and the others say how many times as much they are."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Table:
    """``rows``: what, figure, unit. Rows of one unit are compared with the first row of that unit, which is ours."""

    title: str
    rows: list[tuple[str, float, str]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def add(self, what: str, figure: float, unit: str) -> None:
        self.rows.append((what, figure, unit))

    def text(self) -> str:
        first: dict[str, float] = {}
        lines = [self.title]
        width = max((len(what) for what, figure, unit in self.rows), default=0)
        for what, figure, unit in self.rows:
            ours = first.setdefault(unit, figure)
            ratio = "" if ours is figure or not ours else "   x %.2f" % (figure / ours)
            lines.append("  %s  %9.3f %s%s" % (what.ljust(width), figure, unit, ratio))
        return "\n".join(lines + ["  " + note for note in self.notes])
