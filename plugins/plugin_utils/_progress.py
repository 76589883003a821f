# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
How far a run is, by application, read from the book of turns.

Private room of the collection, pure: the content of the book in, rows and lines out.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._applications import natural

# More machines than this in one cell are counted instead of named.
NAMED = 6
LOOSE = "(no application)"


@dataclasses.dataclass(frozen=True)
class Row:
    """One application: its leadership, and its machines by what they are at."""

    application: str
    leadership: str
    done: tuple[str, ...]
    at_work: tuple[str, ...]
    coming: tuple[str, ...]
    stuck: tuple[str, ...]

    def cells(self) -> tuple[str, str, str, str, str]:
        """For a table: application, leadership, done, at work, next."""
        coming = ", ".join(_some(self.coming))
        return self.application, self.leadership, _count(self.done), "\n".join(self.at_work), "\n".join(filter(None, (coming, *self.stuck)))

    def line(self) -> str:
        """For a log: one line that says the same."""
        parts = [self.leadership]
        for word, machines in (("done", self.done), ("at work", self.at_work), ("next", self.coming), ("", self.stuck)):
            if machines:
                parts.append("%s %s" % (word, ", ".join(_some(machines))) if word else "; ".join(_some(machines)))
        return "%s: %s" % (self.application, " | ".join(parts))


def rows(content: t.Mapping[str, t.Any], notes: t.Mapping[str, str] | None = None) -> list[Row]:
    """A row for each application of the run, and one for machines that carry none. NOTES: what machines are at."""
    machines, plan = content["machines"], content["plan"]
    order = {host: place for place, host in enumerate(plan["hosts"])}
    skipped = set(plan.get("skipped") or [])
    found, carried = [], set()
    for name, known in sorted(content["applications"].items()):
        hosts = set(plan["applications"][name]["units"].values())
        carried |= hosts
        through = all(machines.get(host, {"state": "done"})["state"] == "done" for host in hosts)
        found.append(_row(name, _leadership(known, content, through), hosts, machines, order, skipped, notes or {}))
    loose = set(machines) - carried
    if loose:
        found.append(_row(LOOSE, "", loose, machines, order, skipped, notes or {}))
    return found


def _row(
    name: str, leadership: str, hosts: set[str], machines: t.Mapping[str, t.Any], order: t.Mapping[str, int], skipped: set[str],
    notes: t.Mapping[str, str],
) -> Row:
    by_state: dict[str, list[str]] = {}
    for host in sorted(hosts, key=lambda host: (order.get(host, -1), natural(host))):
        entry = machines.get(host)
        if entry is not None:
            by_state.setdefault(entry["state"], []).append(host)
    at_work = tuple("%s %s" % (host, notes.get(host) or "has its turn") for host in by_state.get("running", []))
    stuck = tuple(
        "%s %s: %s" % (host, "failed" if state == "failed" else "halted", machines[host].get("why") or "no reason given")
        for state in ("failed", "halted") for host in by_state.get(state, [])
    )
    done = tuple(by_state.get("done", [])) + tuple(sorted(hosts & skipped, key=natural))
    coming = sorted(by_state.get("waiting", []) + by_state.get("pending", []), key=lambda host: order.get(host, 0))
    return Row(name, leadership, done, at_work, tuple(coming), stuck)


def _leadership(known: t.Mapping[str, t.Any], content: t.Mapping[str, t.Any], through: bool) -> str:
    """Whether the leadership is frozen, who leads, and what went wrong with that. THROUGH: nothing is left to do for this application."""
    holder = "%s leads" % known["holder"] if known.get("holder") else "no leader known"
    changes = known.get("leadership_changes") or 0
    before = "still pinned from before" if known.get("pinned_before") else "through" if through else "not pinned yet"
    word = {"idle": before, "pinned": "pinned", "unpinned": "unpinned", "halted": "HALTED"}[known["state"]]
    if known["state"] == "pinned" and known.get("whole_cluster"):
        word = "pinned (its whole cluster)"
    if not content["pin"] and known["state"] in ("idle", "unpinned"):
        word = "without pin"
    said = "%s, %s" % (word, holder)
    if known.get("term") is not None:
        said += " in term %s" % known["term"]
    if changes:
        said += ", %d leadership change%s" % (changes, "" if changes == 1 else "s")
    return said


def _some(names: t.Sequence[str]) -> list[str]:
    return list(names) if len(names) <= NAMED else [*names[:NAMED], "and %d more" % (len(names) - NAMED)]


def _count(names: t.Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else "%d machines" % len(names)
