# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket without a daemon: the test is the loop, and moves the clock."""

from __future__ import annotations

import json
import os
import pathlib
import selectors
import shutil
import socket
import tempfile

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import conversation, journal as journals, protocol
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.conversation import Conversations, listen
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.journal import Journal


class StandInWatcher:
    def __init__(self):
        self.is_in = "UPGRADING"
        self.drained = False

    def request(self, request):
        return protocol.answer(request, "accepted")

    def status(self):
        return {"state": self.is_in, "drained": self.drained}

    def state(self):
        return self.is_in


class Peer:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.rest = b""

    def say(self, **request):
        self.socket.sendall(protocol.encode(request))

    def hear(self):
        """Every message that is there; the last is None when the connection was closed."""
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return self._messages() + [None]
                self.rest += data
        except BlockingIOError:
            return self._messages()

    def _messages(self):
        lines = self.rest.split(b"\n")
        self.rest = lines.pop()
        return [json.loads(line) for line in lines]


class House:
    def __init__(self, directory):
        self.directory = directory
        self.path = str(directory / "run" / "control.sock")
        self.watcher, self.at = StandInWatcher(), 100.25
        self.journal = Journal(str(directory))
        self.selector = selectors.DefaultSelector()
        self.conversations = Conversations(listen(self.path, None), self.selector, None, self.watcher, self.journal, lambda: self.at)

    def turn(self, times=4):
        for _turn in range(times):
            for key, events in self.selector.select(0):
                key.data(events)
            self.conversations.serve()


@pytest.fixture
def house():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="talk-", dir="/tmp"))
    made = House(directory)
    yield made
    made.conversations.close()
    shutil.rmtree(directory)


def test_listener_that_is_slower_than_things_happen_is_told_of_the_gap(house, monkeypatch):
    monkeypatch.setattr(conversation, "MAX_UNSENT", 2000)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    peer = Peer(house.path)
    peer.say(do="subscribe", since=0)
    house.turn()
    for number in range(journals.KEPT + 2000):
        house.journal.append(number, "log", durable=False, msg="x" * 300)
        if number % 100 == 0:
            house.turn(1)
    heard, more = [], peer.hear()
    while more:
        heard += more
        house.turn(1)
        more = peer.hear()
    marks = [message for message in heard if message.get("event") == "gap"]
    numbers = [message["seq"] for message in heard if message.get("event") == "log"]
    missed = set(range(1, journals.KEPT + 2001)) - set(numbers)
    marked = {number for mark in marks for number in range(mark["seq"] + 1, mark["until"] + 1)}
    assert missed and missed == marked, "all that was missed is marked, and nothing else"


def test_waiter_is_answered_when_it_is_reached_or_its_time_is_over(house):
    """C6"""
    first, second, third = Peer(house.path), Peer(house.path), Peer(house.path)
    first.say(do="wait", timeout=50)
    second.say(do="wait", timeout=5)
    third.say(do="wait", **{"for": "drained"})
    house.turn()
    assert first.hear() + second.hear() + third.hear() == []
    house.at += 6
    house.watcher.drained = True
    house.turn()
    assert [message["kind"] for message in second.hear()] == ["timeout"]
    assert [message["result"] for message in third.hear()] == ["reached"]
    house.watcher.is_in = "HELD"
    house.turn()
    assert [message["state"] for message in first.hear()] == ["HELD"]


@pytest.mark.parametrize("what", ["NOWHERE", ["HELD", 7], 7, {}])
def test_wait_for_what_never_comes_is_refused(house, what):
    peer = Peer(house.path)
    peer.say(do="wait", **{"for": what})
    house.turn()
    assert peer.hear()[0]["kind"] == "bad_request"


def test_line_that_is_never_ended_ends_the_connection(house):
    """C5"""
    peer = Peer(house.path)
    peer.socket.sendall(b'{"v":1,')
    house.turn()
    house.at += conversation.LINE_PATIENCE + 1
    house.turn()
    assert peer.hear() == [None]


def test_peer_that_goes_away_is_forgotten(house):
    peer = Peer(house.path)
    peer.say(do="subscribe")
    house.turn()
    peer.socket.close()
    house.journal.append(1, "log", msg="said to nobody")
    house.turn()
    assert len(house.selector.get_map()) == 1


def test_end_of_a_subscription_is_told_and_the_connection_goes_on(house):
    peer = Peer(house.path)
    peer.say(do="subscribe", since=0)
    house.turn()
    house.watcher.is_in = "COMMITTED"
    house.journal.append(1, "state", state="COMMITTED")
    house.turn()
    assert [message["event"] for message in peer.hear()[1:]] == ["state", "end"]
    peer.say(do="status")
    house.turn()
    assert peer.hear()[0]["ok"]


def test_stale_socket_is_replaced_and_nobody_else_may_enter(house):
    house.conversations.close()
    assert os.path.exists(house.path)
    house.conversations = Conversations(listen(house.path, None), house.selector, None, house.watcher, house.journal, lambda: house.at)
    assert os.stat(house.path).st_mode & 0o777 == 0o600
    peer = Peer(house.path)
    peer.say(do="status")
    house.turn()
    assert peer.hear()[0]["ok"]


def test_line_that_is_too_long_ends_the_connection_and_no_other(house):
    """C5"""
    long, other = Peer(house.path), Peer(house.path)
    long.socket.setblocking(True)
    long.socket.sendall(b'{"v":1,"do":"' + b"x" * protocol.MAX_LINE)
    long.socket.setblocking(False)
    other.say(do="status")
    house.turn()
    heard = long.hear()
    assert (heard[0]["kind"], heard[-1]) == ("too_long", None)
    assert other.hear()[0]["ok"]


def test_peer_that_asks_and_never_listens_costs_a_bounded_memory_and_nobody_elses_time(house):
    deaf, other = Peer(house.path), Peer(house.path)
    asked = 0
    try:
        while asked < 200000:
            asked += deaf.socket.send(protocol.encode({"do": "status"}) * 200)
            house.turn(1)
    except BlockingIOError:
        pass
    assert asked < 200000 * 50, "its requests are no longer fetched"
    peer = [peer for peer in house.conversations._peers if peer.unsent][0]
    assert len(peer.unsent) <= conversation.MAX_UNSENT + 8192
    other.say(do="status")
    house.turn()
    assert other.hear()[0]["ok"]


def test_every_request_is_answered_once_the_slow_peer_listens(house):
    slow = Peer(house.path)
    for number in range(3000):
        try:
            slow.socket.send(protocol.encode({"do": "hold", "request_id": str(number)}))
        except BlockingIOError:
            break
        house.turn(1)
    heard = []
    for _turn in range(100):
        heard += slow.hear()
        house.turn(2)
    assert [message["request_id"] for message in heard] == [str(number) for number in range(len(heard))]
    assert len(heard) >= number


def test_last_answer_that_is_never_fetched_does_not_hold_the_connection(house):
    deaf = Peer(house.path)
    deaf.socket.sendall(b"hello\n" * 2000 + b"x" * 10)
    house.turn()
    for peer in house.conversations._peers:
        peer.unsent = b"x" * (1 << 20)
        peer.closing = True
    house.turn()
    assert house.conversations._peers
    house.at += conversation.LINE_PATIENCE + 1
    house.turn()
    assert not house.conversations._peers


def test_who_has_been_silent_longest_makes_room_for_a_newcomer(house):
    silent = [Peer(house.path) for _number in range(conversation.MAX_PEERS)]
    house.turn(conversation.MAX_PEERS + 2)
    house.at += 1
    silent[0].say(do="status")
    house.turn()
    newcomer = Peer(house.path)
    newcomer.say(do="status")
    house.turn()
    assert newcomer.hear()[0]["ok"]
    assert silent[0].hear()[0]["ok"] and silent[1].hear() == [None]


def test_second_wait_of_a_connection_takes_the_place_of_the_first_which_is_answered(house):
    peer = Peer(house.path)
    peer.say(do="wait", request_id="first")
    peer.say(do="wait", request_id="second")
    house.turn()
    assert [(message["request_id"], message["kind"]) for message in peer.hear()] == [("first", "timeout")]


@pytest.mark.parametrize("what", ["link", "of another user", "file"])
def test_socket_directory_that_is_not_ours_is_not_used(house, monkeypatch, what):
    """C2"""
    directory = house.directory / "other"
    if what == "link":
        (house.directory / "theirs").mkdir()
        directory.symlink_to(house.directory / "theirs")
    elif what == "file":
        directory.write_text("")
    else:
        directory.mkdir()
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(OSError):
        listen(str(directory / "control.sock"), None)


def test_whatever_stands_in_the_place_of_the_socket_is_not_followed(house):
    (house.directory / "theirs").write_text("theirs")
    directory = house.directory / "other"
    directory.mkdir()
    (directory / "control.sock").symlink_to(house.directory / "theirs")
    listen(str(directory / "control.sock"), None).close()
    assert (house.directory / "theirs").read_text() == "theirs"
    assert not (directory / "control.sock").is_symlink()
