# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Where turns and leases meet: a machine's first turn pins its applications, its last one lets them go.

Private room of the collection. The book is locked while the endpoint is asked, so that of two machines of one application only one pins.
"""

from __future__ import annotations

import typing as t

from ..module_utils._lease.lease import LeaseError
from ._heartbeat import clock, pin, renew, trouble, watch
from ._plan import WAITING, Decision
from ._run_book import PINNED, STOPPED, UNPINNED, RunBook
from ._turn_file import TurnFile

Client = t.Callable[[], t.Any]


def take(book: TurnFile, host: str, client: Client, check: bool = False) -> tuple[Decision, bool, list[str]]:
    """
    Asks for HOST's turn. Answers the decision, whether anything was pinned or moved, and what there is to tell.

    Go is answered only when the applications of HOST are pinned by this run, were read back, and are led as the plan supposes.
    Raises LeaseError when the endpoint cannot be asked; HOST may ask again.
    """
    words: list[str] = []
    changed = False
    seen = RunBook(book.read())
    decision = seen.decide(host)
    if decision.kind == "wait" and seen.turns.machines[host] == {"state": WAITING, "why": decision.why}:
        return decision, False, []  # nothing new; of many who wait, nobody has to wait for the lock
    with book.edit() as content:
        run = RunBook(content)
        while True:
            decision = run.decide(host)
            if decision.kind != "go" or check or not run.of(host):
                return run.begin(host), changed, words
            if run.state(host) == "running":
                return decision, changed, words
            if content["blind"]:
                return run.begin(host), changed, words
            fresh = [name for name in run.of(host) if run.applications[name]["term"] is None]
            changed = _freeze(run, host, client(), words) or changed
            if any(run.applications[name]["state"] == STOPPED for name in run.of(host)):
                continue
            # Only once frozen can a leader be relied upon, so this is the place to find that the plan was made for another one.
            moved = run.led_elsewhere(host)
            for name in moved:
                words.append("%s is led by %s and not by %s as planned; its order is planned anew" % (
                    name, run.applications[name]["holder"], run.plan.leaders.get(name)))
                if not run.plan_anew(name):
                    break
            if moved:
                continue
            for name in fresh:
                known = run.applications[name]
                words.append("%s: %s, %s leads in term %s" % (name, frozen(known) if content["pin"] else "not pinned", known["holder"], known["term"]))
            if not _hand_over(run, host, client(), words):
                continue
            on_its_way = _on_its_way(run, host, client())
            if on_its_way:
                run.wait(host, on_its_way)
                return Decision("wait", on_its_way), changed, words
            content["renewed_at"] = content["heard_at"] = clock()
            return run.begin(host), changed, words


def let_go(
    book: TurnFile, applications: t.Iterable[str], client: Client, check: bool = False, say: t.Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, int], list[str]]:
    """
    Unpins those of APPLICATIONS of which every machine is through. Answers the number of leadership changes of each, and the problems.

    A failed unpin is a problem, not an exception: the pin stays, it ends by its deadline at the latest, and `close` tries again.
    """
    content = book.read()
    run, problems, counts = RunBook(content), [], {}
    names = [
        name for name in run.through(applications)
        if run.applications[name]["state"] == PINNED or run.applications[name].get("pinned_before")
        or (not content["pin"] and run.applications[name]["state"] != UNPINNED and run.applications[name]["term"] is not None)
    ]
    if not names or check:
        return {}, []
    try:
        leases = client().leases(names)
        gone = [name for name in names if name not in leases or leases[name].pin_of(content["pinner"]) is None]
        outcomes = client().unpin([name for name in names if name not in gone], run=content["run"], reason="every machine is through") if content["pin"] else {}
    except LeaseError as problem:
        return {}, ["%s could not be unpinned (%s); run the playbook again, or unpin." % (", ".join(names), problem.msg.rstrip("."))]
    with book.edit() as content:
        run = RunBook(content)
        for name in names:
            if not content["pin"]:
                counts[name] = run.seen(name, leases[name].holder, leases[name].term, content["applications"][name].get("first_term"))
                run.unpinned(name)
            elif name in gone:
                problems.append("the pin of this run on %s was gone before it was taken off, so nobody knows how often its leader changed." % name)
                run.unpinned(name)
            elif not outcomes[name].ok:
                problems.append("%s could not be unpinned: %s" % (name, outcomes[name].msg))
            else:
                counts[name] = _count(run, name, leases[name], outcomes[name].lease, problems)
                if outcomes[name].lease is not None and outcomes[name].lease.owed:
                    say(outcomes[name].lease.owed)
                run.unpinned(name)
                run.applications[name].pop("pinned_before", None)
    for name, changes in counts.items():
        if not leases[name].counts_changes:
            say("%s: let go; %s does not tell how often its leader changed" % (name, leases[name].provider))
            continue
        say("%s: %s, leadership changes while pinned: %d" % (name, "unpinned", changes) if content["pin"] else
            "%s: not pinned, leadership changes: %d" % (name, changes))
    return counts, problems


def step_down(book: TurnFile, client: Client) -> None:
    """
    Tells the endpoint that nobody drives this session any more, so that a rerun need not wait until it counts as silent. Pins stay.

    Best effort: an endpoint that does not hear it will notice the silence.
    """
    content = book.read()
    names = [name for name, known in content["applications"].items() if known["state"] in (PINNED, STOPPED) or known.get("pinned_before")]
    if not content["pin"] or not names:
        return
    try:
        leases = client().leases(names)
        ours = [name for name, lease in leases.items() if getattr(lease.pin_of(content["pinner"]), "session", None) == content["session"]]
        if ours:
            pin(client(), content, ours, session_over=True)
    except LeaseError:
        pass


def halted(applications: t.Iterable[str], client: Client) -> dict[str, str]:
    """Applications that the endpoint has halted, and why; nothing when it cannot be asked."""
    try:
        leases = client().leases(list(applications))
    except LeaseError:
        return {}
    return {name: str(lease.halted.get("reason") or "a pin lapsed") for name, lease in leases.items() if lease.halted}


def told(book: RunBook, applications: t.Iterable[str], endpoint_halts: t.Mapping[str, str] | None = None) -> dict[str, dict[str, t.Any]]:
    """How APPLICATIONS stand, for a result."""
    answer = {}
    for name, known in book.known(applications).items():
        counted = known["term"] is not None
        answer[name] = {
            "state": known["state"], "pinned": known["state"] == PINNED or (known["state"] == STOPPED and counted and bool(book.content["pin"])),
            "holder": known["holder"], "term": known["term"], "why": known["why"],
            "leadership_changes": known["leadership_changes"] if counted else None,
            "halted": (endpoint_halts or {}).get(name),
        }
    return answer


def _freeze(run: RunBook, host: str, client: t.Any, words: list[str]) -> bool:
    """Pins the applications of HOST, or renews their pins, and learns who leads them. Stops those for which that fails."""
    names, content, changed = run.of(host), run.content, False
    if not content["pin"]:
        for name, lease in client.leases(names).items():
            run.applications[name].setdefault("first_term", lease.term)
            run.seen(name, lease.holder, lease.term, run.applications[name]["first_term"])
        return False
    held = [name for name in names if run.applications[name]["state"] == PINNED]
    outcomes = {
        **renew(client, content, held),
        # Taking over means not being put off by another session of our own; whoever else has pinned shows in the answer.
        **pin(client, content, [name for name in names if name not in held], exclusive=not content["takeover"]),
    }
    for name in names:
        outcome, before = outcomes[name], run.applications[name]["state"]
        if before == PINNED:
            problem = trouble(run, name, outcome)
        elif not outcome.ok:
            problem = "%s cannot be pinned: %s" % (name, outcome.msg)
        else:
            changed = changed or outcome.changed
            run.pinned(name)
            # A pin of which nobody knows whom it holds is no ground to stand on.
            problem = outcome.unknown or watch(run, name, outcome.lease) or _strangers(run, name, outcome.lease)
        if outcome.ok and outcome.lease is not None:
            run.applications[name]["whole_cluster"] = outcome.lease.whole_cluster
        if problem:
            run.stop(name, problem)
            words.append(problem)
    return changed


def frozen(known: t.Mapping[str, t.Any]) -> str:
    """What our pin holds of an application."""
    return "pinned (its whole cluster)" if known.get("whole_cluster") else "pinned"


def _strangers(run: RunBook, name: str, lease: t.Any) -> str:
    """Who else has pinned an application that this run has just pinned, as a sentence."""
    others = [found.pinner for found in lease.pins if found.pinner != run.content["pinner"]]
    return "%s is pinned by %s as well" % (name, ", ".join(others)) if others else ""


def _hand_over(run: RunBook, host: str, client: t.Any, words: list[str]) -> bool:
    """Moves the leaderships that the plan wants moved before HOST is touched. False when one could not be; its application is stopped."""
    for move in run.transfers(host):
        known = run.applications[move.application]
        try:
            lease = client.transfer(
                move.application, move.to, reason=move.why, run=run.content["run"] if run.content["pin"] else None, term=known["term"])
        except LeaseError as problem:
            run.stop(move.application, "%s could not be handed over to %s: %s" % (move.application, move.to, problem.msg))
            return False
        mine = lease.pin_of(run.content["pinner"])
        known.update(first_term=lease.term, on_its_way=True)
        run.seen(move.application, lease.holder, lease.term, mine.term if mine else lease.term)
        words.append("%s: handed over from %s to %s before %s goes, term %d" % (move.application, move.unit, move.to, host, lease.term))
    return True


def _on_its_way(run: RunBook, host: str, client: t.Any) -> str:
    """Why HOST must wait after a handover: its unit may have been promised some more time as leader. Empty when that is over."""
    names = [name for name in run.of(host) if run.applications[name].get("on_its_way")]
    for name, lease in client.leases(names).items() if names else ():
        if lease.handover is not None:
            return "%s is on its way to %s, for %.0f s at most" % (name, lease.holder, lease.handover.get("until_in") or 0)
        del run.applications[name]["on_its_way"]
    return ""


def _count(run: RunBook, name: str, before: t.Any, after: t.Any, problems: list[str]) -> int:
    """Leadership changes between the pin and its end; AFTER is what the endpoint said when the pin was off."""
    mine = before.pin_of(run.content["pinner"])
    last = after if after is not None and after.term >= before.term else before
    changes = run.seen(name, last.holder, last.term, mine.term)
    if changes:
        problems.append("%s changed its leader %d time%s while it was pinned; look at its logs and the endpoint's." % (
            name, changes, "" if changes == 1 else "s"))
    return changes
