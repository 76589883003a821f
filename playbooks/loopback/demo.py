# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The main job on loopback, as whoever you are, in about a minute: four machines that are directories, three services whose units
really elect their leaders, a lease endpoint, and the playbooks, watchers and sockets that a real fleet gets.

    python demo.py [--stay]      --stay keeps the stage up until Enter is pressed, for a look at the status page
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import venv

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from stage import ENDPOINT, Stage  # noqa: E402  pylint: disable=wrong-import-position

APPLICATIONS = {
    "db": {"units": {"db/0": "m1", "db/1": "m2", "db/2": "m3"}},
    "queue": {"units": {"queue/0": "m4", "queue/1": "m1"}, "order": "leader_first"},
    "web": {"units": {"web/0": "m4", "web/1": "m2"}, "order": "any"},
}
# One machine is ill on trixie. The leader's machine, which goes last, waits for it; m4 carries nothing of its application. Whether m2 goes
# before it or not is left to chance: both may.
SICK, WAITS, GOES_ON = "m3", "m1", "m4"
REPORTS = pathlib.Path("series_upgrade_reports") / "demo"
# Only what the plan, the turns, the watchers and the report say; the names of the tasks would bury it.
QUIET = {
    "ANSIBLE_DISPLAY_OK_HOSTS": "false",
    "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
    "ANSIBLE_CALLBACKS_ENABLED": "leasehold.series_upgrade.progress",
    "ANSIBLE_FORKS": "10",
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
    "ANSIBLE_INTERPRETER_PYTHON": "auto_silent",
}


def say(text: str) -> None:
    print("\n" + textwrap.fill(" ".join(text.split()), 100), flush=True)


def heading(text: str) -> None:
    print("\n=== %s %s" % (text, "=" * max(0, 95 - len(text))), flush=True)


def playbook(stage: Stage, name: str, *arguments: str) -> int:
    """Runs a playbook of the collection as anybody would; what it says goes straight to the screen."""
    print("\n$ ansible-playbook -i INVENTORY leasehold.series_upgrade.%s %s" % (name, " ".join(arguments)), flush=True)
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(stage.inventory), "leasehold.series_upgrade." + name, *arguments]
    return subprocess.run(command, env={**stage.env, **QUIET}, stdin=subprocess.DEVNULL, check=False).returncode


def leaders(stage: Stage) -> dict[str, tuple[str, int]]:
    return {name: (lease["holder"], lease["term"]) for name, lease in stage.leases().items()}


def show(stage: Stage) -> None:
    for name, (holder, term) in leaders(stage).items():
        print("    %-6s is led by %-8s in term %d" % (name, holder, term), flush=True)


def play(stage: Stage, stay: bool) -> int:
    """The story. Returns 0 when it went as it is told."""
    heading("1. Three services on four machines, all on bookworm")
    show(stage)
    before = leaders(stage)
    say("Status page, while this runs: %s/" % stage.url)

    heading("2. To trixie, but one machine will not be well there")
    broken = stage.break_on(SICK)
    first = playbook(stage, "upgrade_series")
    found = series_of(stage)
    if first == 0 or [found[machine] for machine in (SICK, WAITS, GOES_ON)] != ["bookworm", "bookworm", "trixie"]:
        return not_as_told(stage)
    kept = [machine for machine, series in found.items() if series == "bookworm" and machine != SICK]
    say(
        """%s did not pass its health check on trixie, so its watcher brought it back to bookworm without being asked. Its application
        is halted and stays pinned, so %s did not go; the others went on. The run ended with exit code %d."""
        % (SICK, " and ".join(kept), first)
    )

    heading("3. How everything is now")
    playbook(stage, "status")

    heading("4. %s is repaired, and the same command goes on where it ended" % SICK)
    broken.unlink()
    second = playbook(stage, "upgrade_series")

    heading("5. The end")
    show(stage)
    after = leaders(stage)
    if second != 0 or set(series_of(stage).values()) != {"trixie"} or before != after or stage.ask("pins")["pins"]:
        return not_as_told(stage)
    say("All %d machines are on trixie, no leader and no term has changed, and nothing is pinned any more." % len(stage.machines))
    print("\nTimeline:    %s" % (REPORTS.absolute() / "to-trixie.html"))
    print("Report:      %s" % (REPORTS.absolute() / "to-trixie.json"))
    if stay:
        print("Status page: %s/" % stage.url)
        input("Press Enter to end the demo. ")
    else:
        print("Status page: gone with the demo; `make demo ARGS=--stay` keeps it until you have seen it", flush=True)
    return 0


def series_of(stage: Stage) -> dict[str, str]:
    return {machine: stage.series(machine) for machine in stage.machines}


def not_as_told(stage: Stage) -> int:
    say("This is not how the demo should have gone: read above what went wrong. Everything it left is in %s." % stage.directory)
    return 1


def endpoint_python() -> str:
    """An interpreter with the endpoint's libraries: this one, or one in a virtual environment that is made once."""
    if all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "typer")):
        return sys.executable
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "leasehold-series-upgrade" / "endpoint"
    if not (cache / "complete").exists():
        say("Making a virtual environment for the lease endpoint in %s, once." % cache)
        venv.create(cache, with_pip=True, clear=True)
        requirements = ENDPOINT / "requirements.txt"
        subprocess.run([str(cache / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
        (cache / "complete").touch()
    return str(cache / "bin" / "python")


def stop(number: int, dummy: object) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description="The main job on loopback, in about a minute.")
    parser.add_argument("--stay", action="store_true", help="keep the stage up until Enter is pressed")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    # Short, for a control socket's path has at most 107 bytes.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lease-demo-", dir=os.environ.get("TMPDIR", "/tmp")))
    reports = {"series_upgrade_report_dir": str(REPORTS.absolute())}
    try:
        with Stage(directory, APPLICATIONS, endpoint_python(), reports, keep=False) as stage:
            result = play(stage, options.stay)
            # A demo that went wrong leaves its logs.
            stage.keep = result != 0
    except KeyboardInterrupt:
        say("Interrupted; everything that was started has been ended.")
        return 130
    return result


if __name__ == "__main__":
    sys.exit(main())
