# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate on the way to a web service on loopback: requests pass, are held before or after the deed, or get no answer.

    with Gate("https://127.0.0.1:8008", context) as gate:
        gate.url                              # http://127.0.0.1:PORT
        held = gate.hold("PATCH", after=True) # the next one reaches the service, its answer stays here
        held.wait(10); gate.open()
        gate.shut()                           # nobody gets through, as behind a firewall
"""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional
from urllib.parse import urlsplit


class Gate:
    """Safe to use from many threads."""

    def __init__(self, target: str, context: Any = None) -> None:
        self._target, self._context = urlsplit(target), context
        self._free = threading.Event()
        self._free.set()
        self._hold: Optional[tuple[str, bool, threading.Event]] = None
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: object) -> None:
                pass

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                gate._free.wait()
                hold, gate._hold = (gate._hold, None) if gate._hold and gate._hold[0] == self.command else (None, gate._hold)
                if hold and not hold[1]:
                    gate._stop(hold)
                    if gate.dropped:
                        self.close_connection = True
                        return
                status, kind, answer = gate._forward(self.command, self.path, body, dict(self.headers))
                if hold and hold[1]:
                    gate._stop(hold)
                gate._free.wait()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *words: None  # whoever asked has been killed: that is what this is for
        self.url = "http://127.0.0.1:%d" % self._server.server_address[1]
        self.dropped = False

    def _stop(self, hold: tuple[str, bool, threading.Event]) -> None:
        self._free.clear()
        hold[2].set()
        self._free.wait()

    def _forward(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        kept = {key: value for key, value in headers.items() if key.lower() in ("authorization", "content-type")}
        way = http.client.HTTPSConnection(self._target.hostname, self._target.port, context=self._context, timeout=30)
        try:
            way.request(method, path, body or None, kept)
            answer = way.getresponse()
            return answer.status, answer.getheader("Content-Type", "text/plain"), answer.read()
        except OSError:
            return 502, "text/plain", b"nobody behind the gate"
        finally:
            way.close()

    def hold(self, method: str, after: bool = False) -> threading.Event:
        """The next request of this method stops here, before it is passed on or with its answer. Set when one stands here."""
        held = threading.Event()
        self.dropped = False
        self._hold = (method, after, held)
        return held

    def drop(self) -> None:
        """What stands before the deed is never passed on; then as `open`."""
        self.dropped = True
        self.open()

    def shut(self) -> None:
        self._free.clear()

    def open(self) -> None:
        self._free.set()

    def __enter__(self) -> "Gate":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.open()
        self._server.shutdown()
        self._server.server_close()
