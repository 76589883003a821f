# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command on the machine: be the watcher, or talk to it. A request that no watcher hears is left in the spool, and one is started."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from typing import Any, Dict, List, Optional

from . import client, daemon, service, spool, states
from .journal import Journal
from .lock import Busy, Lock
from .marker import Damaged, Marker
from .record import sound
from .telling import event_line, lines_of

STATE_DIR = "/var/lib/series-upgrade"
RUNTIME_DIR = "/run/series-upgrade"
# How long a watcher that is being started may take to answer.
START = 30.0
# Events of the past that a status without a watcher tells, as many as one with a watcher.
HISTORY = 20

# verb: what it does, its options.
VERBS = {
    "drain": "drain the units of an armed upgrade",
    "upgrade": "begin the upgrade that is armed",
    "rollback": "go back to the previous series",
    "commit": "keep the upgrade, without waiting for the end of the grace",
    "abort": "give up an upgrade that has changed nothing yet",
    "hold": "stop the clock: neither commit nor roll back until resumed",
    "resume": "go on with what is held",
    "extend": "watch longer before committing",
    "expect_disruption": "announce what will make checks fail for a while, so that it counts for nothing",
    "clean": "delete now what leads back from an upgrade that is over",
}


class Refused(Exception):
    """A sentence for the person at the terminal."""


def main(arguments: Optional[List[str]] = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.act(options)
    except Refused as problem:
        daemon.say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watcher.pyz", description="The watcher of the series upgrade of this machine.",
        epilog="Exit status: 0 done or accepted, 1 refused or not reachable, 2 wrong usage; of wait: 0 committed, else as of serve.",
    )
    # The program lies in its state directory.
    beside = os.path.dirname(os.path.abspath(sys.argv[0] or "."))
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state-dir", default=beside if os.path.exists(os.path.join(beside, "marker.json")) else STATE_DIR, metavar="DIR",
                        help="where the record is (default: %(default)s)")
    common.add_argument("--runtime-dir", metavar="DIR", help="where the control socket is (default: what the record says, else {0})".format(RUNTIME_DIR))
    verbs = parser.add_subparsers(metavar="VERB", dest="verb")
    verbs.required = True
    serve = verbs.add_parser("serve", parents=[common], help="be the watcher (the service does this)")
    serve.add_argument("--transient-units", action="store_true", help="run long programs in systemd units of their own")
    serve.add_argument("--boot-id-file", default="/proc/sys/kernel/random/boot_id", metavar="FILE", help="tells one boot from another")
    serve.add_argument("--reboot-command", default="systemctl reboot", metavar="COMMAND", help="what reboots the machine (default: %(default)s)")
    serve.set_defaults(act=_serve)
    status = verbs.add_parser("status", parents=[common], help="where the upgrade is")
    status.add_argument("--json", action="store_true", help="all of it, for programs")
    status.set_defaults(act=_status)
    for verb, text in VERBS.items():
        one = verbs.add_parser(verb, parents=[common], help=text)
        if verb == "extend":
            one.add_argument("seconds", type=float, help="how much longer")
        if verb == "expect_disruption":
            one.add_argument("seconds", type=float, help="how long")
            one.add_argument("what", help="what is going to happen")
        if verb == "rollback":
            one.add_argument("--force", action="append", metavar="APPLICATION", help="although this application is past its point of no return")
        one.add_argument("--reason", help="goes into the record")
        if verb == "commit":
            one.add_argument("--force", action="store_true", help="although the checks are not healthy")
        one.add_argument("--request-id", default=str(uuid.uuid4()), metavar="ID", help="repeat a request under its id to get the same answer")
        one.add_argument("--wait", action="store_true", help="until nothing goes on any more")
        one.set_defaults(act=_request)
    wait = verbs.add_parser("wait", parents=[common], help="until the upgrade is over or held")
    wait.add_argument("--timeout", type=float, default=86400, metavar="SECONDS")
    wait.set_defaults(act=_wait)
    events = verbs.add_parser("events", parents=[common], help="what has happened")
    events.add_argument("--since", type=int, default=0, metavar="SEQ", help="after this number (default: all that is kept)")
    events.add_argument("--follow", action="store_true", help="and what happens, until the upgrade is over")
    events.set_defaults(act=_events)
    shutdown = verbs.add_parser("shutdown", parents=[common], help="end a watcher whose upgrade is over")
    shutdown.set_defaults(act=_shutdown)
    return parser


def _serve(options: argparse.Namespace) -> int:
    return daemon.serve(daemon.Options(options.state_dir, options.runtime_dir or RUNTIME_DIR, options.transient_units, options.boot_id_file,
                                       options.reboot_command))


def _status(options: argparse.Namespace) -> int:
    found = client.status(_runtime_dir(options))
    if found is None:
        record = _record(options)
        if record is None:
            raise Refused("no upgrade was armed on this machine: there is no record in {0}".format(options.state_dir))
        found = {key: record[key] for key in ("state", "generation", "upgrade_id", "since", "reason", "phase", "grace_remaining")}
        found.update(target_series=record["spec"]["target_series"], source_series=record["spec"]["source_series"], pid=None, last_health=[],
                     history=Journal(options.state_dir).last(HISTORY))
    if options.json:
        _put(json.dumps(found, indent=1, sort_keys=True))
        return 0
    for line in lines_of(found, time.time()):
        _put(line)
    return 0


def _request(options: argparse.Namespace) -> int:
    request = {"do": options.verb, "request_id": options.request_id, "reason": options.reason,
               "force": getattr(options, "force", None) or None, "seconds": getattr(options, "seconds", None), "what": getattr(options, "what", None)}
    request = {key: value for key, value in request.items() if value is not None}
    answer = _ask(options, request)
    if not answer.get("ok"):
        raise Refused("{0}: {1}".format(answer.get("kind"), answer.get("msg")))
    daemon.say("{0}: {1} (the machine is {2})".format(options.verb, answer["result"], answer["state"]))
    return _wait(options) if options.wait else 0


def _ask(options: argparse.Namespace, request: Dict[str, Any]) -> Dict[str, Any]:
    runtime_dir = _runtime_dir(options)
    try:
        with client.Client(runtime_dir) as connection:
            connection.send(request)
            return connection.read()
    except client.NotThere as problem:
        _leave_and_start(options, request, str(problem))
    # The request was left with its id, so asking again gets the answer that the watcher has given to the spool.
    if client.await_status(runtime_dir, START) is None:
        raise Refused("the request lies in the spool, but no watcher answers yet; it will be heard when one starts")
    with client.Client(runtime_dir) as connection:
        connection.send(request)
        return connection.read()


def _leave_and_start(options: argparse.Namespace, request: Dict[str, Any], problem: str) -> None:
    """No watcher answers. Only when none holds the lock either is the request left for the next one, which is started."""
    record = _record(options)
    if record is None:
        raise Refused("no upgrade was armed on this machine: there is no record in {0}".format(options.state_dir))
    try:
        with Lock(os.path.join(options.state_dir, "lock")):
            spool.leave(options.state_dir, request)
    except Busy:
        raise Refused("{0}, although a watcher runs; ask again".format(problem))
    except OSError as error:
        raise Refused("the request could not be left for the watcher: {0}".format(error))
    daemon.say("no watcher runs: the request is in the spool, and one is started")
    try:
        service.start(record["service"])
    except service.ServiceError as error:
        raise Refused(str(error))


def _wait(options: argparse.Namespace) -> int:
    deadline = time.monotonic() + getattr(options, "timeout", 86400)
    while True:
        try:
            with client.Client(_runtime_dir(options)) as connection:
                left = max(0.0, deadline - time.monotonic())
                connection.send({"do": "wait", "for": "settled", "timeout": left})
                found = connection.read(timeout=left + 30)
                break
        except client.NotThere as problem:
            if time.monotonic() > deadline:
                raise Refused(str(problem))
            time.sleep(0.5)
    if not found.get("ok"):
        raise Refused(found.get("msg") or "the watcher refused to wait")
    for line in lines_of(found, time.time()):
        _put(line)
    return 0 if found["state"] == states.COMMITTED else daemon.EXIT[found["state"]]


def _events(options: argparse.Namespace) -> int:
    if not options.follow:
        for event in Journal(options.state_dir).since(options.since)[1]:
            _put(event_line(event))
        return 0
    with _connected(options) as connection:
        connection.ask("subscribe", since=options.since)
        while True:
            event = connection.read(timeout=86400)
            if event["event"] == "end":
                return 0
            _put("... some events were trimmed" if event["event"] == "gap" else event_line(event))


def _connected(options: argparse.Namespace) -> client.Client:
    try:
        return client.Client(_runtime_dir(options))
    except client.NotThere as problem:
        raise Refused(str(problem))


def _shutdown(options: argparse.Namespace) -> int:
    with _connected(options) as connection:
        answer = connection.ask("shutdown")
    if not answer.get("ok"):
        raise Refused("{0}: {1}".format(answer.get("kind"), answer.get("msg")))
    return 0


def _record(options: argparse.Namespace) -> Optional[Dict[str, Any]]:
    try:
        record = Marker(options.state_dir).read()
        return sound(record) if record is not None else None
    except Damaged as problem:
        raise Refused("INVALID: {0}".format(problem))
    except OSError as problem:
        raise Refused("the record cannot be read: {0}".format(problem))


def _runtime_dir(options: argparse.Namespace) -> str:
    if options.runtime_dir:
        return options.runtime_dir
    try:
        record = Marker(options.state_dir).read()
        return sound(record)["service"].get("runtime_dir", RUNTIME_DIR) if record else RUNTIME_DIR
    except (Damaged, OSError):
        return RUNTIME_DIR


def _put(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
