# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real sshd on loopback, as whoever runs the tests, whose sessions can be cut."""

from __future__ import annotations

import dataclasses
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _control_channel as channels

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))


class Sshd:
    """An sshd of our own: its own host key, its own authorized key, its own port. ENV: one variable of its sessions, as NAME=VALUE."""

    def __init__(self, directory, env="LEASEHOLD_TEST=1"):
        self.directory = directory
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
        shutil.copy(directory / "user.pub", directory / "authorized_keys")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = {
            "Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": directory / "host", "AuthorizedKeysFile": directory / "authorized_keys",
            "PidFile": "none", "StrictModes": "no", "UsePAM": "no", "PasswordAuthentication": "no", "PermitRootLogin": "prohibit-password",
            "SetEnv": env,
        }
        (directory / "config").write_text("".join("%s %s\n" % option for option in options.items()))
        self.known(directory / "host.pub")
        self.process = None
        self.start()

    def known(self, public_key):
        key = " ".join(public_key.read_text().split()[:2])
        (self.directory / "known_hosts").write_text("[127.0.0.1]:%d %s\n" % (self.port, key))

    def start(self):
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # without it sshd will not start as root
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(self.directory / "config")], stderr=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
        raise AssertionError("sshd did not come up")

    def cut(self):
        """Ends every session without a word; the next one is welcome."""
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, check=False).stdout.split()
        for pid in children:
            subprocess.run(["kill", "-9", pid.decode()], check=False)

    def stop(self):
        """Ends the listener and every session, as a reboot does."""
        self.cut()
        self.process.kill()
        self.process.wait()

    def variables(self):
        """The same for Ansible's own connection, as variables of a host."""
        return {
            "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(self.directory / "user"), "ansible_python_interpreter": sys.executable,
            "ansible_ssh_common_args": "-F none -o ControlMaster=no -o UserKnownHostsFile=%s" % (self.directory / "known_hosts"),
        }

    def target(self, **changes):
        known = ("-o", "UserKnownHostsFile=%s" % (self.directory / "known_hosts"), "-F", "none")
        target = channels.Target(
            "m1", "127.0.0.1", port=self.port, user=getpass.getuser(), key_file=str(self.directory / "user"), ssh_args=known, timeout=10)
        return dataclasses.replace(target, **changes)
