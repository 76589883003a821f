# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP client of the lease endpoint, with the standard library alone.

Private to this collection. Every call ends in one of three ways: the answer, a refusal with its kind, or Unreachable,
from which nothing may be concluded.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from .lease import Invalid, Lease, Leases, Outcome, Unreachable, error_of

# A fixed header keeps a stray link or a redirect from pinning anything: neither can add one.
PROTOCOL = {"Lease-Protocol": "1"}
NAMES_PER_READ = 100   # keeps the query below every server's limit on the length of a line
ITEMS_PER_WRITE = 1000   # what the endpoint takes in one call; a repeated call does no harm, so a cut between two of them does none
LOOPBACK = ("localhost", "127.0.0.1", "::1")

CONNECT = 10.0   # seconds until a connection must stand: an endpoint that is not there is noticed sooner than one that is at work
TAKING_OVER = 30.0  # seconds for which we ask again when one of several replicas says that none is active yet and nothing was changed
PATIENCE = 60.0   # seconds for an answer; the endpoint gives one within 50, also when it has to wait for a Patroni

Send = Callable[[str, str, Dict[str, str], Optional[bytes]], Tuple[int, bytes]]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected write would carry the token to an address nobody chose."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: (Any, Any, Any, Any, Any, Any) -> None
        return None


class _Http(http.client.HTTPConnection):
    def connect(self):  # type: () -> None
        _connect(self, super().connect)


class _Https(http.client.HTTPSConnection):
    def connect(self):  # type: () -> None
        _connect(self, super().connect)


def _connect(connection, connect):  # type: (Any, Callable[[], None]) -> None
    """Connects with the shorter of two deadlines; the longer one is for the answer."""
    whole, connection.timeout = connection.timeout, min(connection.timeout, CONNECT)
    try:
        connect()
    except (socket.timeout, TimeoutError):
        raise _NoConnection("no connection within %g s; is the endpoint's machine up, and its port open?" % connection.timeout)
    finally:
        connection.timeout = whole
    connection.sock.settimeout(whole)


class _NoConnection(OSError):
    """Told apart from silence: nothing was sent."""


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req):  # type: (Any) -> Any
        return self.do_open(_Http, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, context):  # type: (ssl.SSLContext) -> None
        super().__init__(context=context)
        self._trusted = context

    def https_open(self, req):  # type: (Any) -> Any
        return self.do_open(_Https, req, context=self._trusted)


class UrlSend:
    """Sends one request by urllib. Raises Unreachable with a sentence that names the likely cause."""

    def __init__(self, ca_file=None, timeout=PATIENCE):  # type: (Optional[str], float) -> None
        self.timeout = timeout
        self.ca_file = ca_file

    def _opener(self, url):  # type: (str) -> urllib.request.OpenerDirector
        handlers = [_NoRedirect(), _HttpHandler()]  # type: List[urllib.request.BaseHandler]
        parts = urllib.parse.urlsplit(url)
        if parts.hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))   # a proxy's loopback is another machine's
        if parts.scheme == "https":
            try:
                handlers.append(_HttpsHandler(ssl.create_default_context(cafile=self.ca_file or None)))
            except (OSError, ssl.SSLError) as problem:
                raise Invalid("the CA file %s cannot be read: %s. Point endpoint_ca_file at a PEM file" % (self.ca_file, problem))
        return urllib.request.build_opener(*handlers)

    def __call__(self, method, url, headers, body):  # type: (str, str, Dict[str, str], Optional[bytes]) -> Tuple[int, bytes]
        end = time.monotonic() + TAKING_OVER
        while True:
            status, answer, again_in = self._once(method, url, headers, body)
            if status != 503 or again_in is None or time.monotonic() + again_in > end:
                return status, answer
            time.sleep(again_in)

    def _once(self, method, url, headers, body):  # type: (str, str, Dict[str, str], Optional[bytes]) -> Tuple[int, bytes, Optional[float]]
        if not encrypted_or_local(url):
            raise Invalid("%s is no loopback address: the token would cross the network in the clear. Set endpoint_url to its https address" % _address(url))
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with self._opener(url).open(request, timeout=self.timeout) as answer:
                return answer.status, answer.read(), None
        except urllib.error.HTTPError as answer:
            with answer:
                again_in = answer.headers.get("Retry-After", "")
                return answer.code, answer.read(), float(again_in) if re.match(r"[0-9]{1,3}$", again_in) else None
        except (OSError, ValueError, urllib.error.URLError) as problem:
            raise Unreachable("no answer from the lease endpoint at %s: %s" % (_address(url), _cause(problem, self.timeout, self.ca_file)))


class Client:
    """Asks the endpoint at ``url``. ``send(method, url, headers, body) -> (status, body)`` carries the bytes."""

    def __init__(self, url, token=None, ca_file=None, timeout=PATIENCE, send=None):
        # type: (str, Optional[str], Optional[str], float, Optional[Send]) -> None
        if not url or urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise Invalid("the endpoint's address is %r; set endpoint_url to something like https://leases.example.net:8470" % (url or "",))
        self.url = url.rstrip("/")
        self._headers = dict(PROTOCOL, Accept="application/json")
        if token:
            self._headers["Authorization"] = "Bearer " + token.strip()
        self._send = send or UrlSend(ca_file, timeout)

    def leases(self, names=None, partial=False):  # type: (Optional[Iterable[str]], bool) -> Leases
        """Leases by application, all of them when no names are given. Reading changes nothing.

        Where leadership lives elsewhere and cannot be read now, that is Unreachable, unless ``partial`` wants the rest with it told apart.
        """
        found = Leases()
        if names is None:
            self._read_leases("", found)
        else:
            wanted = sorted(set(names))
            for start in range(0, len(wanted), NAMES_PER_READ):
                self._read_leases("?" + urllib.parse.urlencode([("application", name) for name in wanted[start:start + NAMES_PER_READ]]), found)
        if found.unreadable and not partial:
            raise Unreachable("; ".join(found.unreadable[name] for name in sorted(found.unreadable)), applications=sorted(found.unreadable))
        return found

    def pin(self, names, run, reason, duration=3600.0, session=None, exclusive=False, allow_no_leader=False, terms=None,
            session_over=False):
        # type: (Iterable[str], str, str, float, Optional[str], bool, bool, Optional[Dict[str, int]], bool) -> Dict[str, Outcome]
        """Pins many applications in one call; every one gets its own outcome.

        Returns when the pins are durable. Pinning again renews the deadline and changes nothing else. ``terms`` makes an
        item fail with ``stale`` when that application has changed its leader since. ``session_over`` says that this was the
        session's last word, so that the next one need not wait until it counts as gone.
        """
        body = {"run": run, "reason": reason, "duration": duration, "exclusive": exclusive, "allow_no_leader": allow_no_leader}
        if session is not None:
            body["session"] = session
        if session_over:
            body["session_over"] = True
        items = []  # type: List[Dict[str, Any]]
        for name in names:
            item = {"application": name}  # type: Dict[str, Any]
            if terms and name in terms:
                item["term"] = terms[name]
            items.append(item)
        return self._batch("/v1/pin", items, body)

    def unpin(self, names, run, reason="", pinner=None):
        # type: (Iterable[str], str, str, Optional[str]) -> Dict[str, Outcome]
        """Removes this run's pins; others' pins stay, repeating it changes nothing. ``pinner`` removes another's (scope admin)."""
        body = {"pinner": pinner} if pinner else {"run": run}
        if reason:
            body["reason"] = reason
        return self._batch("/v1/unpin", [{"application": name} for name in names], body)

    def transfer(self, application, to, reason, run=None, term=None, revision=None):
        # type: (str, str, str, Optional[str], Optional[int], Optional[int]) -> Lease
        """Moves the leadership to another unit; the term grows. Under a pin only when every pin is this run's own."""
        body = {"application": application, "to": to, "reason": reason}  # type: Dict[str, Any]
        body.update((key, value) for key, value in (("run", run), ("term", term), ("revision", revision)) if value is not None)
        return Lease.from_answer(self._field(self._ask("POST", "/v1/transfer", body), "lease"))

    def pins(self):  # type: () -> Dict[str, List[Dict[str, Any]]]
        """All pins, tombstones of lapsed ones, and halts, as the endpoint lists them."""
        answer = self._ask("GET", "/v1/pins")
        return dict((key, self._field(answer, key)) for key in ("pins", "tombstones", "halts"))

    def clear_halt(self, names, reason):  # type: (Iterable[str], str) -> Dict[str, Outcome]
        """Lets halted applications go on (scope admin)."""
        return self._batch("/v1/clear-halt", [{"application": name} for name in names], {"reason": reason})

    def whoami(self):  # type: () -> Dict[str, Any]
        """The caller as the endpoint knows it: identity, scopes, applications (None: all), units (of a machine's token; None: it is none)."""
        answer = self._ask("GET", "/v1/whoami")
        return {"identity": self._field(answer, "identity"), "scopes": list(self._field(answer, "scopes")), "applications": answer.get("applications"),
                "units": answer.get("units")}

    def _read_leases(self, query, found):  # type: (str, Leases) -> None
        answer = self._ask("GET", "/v1/leases" + query)
        for lease in map(Lease.from_answer, self._field(answer, "leases")):
            found[lease.application] = lease
        found.unknown.extend(answer.get("unknown") or ())
        for item in answer.get("unreadable") or ():
            found.unreadable[item["application"]] = "%s cannot be read: %s" % (item["application"], item.get("msg") or "the endpoint does not say why")

    def _batch(self, path, items, body):  # type: (str, List[Dict[str, Any]], Dict[str, Any]) -> Dict[str, Outcome]
        outcomes = {}  # type: Dict[str, Outcome]
        for start in range(0, len(items), ITEMS_PER_WRITE):
            answer = self._field(self._ask("POST", path, dict(body, items=items[start:start + ITEMS_PER_WRITE])), "results")
            outcomes.update((outcome.application, outcome) for outcome in map(Outcome.from_answer, answer))
        silent = [item["application"] for item in items if item["application"] not in outcomes]
        if silent:
            raise Unreachable("the endpoint at %s said nothing about %s; read before going on" % (self.url, ", ".join(silent)))
        return outcomes

    def _ask(self, method, path, body=None):  # type: (str, str, Optional[Dict[str, Any]]) -> Dict[str, Any]
        headers, data = dict(self._headers), None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode("utf-8")
        status, raw = self._send(method, self.url + path, headers, data)
        try:
            answer = json.loads(raw.decode("utf-8"))
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        if isinstance(answer, dict) and "kind" in answer:
            details = dict((key, value) for key, value in answer.items() if key not in ("kind", "msg"))
            raise error_of(str(answer["kind"]), str(answer.get("msg") or "the endpoint gave no message"), status=status, **details)
        raise Unreachable("%s answered HTTP %d and not the lease protocol; is endpoint_url right?" % (self.url, status), status=status)

    def _field(self, answer, name):  # type: (Dict[str, Any], str) -> Any
        if name not in answer:
            raise Unreachable("the answer of %s lacks %r; is it a lease endpoint of this version?" % (self.url, name))
        return answer[name]


def encrypted_or_local(url):  # type: (str) -> bool
    """Whether nobody on a network can read along. Whatever cannot be told is not."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or (parts.hostname or "") in LOOPBACK or re.match(r"127\.[0-9.]+$", parts.hostname or "") is not None


def _address(url):  # type: (str) -> str
    """Scheme, host and port: paths and queries only make the sentence longer."""
    parts = urllib.parse.urlsplit(url)
    return "%s://%s" % (parts.scheme, parts.netloc.rpartition("@")[2])


def _cause(problem, timeout, ca_file):  # type: (BaseException, float, Optional[str]) -> str
    reason = getattr(problem, "reason", None) or problem
    if isinstance(reason, ssl.SSLCertVerificationError):
        trusted = ca_file or "the system's certificates"
        return "its certificate is not trusted by %s (%s); set endpoint_ca_file to the CA that signed it" % (trusted, reason.verify_message)
    if isinstance(reason, (socket.timeout, TimeoutError)):
        return "it stayed silent for %g s; raise endpoint_timeout or look at the endpoint" % timeout
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused; is the endpoint running there?"
    return str(reason)
