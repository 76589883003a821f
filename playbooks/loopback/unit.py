# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
One unit of a small clustered service: it stands for election with `hold` and answers health checks over HTTP.

    unit.py start FILE     in the background; returns when it answers
    unit.py stop FILE      returns when it has ended
    unit.py run FILE       in the foreground
    unit.py well FILE      the health check: ends with 0 when the unit answers 200, else says what it answered

FILE is JSON: application, unit, port, url, token_file, ca_file, hold (path of hold.py), duration, series_file, directory.
A file `broken-on-<series>` in the directory makes it answer 503 on that series: a service that cannot bear its new surroundings.
"""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

# A start competes with everything else on a small machine; ten seconds were not enough once.
PATIENCE = 30.0
# What the leader does: nothing, for as long as it leads.
LEADING = ["sleep", "1000000"]


class Unit:
    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.said = json.loads(path.read_text(encoding="utf-8"))
        self.name: str = self.said["unit"]
        self.directory = pathlib.Path(self.said["directory"])
        self.pid_file = path.with_suffix(".pid")

    def codename(self) -> str:
        for line in pathlib.Path(self.said["series_file"]).read_text(encoding="utf-8").splitlines():
            if line.startswith("VERSION_CODENAME="):
                return line.partition("=")[2].strip('"')
        return "unknown"

    def broken(self) -> bool:
        return (self.directory / ("broken-on-" + self.codename())).exists()

    def stand_for_election(self) -> subprocess.Popen[bytes]:
        said = self.said
        command = [sys.executable, said["hold"], said["application"], "--holder", self.name, "--url", said["url"]]
        command += ["--token-file", said["token_file"], "--duration", str(said["duration"])]
        command += ["--state-file", str(self.path.with_suffix(".lease"))]
        return subprocess.Popen(command + ["--"] + LEADING)

    def run(self) -> int:
        """Serves until SIGTERM. Leaves only when its candidate has left, so that no two of one name ever stand."""
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *dummy: ended.set())
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.said["port"]), answering(self))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        candidate = self.stand_for_election()
        while not ended.wait(0.2):
            if candidate.poll() is not None:
                break
        candidate.terminate()
        candidate.wait()
        server.shutdown()
        return 0 if ended.is_set() else 1

    def pid(self) -> int | None:
        try:
            pid = int(self.pid_file.read_text(encoding="utf-8"))
            # A number alone may belong to somebody else by now.
            if str(self.path).encode() in pathlib.Path("/proc/%d/cmdline" % pid).read_bytes():
                return pid
        except (OSError, ValueError):
            pass
        return None

    def start(self) -> None:
        if self.pid() is None:
            with open(self.path.with_suffix(".log"), "ab") as log:
                child = subprocess.Popen(
                    [sys.executable, __file__, "run", str(self.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.pid_file.write_text(str(child.pid), encoding="utf-8")
        until(lambda: "does not answer" not in self.ask(), "%s answers" % self.name)

    def stop(self) -> None:
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            until(lambda: self.pid() is None, "%s has ended" % self.name)
        self.pid_file.unlink(missing_ok=True)

    def ask(self) -> str:
        """One sentence about what the unit answers; empty when it is well."""
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/" % self.said["port"], timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            return "%s answers %d on %s" % (self.name, error.code, self.codename())
        except OSError as error:
            return "%s does not answer: %s" % (self.name, error)

    def well(self) -> int:
        trouble = self.ask()
        print(trouble or "%s is well" % self.name)
        return 1 if trouble else 0


def answering(unit: Unit) -> type[http.server.BaseHTTPRequestHandler]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            broken = unit.broken()
            body = json.dumps({"unit": unit.name, "well": not broken}).encode() + b"\n"
            self.send_response(503 if broken else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A line per health check would bury everything else."""

    return Answer


def until(seen, what: str, patience: float = PATIENCE) -> None:
    """Returns when SEEN() is true. Raises TimeoutError saying WHAT did not come about."""
    end = time.monotonic() + patience
    while not seen():
        if time.monotonic() > end:
            raise TimeoutError("not within %d s: %s" % (patience, what))
        time.sleep(0.05)


def main(argv: list[str]) -> int:
    if len(argv) != 3 or argv[1] not in ("start", "stop", "run", "well"):
        sys.stderr.write(__doc__ or "")
        return 2
    unit = Unit(pathlib.Path(argv[2]))
    return getattr(unit, argv[1])() or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
