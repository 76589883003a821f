# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login at a spare sshd, real on loopback: known by the host key of the machine's own sshd, and by nothing else."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _control_channel as channels
from ansible_collections.leasehold.series_upgrade.plugins.plugin_utils import _spare_login
from tests.integration.real_sshd import SSHD, Sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd; make system installs it")
OVER_SSH = pytest.mark.parametrize("transport", ["paramiko", "openssh"])


@pytest.fixture(name="room", scope="module")
def _room():
    with tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp") as directory:
        yield pathlib.Path(directory)


@pytest.fixture(name="own", scope="module")
def _own(room):
    """The machine's own sshd, the only one that known_hosts knows."""
    (room / "own").mkdir()
    daemon = Sshd(room / "own")
    yield daemon
    daemon.stop()


@pytest.fixture(name="spare", scope="module")
def _spare(room, own):
    """Another one with the same keys, at a port of its own."""
    (room / "spare").mkdir()
    daemon = Sshd(room / "spare")
    daemon.stop()
    config = (room / "spare" / "config").read_text().replace(str(room / "spare" / "host"), str(own.directory / "host"))
    (room / "spare" / "config").write_text(config.replace(str(room / "spare" / "authorized_keys"), str(own.directory / "authorized_keys")))
    daemon.start()
    yield daemon
    daemon.stop()


@OVER_SSH
def test_spare_sshd_is_known_by_the_machines_own_host_key(own, spare, transport):
    _spare_login.log_in(own.target(), transport, spare.port)


@OVER_SSH
def test_stranger_at_the_spare_port_is_not_logged_in_to(own, spare, room, transport):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(room / ("stranger-" + transport))], check=True)
    before = (room / "spare" / "config").read_text()
    spare.stop()
    (room / "spare" / "config").write_text(before.replace(str(own.directory / "host"), str(room / ("stranger-" + transport))))
    spare.start()
    try:
        with pytest.raises(channels.Untrusted):
            _spare_login.log_in(own.target(), transport, spare.port)
    finally:
        spare.stop()
        (room / "spare" / "config").write_text(before)
        spare.start()


@OVER_SSH
def test_port_where_nobody_listens_is_no_login(own, spare, transport):
    spare.stop()
    try:
        with pytest.raises(channels.Unreachable):
            _spare_login.log_in(own.target(), transport, spare.port)
    finally:
        spare.start()


def test_local_machine_has_no_login_to_prove(own):
    assert _spare_login.tie(own.target(), "local") is None
