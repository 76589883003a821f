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
