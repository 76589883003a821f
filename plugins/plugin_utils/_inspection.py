# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What must be true before a plan is made: each thing that is not is told in one sentence that ends with the next step.

Private room of the collection, pure.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ._applications import natural
from ._plan import MachineState

# The endpoint forgets a session that it has not heard for this long.
SESSION_TTL = 60.0
OVER = ("COMMITTED", "ABORTED", "ROLLED_BACK", "ROLLBACK_FAILED")
# An earlier execution died while the units of such a machine were away, or they are ill; nobody else of theirs may go before it is through.
BEGUN = ("UPGRADING", "REBOOTING", "ROLLBACK_REQUESTED", "ROLLING_BACK")
# While it watches, a machine may take itself back at any moment: nobody else of its applications is taken away before it is done.
BEGUN_UPGRADE = BEGUN + ("WATCHING", "COMMITTING")
ILL = ("HELD", "ROLLBACK_FAILED")
BACK = (None, "", "ABORTED", "ROLLED_BACK")
# Nothing has changed for the operator to put right; the same command again is the next step.
UNCHANGED = "Nothing was changed."


class Refusal(Exception):
    """The plan is not made. `kind` is one word to branch on, `msg` what to do next."""

    def __init__(self, kind: str, msg: str) -> None:
        super().__init__(msg)
        self.kind, self.msg = kind, msg


def target(given: t.Any) -> str:
    """The codename, checked. Surveys and `-e` like to make numbers of texts, and a number is no series."""
    if not isinstance(given, str) or isinstance(given, bool):
        raise Refusal("invalid", "series_upgrade_target is %s, which is no text; give a codename in quotes, like \"trixie\". %s" % (_shown(given), UNCHANGED))
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,30}", given):
        raise Refusal("invalid", "series_upgrade_target is %r, which is no codename; give one like trixie or noble. %s" % (str(given), UNCHANGED))
    return str(given)


def scope(names: t.Iterable[str], applications: t.Mapping[str, t.Any], hosts: t.Collection[str]) -> set[str]:
    """The machines that NAMES mean: machines, applications, or all."""
    chosen: set[str] = set()
    strangers = []
    for name in names:
        if name == "all":
            chosen.update(host for application in applications.values() for host in application.machines)
        elif name in applications:
            chosen.update(applications[name].machines)
        elif name in hosts:
            chosen.add(name)
        else:
            strangers.append(name)
    if strangers:
        raise Refusal("invalid", "%s %s neither a machine of the inventory nor an application (%s); correct the name. %s" % (
            ", ".join(strangers), "is" if len(strangers) == 1 else "are", ", ".join(sorted(applications)) or "there are none", UNCHANGED))
    return chosen


def machines(
    applications: t.Mapping[str, t.Any],
    hosts: t.Collection[str],
    chosen: t.Collection[str],
    results: t.Mapping[str, t.Any],
    purpose: str,
    run: str,
    goal: str,
    limited: bool,
) -> dict[str, MachineState]:
    """
    Every machine that matters, as the plan wants it. RESULTS holds what preflight found by host; LIMITED: the play was limited, so that
    a machine without a result was left out rather than lost.

    Raises Refusal when a chosen machine has a problem that its operator can put right first. One that does not answer is no such
    problem: it halts its applications in the plan, and the others go.
    """
    wanted = {host for application in applications.values() for host in application.machines if host in hosts} | {host for host in chosen if host in hosts}
    found: dict[str, MachineState] = {}
    for host in sorted(wanted, key=natural):
        result = results.get(host)
        if result is None or result.get("unreachable"):
            found[host] = MachineState(reachable=False, selected=host in chosen and not (limited and result is None))
            continue
        look = _to_roll_back if purpose == "rollback" else _to_upgrade
        found[host] = look(host, result, run, goal, host in chosen)
    problems = {host: state.problem for host, state in found.items() if state.problem and state.selected and not state.done}
    if problems and purpose == "upgrade":
        raise Refusal("preflight", " ".join(_together(problems) + [UNCHANGED]))
    return found


def points_of_no_return(
    applications: t.Mapping[str, t.Any], machines: t.Mapping[str, MachineState], goal: str, force: t.Collection[str],
) -> None:
    """
    Raises Refusal when a machine that is to go back carries an application whose rule says that nothing leads back. FORCE names those that
    go all the same.

    last_machine: once the whole application is on GOAL. A machine that cannot be seen counts as being there, for a way back that may
    destroy something is none; one seen elsewhere proves that the point is ahead.
    """
    said = []
    for application in applications.values():
        states = {host: machines[host] for host in application.machines if host in machines}
        if application.no_return.get("rule") != "last_machine" or application.name in force or not any(state.goes for state in states.values()):
            continue
        if any(state.series not in ("", goal) for state in states.values()):
            continue
        unseen = [host for host, state in states.items() if not state.series]
        reason = application.fill(application.no_return["reason"], sorted(application.units, key=natural)[0]).rstrip(".")
        said.append("%s is past its point of no return: %s; %s on %s%s. Know better? Then name it: -e '{\"series_upgrade_force\": [\"%s\"]}'." % (
            application.name, reason, "all its machines are" if not unseen else "all that can be seen of it is", goal,
            " (not seen: %s)" % ", ".join(unseen) if unseen else "", application.name))
    if said:
        raise Refusal("too_late", " ".join([*said, UNCHANGED]))


def told_by_watcher(result: t.Mapping[str, t.Any], answer: t.Mapping[str, t.Any] | None) -> t.Mapping[str, t.Any]:
    """RESULT of the preflight, or the watcher's ANSWER where the preflight broke: a half-upgraded machine may have no working Python."""
    status = (answer or {}).get("status")
    if status and result.get("failed") and not result.get("problems"):
        return {"series": status.get("series"), "marker": status}
    return result


def pinner(whoami: t.Mapping[str, t.Any], run: str, applications: t.Iterable[str]) -> str:
    """Our name on pins. Raises Refusal when the token may not pin APPLICATIONS."""
    applications = list(applications)
    if applications and "pin" not in whoami["scopes"]:
        raise Refusal("forbidden", "the token of %s may %s, but not pin; create one with: lease_endpoint token create NAME --scope read --scope pin. %s" % (
            whoami["identity"], " and ".join(whoami["scopes"]) or "nothing", UNCHANGED))
    allowed = whoami.get("applications")
    refused = [name for name in applications if allowed is not None and not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed)]
    if refused:
        raise Refusal("forbidden", "the token of %s may not pin %s (only %s); use one that may. %s" % (
            whoami["identity"], ", ".join(refused), ", ".join(allowed or []), UNCHANGED))
    hosted = whoami.get("units")
    strange = [name for name in applications if hosted and name not in hosted]
    if strange:
        raise Refusal("forbidden", "the token of %s is a machine's, which pins only what it hosts (%s) and not %s; use an operator's. %s" % (
            whoami["identity"], ", ".join(sorted(hosted)), ", ".join(strange), UNCHANGED))
    return "%s/%s" % (whoami["identity"], run)


def free(leases: t.Mapping[str, t.Any], applications: t.Iterable[str], mine: str, takeover: bool) -> None:
    """Raises Refusal when one of APPLICATIONS is halted, or pinned by anybody else, or by a living session of our own run."""
    said: dict[str, list[str]] = {}
    kind = "pinned"
    for name in applications:
        lease = leases.get(name)
        if lease is None:
            continue
        if lease.halted:
            kind = "halted"
            said.setdefault("halted: %s. Look at the machines, then clear it with the playbook unpin: -e series_upgrade_clear_halts=%s." % (
                str(lease.halted.get("reason") or "a pin lapsed").rstrip("."), name), []).append(name)
        for pin in lease.pins:
            heard = pin.session_seen_in
            if pin.pinner != mine:
                said.setdefault("pinned by %s (%s); wait for that run, or lift its pin with the playbook unpin." % (
                    pin.pinner, pin.reason or "no reason given"), []).append(name)
            elif heard is not None and heard < SESSION_TTL and not takeover:
                said.setdefault("pinned by this very run, %s, in another session, %s, heard %d seconds ago; if that one is dead, wait until it "
                                "was silent for %d seconds or say series_upgrade_takeover=true." % (mine, pin.session, heard, SESSION_TTL), []).append(name)
    if said:
        sentences = ("%s %s %s" % (" and ".join(names), "is" if len(names) == 1 else "are", rest) for rest, names in said.items())
        raise Refusal(kind, "%s %s" % (" ".join(sentences), UNCHANGED))


def leaders(leases: t.Mapping[str, t.Any]) -> dict[str, str | None]:
    """Who leads each application. A holder that has let its lease pass leads no more, unless a pin keeps the lease for it."""
    return {name: None if lease.overdue and not lease.pins else lease.holder for name, lease in leases.items()}


def next_step(problem: t.Any) -> str:
    """A refusal of the endpoint, with what to do about it where its own sentence does not say."""
    hint = {
        "forbidden": "Check endpoint_token (LEASE_ENDPOINT_TOKEN); tokens are made with: lease_endpoint token create.",
        "unreachable": "Check with: lease_endpoint status.",
    }.get(problem.kind)
    said = str(problem.msg).rstrip(".")
    return " ".join(part for part in (said if said.endswith("?") else said + ".", hint, UNCHANGED) if part)


def why_skipped(machine: MachineState, purpose: str, goal: str) -> str:
    """Why a machine that is done need not go."""
    if purpose == "rollback":
        return "has nothing to roll back%s" % (", it is on %s" % machine.series if machine.series else "")
    return "is already on %s" % goal


def summary(plan: t.Any, skipped: t.Mapping[str, str], purpose: str, goal: str) -> str:
    """The plan in one line."""
    parts = []
    if plan.hosts:
        parts.append("%s %s: %s" % (purpose, "to " + goal if purpose == "upgrade" else "from " + goal, ", ".join(plan.hosts)))
    parts += ["%s %s, skipped" % item for item in skipped.items()]
    parts += ["%s" % why for why in plan.blocked.values()]
    return "; ".join(parts) or "no machine is concerned"


def _to_upgrade(host: str, result: t.Mapping[str, t.Any], run: str, goal: str, selected: bool) -> MachineState:
    marker = result.get("marker") or {}
    state, series = marker.get("state"), str(result.get("series") or "")
    alive = bool(state) and state not in OVER
    problem = ""
    if result.get("failed") and not result.get("problems"):
        problem = "%s could not be examined: %s" % (host, result.get("msg") or "the preflight failed")
    elif state == "ROLLBACK_FAILED":
        problem = "%s has a rollback that failed (%s); put it right by hand first" % (host, marker.get("reason") or "no reason recorded")
    elif state == "INVALID" or not (alive or series == goal):
        problem = _sentence(host, result.get("problems"))
    elif alive and marker.get("run") != run:
        problem = "%s is %s in the run %s; commit it or roll it back first, or go on with series_upgrade_run=%s" % (
            host, state, marker.get("run"), marker.get("run"))
    return MachineState(done=not alive and not problem and series == goal, series=series, problem=problem, selected=selected,
                        healthy=state not in ILL, under_way=state in BEGUN_UPGRADE)


def _to_roll_back(host: str, result: t.Mapping[str, t.Any], run: str, goal: str, selected: bool) -> MachineState:
    marker = result.get("marker") or {}
    state, series = marker.get("state"), str(result.get("series") or "")
    problem = ""
    if state == "INVALID" or (result.get("failed") and not result.get("problems")):
        problem = _sentence(host, result.get("problems")) or "%s could not be examined: %s" % (host, result.get("msg") or "the preflight failed")
    elif state == "ROLLBACK_FAILED":
        problem = "%s has a rollback that failed (%s); put it right by hand" % (host, marker.get("reason") or "no reason recorded")
    return MachineState(done=not problem and state in BACK, series=series, problem=problem, selected=selected,
                        healthy=state not in ILL, under_way=state in BEGUN)


def _sentence(host: str, problems: t.Any) -> str:
    said = ". ".join(str(problem).strip().rstrip(".") for problem in problems or [])
    return said if not said or said.startswith(host + " ") else "%s: %s" % (host, said)


def _together(problems: t.Mapping[str, str]) -> list[str]:
    """What the machines say, each thing once, after the names of all that say it: a fleet with one mistake has one sentence."""
    hosts: dict[str, list[str]] = {}
    for host, problem in problems.items():
        said = problem[len(host) + 2:] if problem.startswith(host + ": ") else ""
        hosts.setdefault(said or problem, []).extend([host] if said else [])
    return ["%s%s." % (", ".join(names) + ": " if names else "", said.rstrip(".")) for said, names in hosts.items()]


def _shown(value: t.Any) -> str:
    for kind, word in ((bool, "a truth value"), (float, "a number"), (int, "a number"), (list, "a list"), (dict, "a mapping")):
        if isinstance(value, kind):
            return "%s, %s" % (value, word)
    return "empty" if value is None else str(type(value).__name__)
