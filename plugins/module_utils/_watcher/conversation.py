# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control socket: who is let in, one line at a time, listeners and waiters. What a verb does is decided elsewhere."""

from __future__ import annotations

import collections
import errno
import grp
import os
import pwd
import selectors
import socket
import stat
import struct
from typing import Any, Callable, Deque, Dict, FrozenSet, List, Optional

from . import protocol, states
from .journal import Journal
from .requests import ALL_STATES, NAMED_WAITS

CREDENTIALS = struct.Struct("3i")
# A peer that listens slower than things happen gets a gap mark instead of our memory, and one that asks faster than it listens waits.
MAX_UNSENT = 256 * 1024
MAX_PEERS = 64
# Whoever has begun a line ends it within this many seconds; whoever is being let go fetches his last answer in as many.
LINE_PATIENCE = 30.0

Message = Dict[str, Any]


def listen(path: str, group: Optional[str]) -> socket.socket:
    """A listening socket at path, whose directory nobody else may enter. Only for the holder of the lock: it replaces a stale one.

    With a group, its members may come in as well; the set-group-id bit gives the socket that group, so that nothing has to be
    changed after it was bound. Raises OSError, or KeyError for an unknown group.
    """
    directory = os.path.dirname(path)
    gid = grp.getgrnam(group).gr_gid if group else -1
    os.makedirs(directory, mode=0o700, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        # Whoever owns the directory could put a socket of his own in the place of ours.
        raise OSError(errno.EPERM, "this is no directory of the watcher's own user", directory)
    os.chmod(directory, 0o700)
    if group:
        os.chown(directory, -1, gid)
        os.chmod(directory, 0o2710)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    mask = os.umask(0o117 if group else 0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(MAX_PEERS)
    return listener


def is_welcome(uid: int, gid: int, group: Optional[str]) -> bool:
    """root, the watcher's own user, and members of the allowed group."""
    if uid in (0, os.geteuid()):
        return True
    if not group:
        return False
    try:
        allowed = grp.getgrnam(group)
        return gid == allowed.gr_gid or pwd.getpwuid(uid).pw_name in allowed.gr_mem
    except KeyError:
        return False


class Peer:
    """One connection: its half line, what was asked and not answered yet, what is not sent yet, what it listens to and waits for."""

    def __init__(self, connection: socket.socket, uid: int, welcome: bool, now: float) -> None:
        self.connection = connection
        self.uid = uid
        self.welcome = welcome
        self.lines = protocol.Lines()
        # A stranger has begun by coming; others may stay and say nothing.
        self.line_begun: Optional[float] = None if welcome else now
        self.heard_at = now
        self.asked: Deque[bytes] = collections.deque()
        self.unsent = b""
        self.closing = False
        self.closing_since: Optional[float] = None
        self.cursor: Optional[int] = None
        self.wanted: Optional[FrozenSet[str]] = None
        self.wait_until = 0.0
        self.wait_request: Message = {}

    @property
    def is_idle(self) -> bool:
        return self.wanted is None and self.cursor is None and not self.unsent

    def send(self, message: Message) -> None:
        self.unsent += protocol.encode(message)


class Conversations:
    """All peers of one listening socket, in the loop's selector.

    watcher: request(request) decides about a verb; status() are the fields of status; state(). journal: what listeners hear.
    now(): seconds that only grow.
    """

    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector, group: Optional[str], watcher: Any,
                 journal: Optional[Journal], now: Callable[[], float]) -> None:
        self._listener = listener
        self._selector = selector
        self._group = group
        self._watcher = watcher
        self._journal = journal
        self._now = now
        self._peers: List[Peer] = []
        selector.register(listener, selectors.EVENT_READ, self._accept)

    @property
    def present(self) -> bool:
        """Whether anybody is here."""
        return bool(self._peers)

    def _accept(self, _events: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            # The peer has gone already, or we have no descriptors left; in neither case may the loop end.
            return
        connection.setblocking(False)
        _pid, uid, gid = CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
        if len(self._peers) >= MAX_PEERS and not self._make_room(uid):
            connection.close()
            return
        peer = Peer(connection, uid, is_welcome(uid, gid, self._group), self._now())
        self._peers.append(peer)
        self._selector.register(connection, selectors.EVENT_READ, lambda events: self._talk(peer, events))

    def _make_room(self, uid: int) -> bool:
        """Let somebody go for a newcomer: who has been silent longest; for root and our own user whoever is another's, if need be."""
        masters = (0, os.geteuid())
        others = [peer for peer in self._peers if peer.is_idle] or [peer for peer in self._peers if uid in masters and peer.uid not in masters]
        if others:
            self._drop(min(others, key=lambda peer: peer.heard_at))
        return bool(others)

    def _talk(self, peer: Peer, events: int) -> None:
        if events & selectors.EVENT_READ:
            self._hear(peer)
        if peer in self._peers:
            self._flush(peer)

    def _hear(self, peer: Peer) -> None:
        try:
            data = peer.connection.recv(protocol.MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        try:
            lines = peer.lines.feed(data)
        except protocol.ProtocolError as problem:
            peer.send(protocol.refusal(None, problem.kind, problem.msg))
            peer.closing = True
            return
        peer.heard_at = self._now()
        if data.endswith(b"\n"):
            peer.line_begun = None
        elif peer.line_begun is None or b"\n" in data:
            peer.line_begun = peer.heard_at
        peer.asked.extend(lines)

    def _hear_line(self, peer: Peer, line: bytes) -> None:
        if not peer.welcome:
            peer.send(protocol.refusal(None, "forbidden", "only root, the watcher's own user and members of its group are let in"))
            peer.closing = True
            return
        try:
            request = protocol.decode(line)
            if request["do"] == "subscribe":
                self._subscribe(peer, request)
            elif request["do"] == "wait":
                self._wait(peer, request)
            else:
                peer.send(self._watcher.request(request))
        except protocol.ProtocolError as problem:
            peer.send(protocol.refusal(None, problem.kind, problem.msg))

    def _subscribe(self, peer: Peer, request: Message) -> None:
        last = self._journal.last_seq if self._journal else 0
        peer.cursor = min(int(request.get("since", last)), last)
        peer.send(protocol.answer(request, "subscribed", next=peer.cursor + 1, state=self._watcher.state()))

    def _wait(self, peer: Peer, request: Message) -> None:
        what = request.get("for", "settled")
        if isinstance(what, str) and what in NAMED_WAITS:
            wanted = NAMED_WAITS[what]
        elif what == "drained":
            # A drain that failed ends in ABORTED, and waiting for it must end there too.
            wanted = frozenset(("drained",)) | states.SETTLED
        else:
            wanted = frozenset([what] if isinstance(what, str) else what if isinstance(what, list) and all(isinstance(one, str) for one in what) else [""])
            if not wanted <= ALL_STATES:
                raise protocol.ProtocolError("bad_request", "for is terminal, settled, drained, a state or a list of states")
        if peer.wanted is not None:
            peer.send(protocol.refusal(peer.wait_request, "timeout", "another wait of this connection has taken its place", state=self._watcher.state()))
        peer.wanted, peer.wait_request = wanted, request
        peer.wait_until = self._now() + float(request.get("timeout", 3600))

    def serve(self) -> None:
        """Once a turn of the loop: send what has happened, answer who has waited long enough, close who is done."""
        status: Optional[Message] = None
        for peer in list(self._peers):
            if peer.wanted is not None:
                status = status or self._watcher.status()
                self._answer_wait(peer, status)
            if peer.cursor is not None:
                self._send_events(peer)
            if peer.line_begun is not None and self._now() - peer.line_begun > LINE_PATIENCE:
                peer.closing = True
            self._flush(peer)
            if peer.closing_since is not None and self._now() - peer.closing_since > LINE_PATIENCE and peer in self._peers:
                self._drop(peer)

    def _answer_wait(self, peer: Peer, status: Message) -> None:
        if status["state"] in peer.wanted or ("drained" in peer.wanted and status.get("drained")):
            peer.send(protocol.answer(peer.wait_request, "reached", **status))
        elif self._now() >= peer.wait_until:
            peer.send(protocol.refusal(peer.wait_request, "timeout", "it is still {0}".format(status["state"]), state=status["state"]))
        else:
            return
        peer.wanted = None

    def _send_events(self, peer: Peer) -> None:
        # What a slow peer does not fetch stays in the journal; when it has been trimmed there, the peer learns that by a mark.
        if self._journal is None or len(peer.unsent) > MAX_UNSENT:
            return
        gap, events = self._journal.since(peer.cursor)
        if gap:
            peer.send({"event": "gap", "seq": peer.cursor, "until": (events[0]["seq"] - 1) if events else self._journal.last_seq})
        for event in events:
            peer.send(event)
            peer.cursor = event["seq"]
            if len(peer.unsent) > MAX_UNSENT:
                return
        state = self._watcher.state() if events or peer.cursor == self._journal.last_seq else None
        if state in states.TERMINAL or state == states.INVALID:
            peer.send({"event": "end", "seq": peer.cursor, "state": state})
            peer.cursor = None

    def _flush(self, peer: Peer) -> None:
        try:
            while self._answer(peer):
                sent = peer.connection.send(peer.unsent)
                peer.unsent = peer.unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        if peer.closing and not peer.unsent:
            self._drop(peer)
            return
        if peer.closing and peer.closing_since is None:
            peer.closing_since = self._now()
        full = peer.closing or bool(peer.asked) or len(peer.unsent) > MAX_UNSENT
        events = (0 if full else selectors.EVENT_READ) | (selectors.EVENT_WRITE if peer.unsent else 0)
        if self._selector.get_key(peer.connection).events != events:
            self._selector.modify(peer.connection, events, lambda events: self._talk(peer, events))

    def _answer(self, peer: Peer) -> bool:
        """Answer what was asked, as far as there is room for the answers; whether there is anything to send now."""
        while peer.asked and not peer.closing and len(peer.unsent) <= MAX_UNSENT:
            self._hear_line(peer, peer.asked.popleft())
        return bool(peer.unsent)

    def _drop(self, peer: Peer) -> None:
        self._peers.remove(peer)
        self._selector.unregister(peer.connection)
        peer.connection.close()

    def close(self) -> None:
        """Send what can be sent at once, and let everybody go."""
        for peer in list(self._peers):
            peer.closing = True
            self._flush(peer)
        for peer in list(self._peers):
            self._drop(peer)
        self._selector.unregister(self._listener)
        self._listener.close()
