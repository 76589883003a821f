# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The rules that the watcher keeps, and the tests that prove each: a test names the rules it proves at the beginning of its docstring.

    python -m tests.rules        writes the table in docs/control_protocol.md anew
"""

from __future__ import annotations

import ast
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "control_protocol.md"
BEGIN, END = "<!-- rules: made by python -m tests.rules -->\n", "<!-- end of the rules -->\n"
NAMED = re.compile(r"((?:[STCMLHK]\d+(?:, )?)+)(?::|\.|\n|$)")

RULES = {
    "S1": "Timer, verdicts and requests pass one loop; the first that is durable wins",
    "S2": "Meaning to do it and having done it are different states",
    "S3": "A rollback that was promised is not undone by expiry, commit or a signal",
    "S4": "The end of the time without a fresh healthy look is no success; a policy decides",
    "S5": "Terminal states stay readable, and status works after the end",
    "S6": "Commit deletes nothing; what is kept is deleted later, and never what is live as seen on the system",
    "S7": "A damaged record is INVALID: never 'no upgrade', and the socket still answers",
    "S8": "Arming and what is not irreversible can be undone; a failed upgrade ends in a recorded state",
    "S9": "A late rollback, after commit, is a normal path",
    "S10": "While an upgrade lives, another one or a removal is refused, naming it",
    "S11": "One owner ends a record: the watcher. Only what has ended is replaced",
    "T1": "Only observed, healthy time since the last boot counts as grace; it is checkpointed",
    "T2": "No step of a clock and no downtime commits, rolls back or deletes",
    "T3": "A new boot looks at what is live first",
    "T4": "A grace too short to notice a failure is refused at arm time",
    "T5": "The slowest legitimate start of a unit is waited for",
    "C1": "The socket lies in a directory of its own; a path too long is refused at arm time",
    "C2": "The directory is closed before the socket is in it, and the socket is never open to others",
    "C3": "The kernel says whose the peer is, and strangers are sent away",
    "C4": "A stale socket is replaced only by the holder of the lock",
    "C5": "One object a line, with a version, bounded in size and time; an unknown verb leaves the connection",
    "C6": "Accepted is not done: clients wait, and the end is seen on the system",
    "C7": "The same request twice gets the same answer and is done once",
    "C8": "Answered only when durable; otherwise not_durable, and nothing has changed",
    "C9": "With a dead watcher the request is left, one is started, and nobody is killed by a name",
    "M1": "File, previous, rename, directory: after a power cut the old record or the new one",
    "M2": "The record tells schema, generation, checksum and writer",
    "M3": "A writer that has seen an older generation loses",
    "M4": "What cannot be read gives the record before, or INVALID; never absent",
    "M5": "The lock's holder writes; an arming that is not taken over is undone",
    "M6": "The lock dies with its process and is inherited by nobody",
    "M7": "A watcher is known by lock, socket and upgrade_id, not by a process name",
    "M8": "What dead writers have left is swept",
    "M9": "A damaged side file blocks nothing else",
    "L1": "A service of its own, restarted on failure, outliving session and target",
    "L2": "A watcher that dies is started again, and goes on",
    "L3": "SIGTERM finishes a step of the way back, and is otherwise resumable at once",
    "L4": "Every end has an exit status of its own; a busy lock is never success",
    "L5": "Children are reaped",
    "L6": "One file, on the system's Python, one version for one upgrade",
    "L7": "Taking the watcher away is refused while an upgrade lives",
    "H1": "A verdict is made of named checks with intervals, allowed misses and classes; the first seconds do not count",
    "H2": "Busy answers and announced disruptions are no failures",
    "H3": "What was seen before the boot does not count after it",
    "H4": "Which checks decide is the operator's choice",
    "H5": "The verdict can be seen before it is acted upon",
    "H6": "Logs of the failed release are kept after the rollback",
    "K1": "Died before the first record was durable: nothing has happened, and 'not armed' is what the next one says",
    "K2": "Died while ARMED: the next one waits to be asked",
    "K3": "Died while WATCHING: the rest of the grace, after a fresh healthy look",
    "K4": "Died between the record of a request and its answer: it is done, and the retry hears the answer",
    "K5": "Died in a step of the way back: that step again, then the next",
    "K6": "Died before the final record: all is seen again before it is called rolled back",
    "K7": "Died while COMMITTING: the decision stands and is finished; nothing is deleted before its time",
    "K8": "The record cannot be read: INVALID, and no action",
    "K9": "A new boot: look first; the unexpected is HELD, and nothing is deleted",
}


def proofs() -> dict[str, list[str]]:
    """Rule -> the tests that name it, as FILE: TEST, in the order of their files."""
    found: dict[str, list[str]] = {rule: [] for rule in RULES}
    for path in sorted((TOP / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                named = NAMED.match(ast.get_docstring(node) or "")
                for rule in named.group(1).rstrip(", ").split(", ") if named else []:
                    found.setdefault(rule, []).append("%s: %s" % (path.name, node.name))
    return found


def table() -> str:
    """One row for each rule, with the claims that its tests make."""
    rows = ["| rule | | proved by |", "|---|---|---|"]
    for rule, tests in proofs().items():
        claims = ", ".join(test.partition(": ")[2][len("test_"):].replace("_", " ") for test in tests)
        rows.append("| %s | %s | %s |" % (rule, RULES[rule], claims))
    return "\n".join(rows) + "\n"


def shown() -> str:
    """The table that the page has now."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    before, _begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
