# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine without systemd or sshd says, and who is taken for a visitor; the spare sshd itself runs in tests/e2e/test_two_series.py."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import report, spare_ssh, ssh
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed

LOG = """Server listening on 0.0.0.0 port 1022.
Connection closed by 127.0.0.1 port 50000 [preauth]
%s
"""
ACCEPTED = "Accepted publickey for root from 192.0.2.7 port 40404 ssh2: ED25519 SHA256:abc"


@pytest.fixture(name="booted")
def _booted(tmp_path):
    (tmp_path / "systemd").mkdir()
    return str(tmp_path / "systemd")


@pytest.fixture(name="says")
def _says():
    """says(bytes) is the port of a server that greets with them."""
    servers = []

    def make(greeting):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def greet():
            while True:
                try:
                    with server.accept()[0] as connection:
                        connection.sendall(greeting)
                except OSError:
                    return

        threading.Thread(target=greet, daemon=True).start()
        return server.getsockname()[1]

    yield make
    for server in servers:
        server.close()


def test_machine_without_systemd_or_sshd_goes_on_without_a_spare_one_and_says_so(context, booted, tmp_path):
    wanted = spare_ssh.checked(None)
    for spare, why in ((spare_ssh.Spare(wanted, booted=str(tmp_path / "none")), "systemd does not run here"),
                       (spare_ssh.Spare(wanted, sshd="/nonexistent", booted=booted), "openssh-server is not installed")):
        spare.start(context)
        spare.await_login(context)
        assert report.told(context, "spare_ssh")["problem"] == why
        assert (None, "going on without a spare sshd: " + why) in context.told


def test_one_that_is_required_and_cannot_be_had_stops_the_upgrade(context, booted):
    with pytest.raises(StepFailed, match="There is no spare sshd, and one is required: openssh-server is not installed"):
        spare_ssh.Spare(spare_ssh.checked({"required": True}), sshd="/nonexistent", booted=booted).start(context)


def test_port_where_somebody_listens_already_is_not_taken(context, booted, tmp_path, says):
    sshd = tmp_path / "sshd"
    sshd.touch()
    context.answers = [("is-active", 3, ""), ("sshd -T", 0, "port 22\nlistenaddress 127.0.0.1:22\n")]
    spare = spare_ssh.Spare(spare_ssh.checked({"port": says(b"SSH-2.0-other\r\n")}), sshd=str(sshd), booted=booted)
    spare.start(context)
    assert "somebody else listens at port" in report.told(context, "spare_ssh")["problem"]
    assert not [line for line in context.runs if "systemd-run" in line]


def test_login_is_seen_in_its_log_and_told_without_the_key(context, booted, tmp_path):
    (tmp_path / "spare-sshd").mkdir()
    (tmp_path / "spare-sshd" / "log").write_text(LOG % ACCEPTED, encoding="ascii")
    report.tell(context, spare_ssh={"port": 1022})
    spare_ssh.Spare(spare_ssh.checked(None), booted=booted).await_login(context)
    assert report.told(context, "spare_ssh") == {"port": 1022, "waiting": False, "login": "Accepted publickey for root from 192.0.2.7"}


@pytest.mark.parametrize("required", [False, True])
def test_nobody_who_logs_in_is_waited_for_so_long_and_no_longer(context, booted, required):
    report.tell(context, spare_ssh={"port": 1022})
    spare = spare_ssh.Spare(spare_ssh.checked({"patience": 3, "required": required}), booted=booted)
    if required:
        with pytest.raises(StepFailed, match="nobody logged in at port 1022 within 3 s; is it open in the firewalls on the way"):
            spare.await_login(context)
    else:
        spare.await_login(context)
    assert sum(context.waits) == 3
    assert report.told(context, "spare_ssh")["waiting"] is False


def test_none_is_wanted_and_none_is_started(context):
    spare = spare_ssh.Spare(spare_ssh.checked(False))
    spare.start(context)
    spare.await_login(context)
    spare.stop(context)
    assert context.runs == [] and report.told(context, "spare_ssh") is None


def test_sshd_is_known_by_what_it_says_first(says):
    assert ssh.banner("0.0.0.0", says(b"You are watched\r\nSSH-2.0-OpenSSH_9.2\r\n")) == "SSH-2.0-OpenSSH_9.2"
    assert ssh.banner("127.0.0.1", says(b"220 mail\r\n"), 2) is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ssh.banner("127.0.0.1", silent.getsockname()[1], 0.2) is None


def test_new_logins_are_asked_for_where_sshd_answered_before_and_nowhere_else(context, says):
    port = says(b"SSH-2.0-x\r\n")
    context.answers = [("-T", 0, "listenaddress 127.0.0.1:%d\nlistenaddress 127.0.0.2:1\n" % port)]
    ssh.note(context)
    assert ssh.look(context) == ("ok", "sshd answers at 127.0.0.1:%d" % port)
    context.memory["ssh_before"] = [["127.0.0.1", 1]]
    assert ssh.look(context) == ("unreachable", "no sshd answers at 127.0.0.1:1")


def test_addresses_are_read_from_what_sshd_makes_of_its_configuration(context):
    context.answers = [("-T", 0, "port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:2222\n")]
    assert ssh.listens(context.run) == [("::", 22), ("0.0.0.0", 2222)]
    context.answers = [("-T", 1, "no host key")]
    assert ssh.listens(context.run) is None
