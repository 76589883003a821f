# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real etcd that tests run against: it loses nothing, and it does not outlive them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.etcd import Etcd, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_three_members_keep_what_was_written_while_one_is_killed_and_another_stopped_in_turn(tmp_path):
    with Etcd(tmp_path, members=3) as etcd:
        etcd.ctl("put", "a", "1")
        etcd.members[0].kill()
        etcd.wait(2)
        etcd.ctl("put", "b", "2")
        etcd.members[0].start()
        etcd.wait(3)
        etcd.members[1].pause()
        etcd.wait(2)
        etcd.members[1].resume()
        etcd.wait(3)
        assert etcd.ctl("get", "--prefix", "", "--print-value-only").split() == ["1", "2"]
        assert etcd.leader() in etcd.members


def test_tls_and_auth_are_those_of_a_real_etcd(tmp_path):
    with Etcd(tmp_path, tls=True) as etcd:
        etcd.enable_auth()
        etcd.user("leases", "secret", "/leases/")
        etcd.ctl("put", "/leases/a", "1", user="leases:secret")
        with pytest.raises(AssertionError, match="permission denied"):
            etcd.ctl("put", "/other", "1", user="leases:secret")


def test_members_end_with_the_process_that_started_them_also_when_it_is_killed(tmp_path):
    program = f"from tests.etcd import Etcd; e = Etcd({str(tmp_path)!r}); e.start(); e.members[0].pause(); print(e.members[0].pid, flush=True); input()"
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    member = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    end = time.monotonic() + 10
    while os.path.exists(f"/proc/{member}") and "etcd" in open(f"/proc/{member}/cmdline", encoding="utf-8").read():
        assert time.monotonic() < end
        time.sleep(0.02)
