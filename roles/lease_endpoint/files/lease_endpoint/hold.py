# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command while this unit leads an application.

    python3 hold.py db --holder db/0 --url https://lease.example:8470 --token-file token -- ./primary

One file, standard library, Python 3.8+: copy it to a machine and it runs there alone.

The promise: COMMAND has ended before the lease can be another's. Two processes keep it. This one talks to the endpoint, which may
take long; the *leash*, its child, runs COMMAND in a session of its own and ends it at the last deadline it was told, or when this process dies.
Deadlines count from when a request was *sent*, on the clock that goes on while the machine sleeps.

Unless a pin forbids it, SIGTERM stops COMMAND and resigns. A later start resumes an own lease in its old term.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PROTOCOL = "1"
KILL_BEFORE = 0.1  # share of the duration between the last SIGKILL and the end of the lease
TERM_BEFORE = 0.3  # the same for SIGTERM: COMMAND has the time between the two to end by itself
RENEW_EVERY = 1.0 / 4.0  # share of the duration between renewals: one may fail and one be slow before SIGTERM
LONGEST_ANSWER = 5.0  # seconds an answer may take


def now():
    """Seconds that also pass while the machine is suspended; the wall clock may step, this one never does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def say(text):
    print(text, file=sys.stderr, flush=True)


class Refused(Exception):
    """The endpoint said no: `kind` for programs, the text for people."""

    def __init__(self, status, body):
        Exception.__init__(self, body.get("msg", "HTTP status %s" % status))
        self.kind = body.get("kind", "invalid")
        self.body = body


class Unreachable(Exception):
    """No answer: nothing may be concluded."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None  # a redirect would carry the token to somebody else


class Endpoint:
    """The few calls that a holder and the status command need. With a `token_file` the token is read anew for each call: it may be rotated."""

    def __init__(self, url, token, ca_file=None, timeout=LONGEST_ANSWER, token_file=None):
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and host not in ("localhost", "::1") and not re.match(r"127\.[0-9.]+$", host):
            raise Unreachable("%s is no loopback address: the token would cross the network in the clear; give the endpoint's https address" % url)
        self._url = url.rstrip("/")
        self._token, self._token_file = token, token_file
        self._timeout = timeout
        context = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None
        handlers = [_NoRedirect(), urllib.request.ProxyHandler({})]
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._open = urllib.request.build_opener(*handlers).open

    def _present_token(self):
        if self._token_file:
            try:
                self._token = read_token(self._token_file) or self._token
            except Unreachable:
                pass  # the one that was good is good until the endpoint says otherwise
        return self._token

    def call(self, method, path, body=None):
        headers = {"Authorization": "Bearer " + self._present_token(), "Lease-Protocol": PROTOCOL, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with self._open(request, timeout=self._timeout) as answer:
                return json.loads(answer.read().decode())
        except urllib.error.HTTPError as trouble:
            with trouble:
                try:
                    raise Refused(trouble.code, json.loads(trouble.read().decode()))
                except (ValueError, AttributeError, OSError):
                    raise Unreachable("%s answered HTTP %s without a lease endpoint's body; is it one?" % (self._url, trouble.code))
        except (OSError, ValueError, urllib.error.URLError) as trouble:
            raise Unreachable("no answer from %s: %s" % (self._url, getattr(trouble, "reason", trouble)))


# The leash


def leash(command, orders, env):
    """Run COMMAND in this process's session and end it in time. `orders` is a pipe with lines: `until SECONDS TERM_FROM`, or `stop SECONDS`.

    The process ends with COMMAND's exit code, when COMMAND and all that it started are gone. End of file, which means that the
    parent died, ends COMMAND at once.
    """
    os.setsid()
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write, orders):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_ignored: None)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # only the parent's orders count; a group-wide signal reaches COMMAND by itself

    def fresh():
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)

    term_at = kill_at = float("inf")
    rest = b""
    child = None
    termed = False
    while True:
        if child is not None and child.poll() is not None:
            _sweep(child.pid)
            return child.returncode if child.returncode >= 0 else 128 - child.returncode
        if child is not None and now() >= kill_at:
            _sweep(child.pid)
        elif child is not None and not termed and now() >= term_at:
            termed = True
            _signal_group(child.pid, signal.SIGTERM)
        moment = kill_at if termed else term_at
        ready = select.select([orders, wake_read], [], [], None if moment == float("inf") else min(3600.0, max(0.005, moment - now())))[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
        if orders not in ready:
            continue
        data = os.read(orders, 4096)
        if not data:  # the parent is gone, nobody renews any more
            if child is None:
                return 0
            term_at = kill_at = now()
            orders = wake_read
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            words = line.decode().split()
            if words[0] == "until":
                kill_at, term_at = float(words[1]), float(words[2])
                if child is None:
                    try:
                        child = subprocess.Popen(command, env=env, preexec_fn=_chain(os.setpgrp, fresh))
                    except OSError as trouble:
                        say("cannot run %s: %s" % (command[0], trouble.strerror))
                        return 127 if trouble.errno == errno.ENOENT else 126
            elif words[0] == "stop":
                term_at, kill_at = now(), min(kill_at, float(words[1]))


def _chain(*steps):
    def run():
        for step in steps:
            step()
    return run


def _signal_group(group, number):
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _sweep(group):
    _signal_group(group, signal.SIGKILL)


class Leash:
    """The parent's end."""

    def __init__(self, command, env):
        read, self._orders = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            code = 125
            try:
                os.close(self._orders)
                code = leash(command, read, env)
            finally:
                os._exit(code)
        os.close(read)
        self.code = None

    def _order(self, text):
        try:
            os.write(self._orders, text.encode())
        except BrokenPipeError:
            pass

    def until(self, kill_at, term_at):
        self._order("until %r %r\n" % (kill_at, term_at))

    def stop(self, at_the_latest):
        self._order("stop %r\n" % at_the_latest)

    def ended(self):
        if self.code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
                os.close(self._orders)
        return self.code is not None


# The holder


class Stopped(Exception):
    """SIGTERM or SIGINT came."""


class Holder:
    """One unit's part in the election of one application."""

    def __init__(self, endpoint, application, holder, duration, command, state_file=None):
        self.endpoint, self.application, self.holder, self.duration, self.command = endpoint, application, holder, duration, command
        self.state_file = state_file
        self.term = self._remembered()
        self._asked = False
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_ignored: None)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._ask_to_stop)

    def _ask_to_stop(self, *_ignored):
        self._asked = True

    def _pause(self, seconds):
        """Wait, but not on when a child ends or we are asked to stop."""
        if not self._asked and select.select([self._wake_read], [], [], max(0.0, seconds))[0]:
            os.read(self._wake_read, 4096)

    def run(self):
        """The exit code: COMMAND's when it ended by itself, 0 when we were asked to stop, 2 when the endpoint will never let us."""
        while not self._asked:
            deadline = self._win()
            if deadline is None:
                break
            code = self._lead(deadline)
            if code is not None:
                self._resign()
                return code
        self._resign()
        return 0

    def _win(self):
        """Claim until it is ours; the moment the lease ends, or None when asked to stop."""
        said = None
        while not self._asked:
            sent = now()
            try:
                lease = self._resume() or self._call("claim", duration=self.duration)
                self._remember(lease["term"])
                say("%s: %s leads, term %d" % (self.application, self.holder, self.term))
                return sent + self.duration
            except Refused as no:
                if no.kind in ("forbidden", "invalid", "unsupported"):
                    raise
                text = "%s: %s waits: %s" % (self.application, self.holder, no)
            except Unreachable as trouble:
                text = "%s: %s waits: %s" % (self.application, self.holder, trouble)
            if text != said:
                say(text)
                said = text
            self._pause(min(self.duration / 6, 2.0) * random.uniform(0.8, 1.2))
        return None

    def _resume(self):
        """Our own lease in its old term, if it still is ours."""
        if self.term is None:
            return None
        try:
            return self._call("renew", term=self.term, duration=self.duration)
        except Refused as no:
            if no.kind in ("not_held", "stale"):
                self.term = None
                return None
            raise

    def _lead(self, deadline):
        """Run COMMAND and renew. Its exit code if it ended by itself, None if it had to be stopped; then it is gone."""
        running = Leash(self.command, dict(os.environ, LEASE_APPLICATION=self.application, LEASE_HOLDER=self.holder, LEASE_TERM=str(self.term)))
        self._extend(running, deadline)
        renew_at = deadline - self.duration * (1 - RENEW_EVERY)
        while not self._asked and not running.ended():
            self._pause(min(renew_at, deadline - self.duration * TERM_BEFORE) - now())
            if self._asked or running.ended():
                break
            if now() >= deadline - self.duration * TERM_BEFORE:
                say("%s: %s could not renew in time and stops" % (self.application, self.holder))
                break
            if now() < renew_at:
                continue
            sent = now()
            try:
                self._call("renew", term=self.term, duration=self.duration)
                deadline = max(deadline, sent + self.duration)
                self._extend(running, deadline)
                renew_at = sent + self.duration * RENEW_EVERY
            except Refused as no:
                if no.kind in ("not_held", "stale", "denied", "forbidden"):
                    say("%s: %s no longer leads: %s" % (self.application, self.holder, no))
                    break
                renew_at = now() + self._retry_after()
            except Unreachable as trouble:
                say("%s: %s could not renew: %s" % (self.application, self.holder, trouble))
                renew_at = now() + self._retry_after()
        by_itself = running.ended()
        if not by_itself:
            running.stop(min(deadline - self.duration * KILL_BEFORE, now() + max(1.0, self.duration * TERM_BEFORE)))
            while not running.ended():
                select.select([self._wake_read], [], [], 0.5)
                self._drain()
            if not self._asked:
                self._resign()  # after a transfer this tells the endpoint that we have stopped
        return running.code if by_itself and now() < deadline - self.duration * TERM_BEFORE else None

    def _drain(self):
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass

    def _retry_after(self):
        return min(1.0, self.duration / 10)

    def _extend(self, running, deadline):
        running.until(deadline - self.duration * KILL_BEFORE, deadline - self.duration * TERM_BEFORE)

    def _resign(self):
        """Best effort: whatever does not work ends by itself when the lease runs out."""
        if self.term is None:
            return
        try:
            self._call("resign", term=self.term)
            say("%s: %s resigned" % (self.application, self.holder))
            self._remember(None)
        except Refused as no:
            if no.kind == "pinned":
                say("%s: %s keeps the leadership: %s" % (self.application, self.holder, no))
        except Unreachable:
            pass

    def _call(self, verb, **more):
        body = dict(more, application=self.application, holder=self.holder)
        return self.endpoint.call("POST", "/v1/" + verb, body)["lease"]

    def _remembered(self):
        try:
            with open(self.state_file) as kept:
                state = json.load(kept)
            if state["application"] == self.application and state["holder"] == self.holder:
                return state["term"]
        except (TypeError, OSError, ValueError, KeyError):
            pass  # without it a claim by the same holder gets the same term, while the lease lives
        return None

    def _remember(self, term):
        if self.state_file and term != self._remembered():
            new = "%s.%d" % (self.state_file, os.getpid())
            with open(new, "w") as out:
                json.dump({"application": self.application, "holder": self.holder, "term": term}, out)
                out.flush()
                os.fsync(out.fileno())
            os.replace(new, self.state_file)
        self.term = term


def read_token(path):
    """The token from a file, or from the environment: never from the command line, which every user can see."""
    if path:
        try:
            with open(path) as kept:
                return kept.read().strip()
        except OSError as trouble:
            raise Unreachable("cannot read the token file %s: %s" % (path, trouble.strerror))
    token = os.environ.get("LEASE_ENDPOINT_TOKEN", "").strip()
    if not token:
        raise Unreachable("no token: give --token-file or set LEASE_ENDPOINT_TOKEN")
    return token


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="hold",
        usage="%(prog)s NAME --holder UNIT [OPTIONS] -- COMMAND ...",
        description="Run COMMAND while this unit leads the application NAME; stop it before another can lead.",
    )
    parser.add_argument("name", metavar="NAME", help="application")
    parser.add_argument("--holder", metavar="UNIT", required=True, help="this unit, for example db/0")
    parser.add_argument("--url", default=os.environ.get("LEASE_ENDPOINT_URL", "http://127.0.0.1:8470"), help="the endpoint (default %(default)s)")
    parser.add_argument("--token-file", help="default: the variable LEASE_ENDPOINT_TOKEN")
    parser.add_argument("--ca-file", default=os.environ.get("LEASE_ENDPOINT_CA_FILE") or None, help="certificates to trust, PEM")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds one renewal is good for (default 60)")
    parser.add_argument("--state-file", help="remembers the term over a restart")
    end = argv.index("--") if "--" in argv else len(argv)
    options = parser.parse_args(argv[:end])
    if not argv[end + 1:]:
        parser.error("end with: -- COMMAND")
    options.command = argv[end + 1:]
    return options


def main(argv):
    options = arguments(argv)
    socket.setdefaulttimeout(LONGEST_ANSWER)
    try:
        timeout = min(LONGEST_ANSWER, options.duration / 4)
        endpoint = Endpoint(options.url, read_token(options.token_file), options.ca_file, timeout, options.token_file)
        return Holder(endpoint, options.name, options.holder, options.duration, options.command, options.state_file).run()
    except (Refused, Unreachable, OSError) as trouble:
        say("%s: %s" % (options.name, trouble))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
