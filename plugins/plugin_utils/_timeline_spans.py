# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
From the events of a report to what is drawn: spans of time, and moments.

Private room of the collection, pure. Seconds count from the beginning of the execution. What is not known is a span of its own kind,
and never drawn as if the last known thing went on.
"""

from __future__ import annotations

import dataclasses
import typing as t

Facts = t.Mapping[str, t.Any]

# What a state of a watcher is drawn as. A phase may say it more exactly.
KINDS = {
    "ARMED": "preparing", "UPGRADING": "upgrading", "REBOOTING": "rebooting", "WATCHING": "watching", "COMMITTING": "watching", "HELD": "held",
    "ROLLBACK_REQUESTED": "back", "ROLLING_BACK": "back",
}
# Phases in which nothing is upgraded yet, whatever the state says.
BEFORE = {"fetch": "preparing", "drain": "draining"}
ENDS = {
    "COMMITTED": "committed", "ROLLED_BACK": "rolled back", "ABORTED": "gave up before anything was changed", "ROLLBACK_FAILED": "rollback failed",
    "INVALID": "record cannot be read",
}
WORDS = {
    "waiting": "waiting", "preparing": "preparing", "draining": "draining", "upgrading": "upgrading", "rebooting": "rebooting", "watching": "watching",
    "held": "held", "back": "rolling back", "unknown": "not known", "pinned": "pinned", "stopped": "pinned, halted", "led": "not pinned",
}


@dataclasses.dataclass
class Span:
    """KIND is a key of WORDS; LABEL what is written into it, NOTE what it was about."""

    kind: str
    begin: float
    end: float
    label: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Moment:
    """KIND: good, back or bad for an end; check, ill (a check that was not well), change (of a leader that was pinned) on
    the way."""

    kind: str
    at: float
    note: str


@dataclasses.dataclass
class Lane:
    """A row of the picture."""

    name: str
    spans: list[Span] = dataclasses.field(default_factory=list)
    moments: list[Moment] = dataclasses.field(default_factory=list)

    def turn_to(self, kind: str | None, at: float, label: str = "", note: str = "") -> None:
        """From AT on it is KIND; None: nothing to be drawn."""
        if self.spans and self.spans[-1].end > at:
            self.spans[-1].end = max(at, self.spans[-1].begin)
        if kind is not None:
            self.spans.append(Span(kind, at, float("inf"), label or WORDS[kind], note))

    @property
    def kind(self) -> str | None:
        """What it is now."""
        return self.spans[-1].kind if self.spans and self.spans[-1].end == float("inf") else None

    def close(self, at: float) -> Lane:
        """The picture ends at AT."""
        for span in self.spans:
            span.begin, span.end = min(span.begin, at), min(span.end, at)
        self.spans = [span for span in self.spans if span.end > span.begin]
        return self


def length(report: Facts) -> float:
    """Seconds the picture covers; never nothing."""
    return max([1.0, report.get("seconds") or 0.0] + [event["at"] for event in report.get("events", [])])


def machines(report: Facts) -> list[Lane]:
    """A lane for every machine, in the order in which they went."""
    by_host: dict[str, list[Facts]] = {host: [] for host in report["machines"]}
    for event in report.get("events", []):
        if event.get("machine") in by_host:
            by_host[event["machine"]].append(event)
    going = {host: next((event["at"] for event in events if event["event"] == "turn" and event["state"] == "running"), float("inf"))
             for host, events in by_host.items()}
    return [_machine(host, by_host[host], report["machines"][host]).close(length(report)) for host in sorted(by_host, key=lambda host: going[host])]


def applications(report: Facts) -> list[Lane]:
    """A lane for the leadership of every application."""
    return [_application(name, [event for event in report.get("events", []) if event.get("application") == name], found).close(length(report))
            for name, found in sorted(report.get("applications", {}).items())]


def frozen(report: Facts, host: str, lanes: t.Iterable[Lane]) -> list[tuple[float, float]]:
    """When any application with a unit on HOST was pinned, as (begin, end) that do not overlap. LANES: what `applications` gave."""
    mine = {name for name, units in report.get("units", {}).items() if host in units.values()}
    spans = sorted((span.begin, span.end) for lane in lanes if lane.name in mine for span in lane.spans if span.kind != "led")
    merged: list[tuple[float, float]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _machine(host: str, events: list[Facts], end: Facts) -> Lane:
    lane = Lane(host)
    if end["state"] == "skipped":
        return lane
    lane.turn_to("waiting", 0.0, note="for its turn")
    states = [event for event in events if event["event"] == "state"]
    for event in events:
        at, kind, msg = event["at"], event["event"], event.get("msg") or ""
        if kind == "turn":
            _turn(lane, event, at, msg)
        elif kind == "state":
            # An end that is followed by something was the end of an earlier upgrade: it is where this one sets out from.
            over = event["state"] in ENDS and event is states[-1]
            if over:
                lane.turn_to(None, at)
                shade = "good" if end["state"] == "done" else _shade(event["state"])
                lane.moments.append(Moment(shade, at, "%s%s" % (ENDS[event["state"]], ": " + msg if msg else "")))
            else:
                _to_state(lane, event, at, msg)
        elif kind == "phase" and event.get("percent") != 100:
            drawn = BEFORE.get(event.get("phase") or "") or KINDS.get(event.get("state", ""), lane.kind)
            label = WORDS[drawn] if drawn == "draining" else str(event.get("phase") or "")
            if drawn != "back" or lane.kind != "back":
                lane.turn_to(drawn, at, label, msg)
        elif kind == "check":
            lane.moments.append(Moment("check" if event.get("outcome", "ok") == "ok" else "ill", at, msg))
        elif kind == "lost":
            lane.turn_to("unknown", at, note=msg)
    return lane


def _to_state(lane: Lane, event: Facts, at: float, msg: str) -> None:
    kind = KINDS.get(event["state"], "preparing")
    if kind in ("preparing", "upgrading"):
        # Its phase says more; before the first one nothing was done to the machine.
        kind = {**BEFORE, None: "preparing"}.get(event.get("phase"), kind)
    if kind != lane.kind:
        lane.turn_to(kind, at, note=msg)


def _turn(lane: Lane, event: Facts, at: float, msg: str) -> None:
    state = event["state"]
    if state == "waiting":
        lane.turn_to("waiting", at, note=msg)
    elif state == "running":
        lane.turn_to("preparing", at, note="it is its turn; a watcher is put on it")
    elif state == "halted":
        lane.turn_to(None, at)
        lane.moments.append(Moment("halted", at, "does not go: %s" % msg))
    elif state == "failed" and lane.kind not in (None, "waiting", "held", "unknown"):
        # The conversation ended before the machine did: it may be going on by itself.
        lane.turn_to("unknown", at, note=msg)


def _application(name: str, events: list[Facts], found: Facts) -> Lane:
    lane, term = Lane(name), None
    for event in events:
        at, kind = event["at"], event["event"]
        leads = "★ %s leads, term %s" % (event.get("holder"), event.get("term")) if event.get("holder") else "nobody leads"
        if kind == "pinned":
            lane.turn_to("pinned", at, leads)
        elif kind == "unpinned":
            lane.turn_to(None, at)
        elif kind == "halted":
            # Halted does not thaw: the pin stays until its deadline.
            lane.turn_to("stopped" if lane.kind else None, at, leads, event.get("msg") or "")
            lane.moments.append(Moment("bad", at, event.get("msg") or "halted"))
        elif kind == "leader":
            if found.get("leadership_changes") and term is not None:
                lane.moments.append(Moment("change", at, leads))
            # A run without pins looks who leads, and that is all.
            lane.turn_to(lane.kind or "led", at, leads)
        term = event.get("term", term)
    return lane


def _shade(state: str) -> str:
    return {"COMMITTED": "good", "ROLLED_BACK": "back", "ABORTED": "back"}.get(state, "bad")
