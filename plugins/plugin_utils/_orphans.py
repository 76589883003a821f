# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Which pins may be taken off: those of a run that has ended, never those of one that is alive.

Private room of the collection, pure. Pins are the objects of the endpoint's list, each with its application.
"""

from __future__ import annotations

import typing as t

# The endpoint itself takes a session for alive this long after it was heard; runs renew three times within it.
SILENCE = 60.0

Pin = t.Mapping[str, t.Any]


def alive(pin: Pin, silence: float = SILENCE) -> bool:
    heard = pin.get("session_seen_in")
    return heard is not None and heard < silence


def own(pins: t.Iterable[Pin], pinner: str) -> list[Pin]:
    """The pins of one pinner, whether its run is alive or not."""
    return [pin for pin in pins if pin["pinner"] == pinner]


def orphans(pins: t.Iterable[Pin], silence: float = SILENCE) -> tuple[list[Pin], list[str]]:
    """
    Pins whose session has fallen silent, and a sentence for each pin that is left because nobody can tell.

    A pin without a session was set by hand and is kept by its deadline alone: silence says nothing about it.
    """
    found, left = [], []
    for pin in pins:
        if not pin.get("session"):
            left.append("%s stays pinned by %s, which was set by hand (%s)." % (pin["application"], pin["pinner"], pin.get("reason") or "no reason given"))
        elif not alive(pin, silence):
            found.append(pin)
    return found, left


def refusal(pins: t.Iterable[Pin], silence: float = SILENCE) -> str:
    """Why PINS of one run must stay; empty when they may go."""
    for pin in pins:
        if alive(pin, silence):
            return (
                "%s is pinned by %s, which is alive: its session %s was heard %d s ago. End that run first, or say series_upgrade_takeover=true "
                "when you know that it is dead. Nothing was changed."
            ) % (pin["application"], pin["pinner"], pin.get("session"), pin["session_seen_in"])
    return ""


def by_pinner(pins: t.Iterable[Pin]) -> dict[str, list[str]]:
    """Application names under the pinner that holds them: one call each."""
    found: dict[str, list[str]] = {}
    for pin in pins:
        found.setdefault(pin["pinner"], []).append(pin["application"])
    return found
