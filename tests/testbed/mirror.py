"""A caching mirror of the box's Debian archives, for machines that have no way out of their network.

Package files and by-hash indexes never change under their address: they are kept for ever. Everything else is asked
for anew, and served from the last copy only when the archive cannot be reached.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

from .places import DOWNLOADS


class Absent(Exception):
    """The archive says that there is no such file."""


class Store:
    """Files of the archives, fetched once with the box's own apt. Safe for many threads and many processes."""

    def __init__(self, archives: dict, directory: pathlib.Path = DOWNLOADS, enter: tuple = ()) -> None:
        """``archives`` is {label: upstream uri or local directory}; ``enter`` is put before the fetching command."""
        self.archives = archives
        self.directory = directory
        self.enter = enter
        self._locks: dict = {}
        self._guard = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, label: str, name: str) -> pathlib.Path:
        """Return a local file holding ``name`` of the archive ``label``; raise Absent or OSError."""
        origin = self.archives.get(label)
        if origin is None or ".." in name.split("/"):
            raise Absent(name)
        if isinstance(origin, pathlib.Path):
            if not (origin / name).is_file():
                raise Absent(name)
            return origin / name
        address = f"{origin}/{name}"
        kept = self.directory / f"{hashlib.sha256(address.encode()).hexdigest()[:24]}_{os.path.basename(name)[:100]}"
        with self._lock(kept.name):
            eternal = name.endswith(".deb") or "/by-hash/" in name
            if not (eternal and kept.exists()):
                self._fetch(address, kept, forgiving=kept.exists())
        return kept

    def _lock(self, key: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    def _fetch(self, address: str, kept: pathlib.Path, forgiving: bool) -> None:
        with tempfile.TemporaryDirectory(dir=self.directory, prefix=".fetching-") as work:
            os.chmod(work, 0o755)       # apt fetches as a user of its own
            new = pathlib.Path(work, "file")
            done = subprocess.run(
                [*self.enter, "/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root", "download-file", address, str(new)],
                capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"},
            )
            if done.returncode == 0 and new.is_file():
                os.replace(new, kept)
            elif " 404 " in done.stdout + done.stderr:
                raise Absent(address)
            elif not forgiving:
                raise OSError(f"could not fetch {address}: {done.stderr.strip() or done.stdout.strip()}")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, format, *args):   # pylint: disable=redefined-builtin
        """Say nothing: apt tells what went wrong on the machine that asked."""

    def do_GET(self):
        """Answer with a file of an archive: /label/path."""
        label, _slash, name = self.path.lstrip("/").partition("/")
        try:
            source = self.store.path(label, name).open("rb")
        except Absent:
            return self._say(404, "not in the archive")
        except OSError as error:
            return self._say(502, " ".join(str(error).split())[:200])
        with source:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(source.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(source, self.wfile, 1 << 20)
        return None

    def _say(self, status: int, words: str) -> None:
        self.send_response(status, words)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Mirror(http.server.ThreadingHTTPServer):
    """Serves a Store; use as a context manager. ``port`` 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, store: Store, host: str, port: int = 0) -> None:
        super().__init__((host, port), type("Handler", (_Handler,), {"store": store}))
        self.thread = threading.Thread(target=self.serve_forever, name="mirror", daemon=True)

    def __enter__(self) -> "Mirror":
        self.thread.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A machine that reboots in the middle of a download is no news."""
