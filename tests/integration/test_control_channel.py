# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real sshd on loopback, as whoever runs the tests, with a real Unix socket behind it."""

from __future__ import annotations

import getpass
import json
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _control_channel as channels
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._conversation import Conversation
from tests.integration.real_sshd import SSHD, Sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd; make system installs it")
OVER_SSH = pytest.mark.parametrize("transport", ["paramiko", "openssh"])


class Echo(socketserver.StreamRequestHandler):
    """Stands in for a watcher: answers every line with its number and what it heard."""

    def handle(self):
        for number, line in enumerate(self.rfile, 1):
            self.wfile.write(json.dumps({"v": 1, "ok": True, "number": number, "heard": json.loads(line)}).encode() + b"\n")


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture(scope="module")
def room():
    """A short path: sockets cannot have long ones."""
    with tempfile.TemporaryDirectory(prefix="cc-", dir="/tmp") as directory:
        yield pathlib.Path(directory)


@pytest.fixture(scope="module")
def sshd(room):
    daemon = Sshd(room)
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def path(room):
    server = Server(str(room / "control.sock"), Echo)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield str(room / "control.sock")
    server.shutdown()
    server.server_close()


def say(link, path, message="hello"):
    channel = link.open(path)
    try:
        channel.send(json.dumps(message).encode() + b"\n")
        return json.loads(channel.readline(10))
    finally:
        channel.close()


def runs(pid):
    """Whether a process is alive; one that nobody has buried yet is not."""
    try:
        return pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@OVER_SSH
def test_lines_go_to_the_socket_and_back(sshd, path, transport):
    link = channels.connect(sshd.target(), transport)
    try:
        assert say(link, path, "once") == {"v": 1, "ok": True, "number": 1, "heard": "once"}
        assert say(link, path, "again")["heard"] == "again", "one link carries many conversations"
    finally:
        link.close()


@OVER_SSH
def test_a_long_answer_arrives_whole(sshd, path, transport):
    link = channels.connect(sshd.target(), transport)
    try:
        assert say(link, path, "x" * 60000)["heard"] == "x" * 60000
    finally:
        link.close()


@OVER_SSH
def test_silence_is_no_answer_and_no_error(sshd, path, transport):
    link = channels.connect(sshd.target(), transport)
    channel = link.open(path)
    try:
        assert channel.readline(0.2) is None
        channel.send(b'"still there"\n')
        assert json.loads(channel.readline(10))["heard"] == "still there"
    finally:
        channel.close()
        link.close()


@OVER_SSH
def test_a_socket_that_nobody_serves_is_no_watcher(sshd, room, transport):
    link = channels.connect(sshd.target(), transport)
    try:
        with pytest.raises(channels.NoWatcher, match="m1: n"):
            say(link, str(room / "nobody.sock"))
    finally:
        link.close()


@OVER_SSH
def test_an_unknown_host_key_is_untrusted(sshd, path, transport, tmp_path):
    elsewhere = ("-o", "UserKnownHostsFile=%s" % (tmp_path / "empty"), "-F", "none")
    with pytest.raises(channels.Untrusted, match="known_hosts"):
        say(channels.connect(sshd.target(ssh_args=elsewhere), transport), path)


@OVER_SSH
def test_a_changed_host_key_is_untrusted(sshd, path, transport):
    sshd.known(sshd.directory / "user.pub")
    try:
        with pytest.raises(channels.Untrusted):
            say(channels.connect(sshd.target(), transport), path)
    finally:
        sshd.known(sshd.directory / "host.pub")


@OVER_SSH
def test_host_key_checking_can_be_turned_off(sshd, path, transport, tmp_path):
    elsewhere = ("-o", "UserKnownHostsFile=%s" % (tmp_path / "empty"), "-F", "none")
    link = channels.connect(sshd.target(ssh_args=elsewhere, host_key_checking=False), transport)
    try:
        assert say(link, path)["ok"]
    finally:
        link.close()


@OVER_SSH
def test_accept_new_takes_an_unknown_host_key_and_no_changed_one(sshd, path, transport, tmp_path):
    accept = ("-o", "StrictHostKeyChecking=accept-new", "-F", "none")
    link = channels.connect(sshd.target(ssh_args=accept + ("-o", "UserKnownHostsFile=%s" % (tmp_path / "empty"))), transport)
    try:
        assert say(link, path)["ok"]
    finally:
        link.close()
    sshd.known(sshd.directory / "user.pub")
    try:
        with pytest.raises(channels.Untrusted):
            say(channels.connect(sshd.target(ssh_args=accept + ("-o", "UserKnownHostsFile=%s" % (sshd.directory / "known_hosts"))), transport), path)
    finally:
        sshd.known(sshd.directory / "host.pub")


@OVER_SSH
def test_a_wrong_key_is_denied(sshd, path, transport, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "stranger")], check=True)
    target = sshd.target(key_file=str(tmp_path / "stranger"), ssh_args=sshd.target().ssh_args + ("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"))
    with pytest.raises(channels.Denied):
        say(channels.connect(target, transport), path)


@OVER_SSH
def test_a_closed_port_is_unreachable(sshd, path, transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(channels.Unreachable, match="m1 does not answer by SSH"):
            say(channels.connect(sshd.target(port=free.getsockname()[1]), transport), path)


@OVER_SSH
def test_a_path_that_is_too_long_is_told_before_anything_is_sent(sshd, transport):
    link = channels.connect(sshd.target(), transport)
    try:
        with pytest.raises(channels.Invalid, match="107 are possible"):
            link.open("/run/" + "x" * 200)
    finally:
        link.close()


def test_the_forwarding_ends_with_its_process_and_leaves_no_directory(sshd, path):
    link = channels.connect(sshd.target(), "openssh")
    assert say(link, path)["ok"]
    directory, process = link._directory, link._process
    link.close()
    assert process.poll() is not None and not os.path.exists(directory)


def test_a_forwarding_whose_process_is_killed_ends_as_well(sshd, path):
    script = (
        "import os, sys\nfrom ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _control_channel as c\n"
        "link = c.connect(c.Target('m1', '127.0.0.1', port=%d, user=%r, key_file=%r, ssh_args=%r), 'openssh')\n"
        "link.open(%r)\nprint(link._process.pid, link._directory, flush=True)\nos.kill(os.getpid(), 9)\n"
    ) % (sshd.port, getpass.getuser(), str(sshd.directory / "user"), sshd.target().ssh_args, path)
    told = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False, text=True).stdout.split()
    until = time.monotonic() + 10
    while runs(told[0]) and time.monotonic() < until:
        time.sleep(0.05)
    shutil.rmtree(told[1])
    assert not runs(told[0])


def test_auto_takes_openssh_where_the_configuration_asks_for_a_proxy(sshd, path):
    through = sshd.target().ssh_args + ("-o", "ProxyCommand=nc 127.0.0.1 %d" % sshd.port)
    link = channels.connect(sshd.target(ssh_args=through), "auto")
    try:
        assert isinstance(link, channels.OpensshLink)
    finally:
        link.close()


def test_auto_takes_paramiko_where_it_can(sshd, path):
    link = channels.connect(sshd.target(), "auto")
    try:
        assert isinstance(link, channels.ParamikoLink)
        assert say(link, path)["ok"]
    finally:
        link.close()


def test_the_socket_itself_serves_a_local_connection(path):
    link = channels.connect(channels.Target("m1", "localhost"), "local")
    assert say(link, path, "here")["heard"] == "here"


@OVER_SSH
def test_a_conversation_survives_that_sshd_goes_and_comes_back(sshd, path, transport):
    notes = []
    conversation = Conversation("m1", lambda: channels.connect(sshd.target(), transport), path, patience=30, note=notes.append)
    try:
        assert conversation.ask("upgrade", time.monotonic() + 30, request_id="r1")["heard"]["request_id"] == "r1"
        sshd.stop()
        back = threading.Timer(1.0, sshd.start)
        back.start()
        assert conversation.ask("upgrade", time.monotonic() + 30, request_id="r1")["heard"]["request_id"] == "r1"
        back.join()
        assert notes and "Trying again" in notes[0]
    finally:
        conversation.close()
