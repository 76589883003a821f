"""The test bed by hand: python -m tests.testbed up NAME --machines 3 --image bookworm | down NAME | status | inventory NAME | run NAME -- COMMAND."""

from __future__ import annotations

import argparse
import os
import sys

from . import fleet as fleets
from .fleet import Fleet, TestbedError


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description="Real Debian machines on this box.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="bring a fleet up")
    up.add_argument("name")
    up.add_argument("--machines", type=int, default=3, help="how many (%(default)s)")
    up.add_argument("--image", choices=fleets.IMAGES, default="bookworm", help="what they are (%(default)s)")
    up.add_argument("--owner", type=int, default=0, metavar="PID", help="take the fleet down when this process ends")
    verbs.add_parser("down", help="take a fleet down").add_argument("name")
    verbs.add_parser("status", help="say which fleets are up")
    verbs.add_parser("inventory", help="print a fleet's Ansible inventory").add_argument("name")
    verbs.add_parser("where", help="print the directory that holds a fleet's keys, logs and inventory").add_argument("name")
    run = verbs.add_parser("run", help="run a program on the fleet's control node")
    run.add_argument("name")
    run.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    try:
        return VERBS[args.verb](args)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


def _up(args: argparse.Namespace) -> int:
    fleet = Fleet.up(args.name, args.machines, args.image, args.owner)
    for machine in fleet.machines:
        print(f"{machine.name} {machine.ip}")
    print(f"inventory: {fleet.inventory_path}")
    return 0


def _down(args: argparse.Namespace) -> int:
    fleets.down(args.name)
    return 0


def _status(_args: argparse.Namespace) -> int:
    for name in fleets.names():
        print(f"{name}: {'up' if fleets.is_up(name) else 'not up, remains: take it down'}")
    return 0


def _inventory(args: argparse.Namespace) -> int:
    print(Fleet(args.name).inventory_path.read_text(), end="")
    return 0


def _where(args: argparse.Namespace) -> int:
    print(Fleet(args.name).state)
    return 0


def _run(args: argparse.Namespace) -> int:
    fleet = Fleet(args.name)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    os.execvp(fleet.enter[0], [*fleet.enter, *command])
    return 0


VERBS = {"up": _up, "down": _down, "status": _status, "inventory": _inventory, "where": _where, "run": _run}

if __name__ == "__main__":
    sys.exit(main())
