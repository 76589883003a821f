# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the preflight of a whole fleet found, as one value for the file and as lines for the screen.

Private room of the collection, pure: what the machines answered in, plain values and text out.
"""

from __future__ import annotations

import textwrap
import typing as t

from ..module_utils._preflight.finding import INFO, INHIBITOR, SEVERITIES, WARNING
from ._applications import natural
from ._report import stamp

Facts = t.Mapping[str, t.Any]
# How a machine stands, in the operator's words.
READY, BLOCKED, DONE, RESUMES, UNKNOWN = "ready", "blocked", "on the target", "goes on", "not known"
TITLES = {INHIBITOR: "INHIBITORS, which forbid the upgrade", WARNING: "WARNINGS, to be read", INFO: "for your information"}


def of_fleet(target: str, run: str, answers: t.Mapping[str, Facts], now: float) -> dict[str, t.Any]:
    """
    ANSWERS: what the module preflight answered, by host; {} for one that was not reached. NOW: the wall clock in seconds.

    {target, run, finished, ready, machines: {host: {state, series, predicted, seconds, problem}}, counts, findings}. A machine that did not
    answer is not ready: nobody knows.
    """
    machines = {host: _machine(answer) for host, answer in sorted(answers.items(), key=lambda item: natural(item[0]))}
    findings = [dict(finding, machine=host) for host in machines for finding in answers[host].get("findings") or []]
    findings.sort(key=lambda finding: SEVERITIES.index(finding["severity"]))
    return {
        "target": target, "run": run, "finished": stamp(now),
        "ready": bool(machines) and all(found["state"] in (READY, DONE, RESUMES) for found in machines.values()),
        "machines": machines,
        "counts": {severity: sum(finding["severity"] == severity and not finding.get("accepted") for finding in findings) for severity in SEVERITIES},
        "accepted": sum(bool(finding.get("accepted")) for finding in findings),
        "findings": findings,
    }


def _machine(answer: Facts) -> dict[str, t.Any]:
    ids = {finding["id"] for finding in answer.get("findings") or []}
    problem = "" if answer.get("findings") is not None else str(answer.get("msg") or "it did not answer").strip()
    state = UNKNOWN if problem else BLOCKED if answer.get("problems") else RESUMES if "resumes" in ids else DONE if "on_target" in ids else READY
    return {"state": state, "series": answer.get("series"), "predicted": answer.get("predicted"), "seconds": answer.get("predict_seconds"), "problem": problem}


def folded(report: Facts) -> list[dict[str, t.Any]]:
    """The findings with those that say the same of several machines together: each with `machines` instead of `machine`."""
    together: dict[tuple[str, ...], dict[str, t.Any]] = {}
    for finding in report["findings"]:
        key = tuple(str(finding.get(name)) for name in ("severity", "id", "what", "remedy", "accepted"))
        together.setdefault(key, {**finding, "machines": []})["machines"].append(finding["machine"])
    return list(together.values())


def headline(report: Facts) -> str:
    """How the fleet stands, in one line."""
    counts = report["counts"]
    parts = ["%d machine%s" % (len(report["machines"]), "" if len(report["machines"]) == 1 else "s")]
    parts += ["%d %s%s" % (counts[severity], severity, "" if counts[severity] == 1 else "s") for severity in (INHIBITOR, WARNING) if counts[severity]]
    parts += ["%d accepted" % report["accepted"]] if report["accepted"] else []
    return "Preflight to %s: %s: %s" % (report["target"], ", ".join(parts), "ready" if report["ready"] else "NOT READY")


def lines(report: Facts, width: int = 120) -> list[tuple[str, str]]:
    """(severity or "", line) for the screen, WIDTH letters wide."""
    told: list[tuple[str, str]] = [("" if report["ready"] else INHIBITOR, headline(report))]
    for host, found in report["machines"].items():
        if found["state"] == UNKNOWN:
            told += _row(INHIBITOR, "not looked at", host, found["problem"], "", width)
    everybody = len(report["machines"])
    for severity in SEVERITIES:
        mine = [finding for finding in folded(report) if finding["severity"] == severity]
        if mine:
            told.append((severity, "  " + TITLES[severity]))
        for finding in mine:
            hosts = finding["machines"]
            names = "all %d" % everybody if len(hosts) == everybody > 2 else ", ".join(hosts)
            accepted = finding.get("accepted")
            what = finding["what"] if not accepted else "accepted (%s): %s" % (accepted.get("reason") or "no reason given", finding["what"])
            told += _row("" if accepted else severity, finding["id"], names, what, "" if accepted else finding["remedy"], width)
    return told


def _row(severity: str, name: str, hosts: str, what: str, remedy: str, width: int) -> list[tuple[str, str]]:
    left = "    %-20s %-12s " % (name, hosts)
    rows = textwrap.wrap(what, max(width - 38, 40)) + textwrap.wrap("> " + remedy if remedy else "", max(width - 38, 40), subsequent_indent="  ")
    first = [left + rows[0]] if len(left) <= 38 else [left.rstrip(), " " * 38 + rows[0]]
    return [(severity, line) for line in first + [" " * 38 + row for row in rows[1:]]]


def file_stem(run: str) -> str:
    """The name that the files of this preflight share. A run's name is the user's, so nothing in it may leave the directory."""
    return ("".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in run).lstrip(".") or "run") + "-preflight"
