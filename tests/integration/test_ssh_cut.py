# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH is cut while a real watcher upgrades, reboots and rolls back: the conversation is picked up, and nothing is done twice."""

from __future__ import annotations

import pathlib
import tempfile
import threading
import time

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _control_channel as channels
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._conversation import Conversation
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils._errand import Errand
from tests.integration.real_sshd import SSHD, Sshd
from tests.integration.real_watcher import PATIENCE, real_watcher

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd; make system installs it")
OVER_SSH = pytest.mark.parametrize("transport", ["paramiko", "openssh"])


@pytest.fixture(name="sshd", scope="module")
def real_sshd():
    with tempfile.TemporaryDirectory(prefix="cut-", dir="/tmp") as directory:
        daemon = Sshd(pathlib.Path(directory))
        yield daemon
        daemon.stop()


class Asked:
    """An errand in a thread of its own, as a task has it; what it hears and how often it connects can be waited for."""

    def __init__(self, sshd, machine, transport, do):
        self.sshd, self.transport = sshd, transport
        self.links, self.events, self.notes = 0, [], []
        self.changed = threading.Condition()
        path = machine.how["runtime_dir"] + "/control.sock"
        self.conversation = Conversation("m1", self._link, path, patience=PATIENCE, tell=self._add(self.events), note=self._add(self.notes))
        self.result = None
        self.thread = threading.Thread(target=self._run, args=(Errand("m1", do),), daemon=True)
        self.thread.start()

    def _run(self, errand):
        try:
            self.result = errand.run(self.conversation, time.monotonic() + PATIENCE)
        except channels.ChannelError as problem:
            self.result = errand.failure(problem)
        finally:
            self.conversation.close()

    def _link(self):
        link = channels.connect(self.sshd.target(), self.transport)
        with self.changed:
            self.links += 1
            self.changed.notify_all()
        return link

    def _add(self, where):
        def add(what):
            with self.changed:
                where.append(what)
                self.changed.notify_all()
        return add

    def until(self, seen, what):
        with self.changed:
            assert self.changed.wait_for(seen, PATIENCE), "%s: %s" % (what, self.notes)

    def end(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self.result


def gated(machine):
    """Both ways stop half-way until the file is there that says go on."""
    half = "echo x >>{0}/%s; echo 50%% half; while ! [ -e {0}/go-%s ]; do sleep 0.05; done; sed -i s/%s/%s/ {1}".format(
        machine.directory, machine.series_file)
    return {"upgrade": half % ("upgrades", "upgrade", "bookworm", "trixie"), "rollback": half % ("rollbacks", "rollback", "trixie", "bookworm")}


@OVER_SSH
def test_when_sessions_are_killed_the_errand_is_picked_up_and_done_once(sshd, transport):
    with real_watcher() as machine:
        machine.arm(command=gated(machine))
        for do, end in (("upgrade", "COMMITTED"), ("rollback", "ROLLED_BACK")):
            asked = Asked(sshd, machine, transport, do)
            until_begun(machine, do)
            sshd.cut()
            asked.until(lambda asked=asked: asked.links >= 2, "it connects again")
            (machine.directory / ("go-" + do)).touch()
            result = asked.end()
            assert (result["state"], result["changed"]) == (end, True), result
        assert (machine.count("upgrades"), machine.count("rollbacks"), machine.series()) == (1, 1, "bookworm")


@OVER_SSH
def test_when_the_whole_sshd_is_gone_for_a_while_the_errand_is_picked_up_and_done_once(sshd, transport):
    """And the machine has ended meanwhile what it was asked to do."""
    with real_watcher() as machine:
        machine.arm(command=gated(machine))
        for do, end in (("upgrade", "COMMITTED"), ("rollback", "ROLLED_BACK")):
            asked = Asked(sshd, machine, transport, do)
            until_begun(machine, do)
            sshd.stop()
            try:
                asked.until(lambda asked=asked: asked.notes, "it finds nobody")
                (machine.directory / ("go-" + do)).touch()
                machine.wait("settled")
            finally:
                sshd.start()
            result = asked.end()
            assert (result["state"], result["changed"]) == (end, True), result
        assert (machine.count("upgrades"), machine.count("rollbacks"), machine.series()) == (1, 1, "bookworm")


@OVER_SSH
def test_when_the_machine_reboots_the_errand_waits_for_it_and_nothing_is_begun_anew(sshd, transport):
    with real_watcher() as machine:
        machine.arm(reboot=True)
        pid = machine.status()["pid"]
        asked = Asked(sshd, machine, transport, "upgrade")
        machine.await_death(pid)
        sshd.stop()
        asked.until(lambda: asked.notes, "it finds nobody")
        machine.start()
        sshd.start()
        result = asked.end()
        assert (result["state"], result["changed"]) == ("COMMITTED", True), result
        assert (machine.count("upgrades"), machine.status()["boot_id"]) == (1, machine.boot_id.read_text().strip())


def until_begun(machine, do):
    end = time.monotonic() + PATIENCE
    while not machine.count(do + "s"):
        assert time.monotonic() < end, "the %s has not begun" % do
        time.sleep(0.05)
