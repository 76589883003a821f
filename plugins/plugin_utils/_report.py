# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a person is told: how a run ended and what to do next, and how the fleet is right now.

Private room of the collection, pure: plain values in, a value for the file and text for the screen out.
"""

from __future__ import annotations

import datetime
import typing as t

from ..module_utils._postgres import collations
from ..module_utils._watcher import telling

Facts = t.Mapping[str, t.Any]

# What a machine came to, in the operator's words.
WORDS = {"done": "done", "failed": "FAILED", "halted": "did not go", "waiting": "did not go", "running": "UNKNOWN", "skipped": "skipped"}
BACK = "ROLLED_BACK"
# Nothing goes on and nobody is waited for.
AT_REST = ("COMMITTED", "ABORTED", BACK)


def of_run(plan: Facts, outcome: Facts, machines: Facts, now: float, chronicle: Facts | None = None, book: Facts | None = None) -> dict[str, t.Any]:
    """
    The report of one execution of a run.

    PLAN is the fact series_upgrade_plan; OUTCOME is what `turn: {state: close}` gave (empty when it could not be had); MACHINES maps
    hosts to what their watcher said last ({"status", "msg"} or {}); NOW is the wall clock in seconds; CHRONICLE is what `Chronicle.read` gave,
    BOOK the book of turns in the end; without them the report has no events and no units.
    """
    ends = {host: {"state": "skipped", "why": why} for host, why in plan.get("skipped", {}).items()}
    ends.update({host: {"state": "failed", "why": why} for host, why in plan.get("failed", {}).items()})
    ends.update({host: {"state": "running", "why": "nothing is known of its end"} for host in plan.get("hosts", [])})
    for host, end in outcome.get("machines", {}).items():
        if host not in plan.get("skipped", {}):
            ends[host] = {"state": end.get("state", "running"), "why": end.get("why") or ""}
    for host, end in ends.items():
        status = machines.get(host, {}).get("status") or {}
        end.update({key: status[key] for key in ("series", "upgrade_id", "report") if status.get(key)})
        if status.get("state"):
            end["watcher"] = status["state"]
            # The machine's own words come first; it was there.
            end["why"] = status.get("reason") or end["why"]
    applications = {name: dict(found) for name, found in outcome.get("applications", {}).items()}
    report: dict[str, t.Any] = {
        "run": plan["run"],
        "session": plan.get("session"),
        "purpose": plan.get("purpose", "upgrade"),
        "target": plan.get("target"),
        "plan": plan.get("hash"),
        "began": stamp(chronicle["began"]) if chronicle and chronicle["began"] else None,
        "finished": stamp(now),
        "applications": applications,
        "machines": ends,
        "leadership_changes": {name: found.get("leadership_changes") for name, found in applications.items()},
        "succeeded": all(end["state"] in ("done", "skipped") for end in ends.values()) and bool(outcome.get("applications") is not None),
    }
    # Without a pin nobody has promised that no leader changes.
    report["pin"] = bool((book or {}).get("pin", True))
    report["succeeded"] = report["succeeded"] and not (report["pin"] and any(report["leadership_changes"].values()))
    report["nothing_to_do"] = report["succeeded"] and not plan.get("hosts")
    report["next"] = next_steps(report)
    report["units"] = {name: dict(found["units"]) for name, found in (book or {}).get("plan", {}).get("applications", {}).items() if name in applications}
    report["seconds"], report["events"] = (chronicle["seconds"], chronicle["events"]) if chronicle else (None, [])
    return report


def of_refusals(plan: Facts, answers: t.Mapping[str, Facts]) -> dict[str, t.Any]:
    """The outcome of a run in which nobody went, since some machines refused beforehand. ANSWERS: what each said when it was asked, by host."""
    refused = [host for host in plan["hosts"] if answers.get(host, {}).get("failed")]
    others = "it is all of them or none, and %s cannot go" % ", ".join(refused)
    return {"applications": {}, "machines": {
        host: {"state": "failed", "why": str(answers[host].get("msg") or "")} if host in refused else {"state": "waiting", "why": others}
        for host in plan["hosts"]}}


def next_steps(report: Facts) -> list[str]:
    """What the operator should do, most urgent first; empty when nothing is left to do."""
    steps = []
    playbook = {"upgrade": "upgrade_series.yml", "rollback": "rollback.yml"}[report["purpose"]]
    for name, changes in report["leadership_changes"].items():
        if changes and report["pin"]:
            steps.append("%s changed its leader %d times while pinned; look at its logs before anything else." % (name, changes))
    for name, found in report["applications"].items():
        if found.get("halted"):
            steps.append("%s is halted (%s); when it is well, clear it: unpin.yml -e series_upgrade_clear_halts=%s" % (name, _why(found["halted"]), name))
    unfinished = [host for host, end in report["machines"].items() if end["state"] not in ("done", "skipped")]
    for host in unfinished:
        end = report["machines"][host]
        if report["purpose"] == "upgrade" and end.get("watcher") == BACK:
            steps.append("%s went back to %s by itself; find out why, then run %s again." % (host, end.get("series", "its old series"), playbook))
        elif end.get("watcher") == "HELD":
            steps.append("%s waits for a person; see docs/runbook.md, \"By hand\"." % host)
        elif end["state"] == "failed":
            steps.append("%s has to be looked at: %s" % (host, end["why"] or "no reason was given"))
    if unfinished and not any(playbook in step for step in steps):
        steps.append("Then run %s again; it goes on where this run ended." % playbook)
    return steps


def text_of_run(report: Facts, path: str | None = None, page: str | None = None, timeline: str | None = None) -> str:
    """The report for the screen, whole lines."""
    way = {"upgrade": "to", "rollback": "back from"}[report["purpose"]]
    lines = ["Run %s %s %s: %s" % (report["run"], way, report["target"], "finished" if report["succeeded"] else "NOT FINISHED")]
    for name, found in report["applications"].items():
        changes = found.get("leadership_changes")
        pinned = ", still pinned" if found.get("pinned") else ""
        halted = ", HALTED: %s" % _why(found["halted"]) if found.get("halted") else ""
        known = "leadership changes %s: %s" % ("while pinned" if report["pin"] else "(not pinned)", changes) if changes is not None else "was not pinned"
        lines.append("  %-12s %s%s%s" % (name, known, pinned, halted))
    for host, end in report["machines"].items():
        word = "rolled back" if end.get("watcher") == BACK and end["state"] == "failed" else WORDS.get(end["state"], end["state"])
        lines.append("  %-12s %-11s %-9s %s" % (host, word, end.get("series", ""), end["why"]))
        lines += ["  %-12s   %s" % ("", note) for note in notes(end.get("report") or {})]
    if report["next"]:
        lines.append("What to do next:")
        lines += ["  %d. %s" % (number, step) for number, step in enumerate(report["next"], 1)]
    if path:
        lines.append("Report: %s" % path)
    if timeline:
        lines.append("Timeline: %s" % timeline)
    if page:
        lines.append("Status page: %s/" % page.rstrip("/"))
    return "\n".join(line.rstrip() for line in lines)


def notes(told: Facts) -> list[str]:
    """What a machine tells of its upgrade that a person should do something about, in short; the whole of it is in the report's file."""
    said = []
    yours = [entry["file"] for entry in told.get("conffiles") or [] if entry["kept"] == "yours"]
    if yours:
        said.append("kept your version of %s; the new one lies beside" % _some(yours))
    off = [entry["uri"] for entry in told.get("sources") or [] if entry["action"] == "disabled"]
    if off:
        said.append("switched off: %s" % _some(off))
    spare = (told.get("spare_ssh") or {}).get("problem")
    if spare:
        said.append("went without a spare sshd: %s" % spare)
    left = ["%d %s" % (len(told[what]), what) for what in ("obsolete", "residual", "unneeded") if told.get(what)]
    if left:
        said.append("packages left over: %s" % ", ".join(left))
    said += ["PostgreSQL %s" % sentence for sentence in collations.sentences(told.get("postgresql") or [])]
    return said


def _some(names: t.Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" and %d more" % (len(names) - 3) if len(names) > 3 else "")


def text_of_fleet(
    leases: t.Mapping[str, Facts] | None, machines: Facts, now: float, everything: bool = False, unreadable: t.Mapping[str, str] | None = None,
) -> str:
    """
    How everything is now. LEASES by application as the endpoint gives them, None when it could not be asked; MACHINES maps hosts to {"status"} or
    {"msg"}: why it is not known. UNREADABLE: why the leadership of an application that lives elsewhere is not known. A machine at rest gets a
    line, one that is at work or not well also its checks and its past. EVERYTHING: all of them.
    """
    lines = ["Applications"]
    if leases is None:
        lines.append("  not known, for the lease endpoint could not be asked")
    for dummy, lease in sorted((leases or {}).items()):
        lines.append("  %-12s %-12s term %-4s %s" % (lease["application"], lease.get("holder") or "no leader", lease.get("term", 0), _holding(lease)))
        for pin in lease.get("pins", []):
            lines.append("  %-12s   pinned by %s until %s: %s" % ("", pin["pinner"], stamp(now + pin["until_in"]), pin.get("reason") or "no reason"))
        if lease.get("freeze") and not lease["freeze"].get("wanted"):
            lines.append("  %-12s   frozen still though nobody wants that: %s" % ("", lease["freeze"].get("error") or "it is being thawed"))
        for member in lease.get("members") or []:
            if not member.get("healthy"):
                lines.append("  %-12s   %s is not well: %s" % ("", member["unit"], member.get("msg") or "no reason told"))
        if lease.get("halted"):
            lines.append("  %-12s   HALTED since %s: %s" % ("", _since(lease["halted"]), _why(lease["halted"])))
    for name, why in sorted((unreadable or {}).items()):
        lines.append("  %-12s %-12s %s" % (name, "not known", why))
    if leases == {} and not unreadable:
        lines.append("  the lease endpoint knows none")
    lines.append("Machines")
    # What to look at is the same for all machines of which one thing is not known, and is said once.
    hints: dict[str, None] = {}
    for host, found in sorted(machines.items()):
        status = found.get("status")
        if status:
            lines.append("  %-12s %-12s %-9s %s" % (host, status["state"], status.get("series") or "", _how(status)))
            told = telling.health(status, bad_only=not everything)
            if everything or status["state"] not in AT_REST:
                told += telling.history(status, 20 if everything else 3, ago=True)
            lines += ["  %-12s   %s" % ("", line) for line in told]
        else:
            why = found.get("msg") or "it was not asked"
            why, dummy, hint = (why[len(host) + 2:] if why.startswith(host + ": ") else why).partition(". ")
            hints.update({hint: None} if hint else {})
            lines.append("  %-12s %-12s %-9s %s" % (host, "not known", "", why))
    lines += ["  " + hint for hint in hints]
    return "\n".join(line.rstrip() for line in lines)


def file_name(report: Facts) -> str:
    """RUN.json, and RUN-rollback.json for the way back. A run's name is the user's, so nothing in it may leave the directory."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in report["run"]).lstrip(".") or "run"
    return safe + ("" if report["purpose"] == "upgrade" else "-" + report["purpose"]) + ".json"


def stamp(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _how(status: Facts) -> str:
    """What a machine waits for, or why it is what it is."""
    now = status.get("now")
    if status["state"] in telling.DECIDING and now is not None:
        why = ", because: %s" % status["reason"] if status.get("reason") and status["state"] == "HELD" else ""
        return telling.waiting(dict(status), now) + why
    for_so_long = " (%s ago)" % telling.duration(now - status["since"]) if now is not None and status.get("since") is not None else ""
    return str(status.get("reason") or status.get("phase") or "") + for_so_long


def _holding(lease: Facts) -> str:
    pins = len(lease.get("pins", []))
    late = "has not renewed in time" if lease.get("provider", "native") == "native" else "is away or not well"
    overdue = ", its holder %s" % late if lease.get("overdue") else ""
    elsewhere = "" if lease.get("provider", "native") == "native" else ", by %s" % lease["provider"]
    return ("not pinned" if not pins else "pinned" if pins == 1 else "pinned %d times" % pins) + overdue + elsewhere


def _since(halted: t.Any) -> str:
    since = halted.get("since") if isinstance(halted, t.Mapping) else None
    return stamp(since) if isinstance(since, (int, float)) else str(since or "an unknown time")


def _why(halted: t.Any) -> str:
    return str(halted.get("reason") or "no reason") if isinstance(halted, t.Mapping) else str(halted)
