# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Who may talk to a real watcher, tried by real logins: other uids, with groups of their own.

The users and the group exist for the watcher and its arming alone: these see other files in place of /etc/passwd and /etc/group, so nothing is left on
the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import daemon
from tests.integration.real_watcher import real_watcher

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to be somebody else")
UPGRADERS, DEPLOY, FORMER, OTHER = 61310, 61311, 61312, 61313
PASSWD = "root:x:0:0::/root:/bin/sh\ndeploy:x:%d:%d::/:/bin/sh\nformer:x:%d:%d::/:/bin/sh\nother:x:%d:%d::/:/bin/sh\n" % (
    DEPLOY, DEPLOY, FORMER, FORMER, OTHER, OTHER)
GROUP = "root:x:0:\nupgraders:x:%d:deploy\n" % UPGRADERS
# The watcher's Python. A namespace of mounts ends with the process that lives in it.
WRAPPER = textwrap.dedent("""\
    #!/bin/sh
    exec unshare --mount sh -c 'mount --bind {0}/passwd /etc/passwd && mount --bind {0}/group /etc/group && exec "$0" "$@"' {1} "$@"
    """)
ARM = textwrap.dedent("""\
    import json, sys
    from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming, program
    how, spec = json.load(sys.stdin)
    arming.arm(arming.look(how), spec, how, program.build())
    """)
CLIENT = textwrap.dedent("""\
    import json, socket, sys
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(sys.argv[1])
    except OSError as problem:
        sys.exit(type(problem).__name__)
    link.sendall(sys.argv[2].encode() + b"\\n")
    print(link.makefile().readline())
    """)


def ask(machine, uid, gid=None, groups=(), **request):
    """What a login gets for one request: the answer, or the name of the error that kept it from the socket."""
    line = json.dumps({"v": 1, "do": "status", **request})
    command = ["/usr/bin/python3", "-I", "-c", CLIENT, machine.how["runtime_dir"] + "/control.sock", line]
    done = subprocess.run(command, user=uid, group=uid if gid is None else gid, extra_groups=groups, cwd="/", capture_output=True, text=True, check=False)
    return done.stderr.strip() or json.loads(done.stdout)


@pytest.fixture(name="machine")
def machine_with_users():
    """A machine on which the watcher finds the users above."""
    with real_watcher() as machine:
        machine.directory.chmod(0o711)
        (machine.directory / "passwd").write_text(PASSWD)
        (machine.directory / "group").write_text(GROUP)
        wrapper = machine.directory / "python"
        wrapper.write_text(WRAPPER.format(machine.directory, sys.executable))
        wrapper.chmod(0o755)
        machine.how["python"] = str(wrapper)
        yield machine


def test_member_of_the_allowed_group_is_let_in_and_every_other_login_is_not(machine):
    """C2, C3: also not one whose login still carries a group that its user has left."""
    asked = json.dumps([machine.how, machine.spec(allowed_group="upgraders", grace=3600)])
    subprocess.run([machine.how["python"], "-c", ARM], input=asked, text=True, timeout=60, check=True)
    run = os.stat(machine.how["runtime_dir"])
    assert (run.st_gid, run.st_mode & 0o7777) == (UPGRADERS, 0o2710)
    assert ask(machine, DEPLOY, groups=[UPGRADERS])["state"] == "ARMED"
    assert ask(machine, DEPLOY, groups=[UPGRADERS], do="upgrade", request_id="one")["result"] == "accepted"
    assert ask(machine, OTHER, gid=UPGRADERS)["ok"], "it is the group of this login itself"
    assert ask(machine, FORMER, groups=[UPGRADERS])["kind"] == "forbidden"
    assert ask(machine, OTHER) == ask(machine, DEPLOY) == "PermissionError"
    assert machine.wait("WATCHING")["state"] == "WATCHING"


def test_without_an_allowed_group_no_other_login_is_let_in(machine):
    """C2, C3"""
    machine.arm()
    assert ask(machine, DEPLOY, groups=[UPGRADERS]) == "PermissionError"
    # Not even when somebody has opened the door.
    os.chmod(machine.how["runtime_dir"], 0o777)
    os.chmod(machine.how["runtime_dir"] + "/control.sock", 0o777)
    assert ask(machine, DEPLOY, groups=[UPGRADERS])["kind"] == "forbidden"
    assert ask(machine, 0)["state"] == "ARMED"


@pytest.mark.parametrize("trick", ["a link to a directory of the watcher's own", "a directory of another user"])
def test_watcher_does_not_speak_in_a_directory_that_others_have_made(machine, trick):
    """C2: whoever owns the directory could put a socket of his own in the place of ours."""
    machine.arm()
    machine.kill()
    run = machine.directory / "run"
    (run / "control.sock").unlink()
    run.rename(machine.directory / "elsewhere")
    if trick.startswith("a link"):
        run.symlink_to(machine.directory / "elsewhere")
    else:
        run.mkdir()
        os.chown(run, DEPLOY, DEPLOY)
    before = os.stat(run)
    ended = subprocess.run([machine.how["python"], machine.how["program"], "serve", "--state-dir", machine.how["state_dir"],
                            "--runtime-dir", machine.how["runtime_dir"]], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == daemon.EXIT_NO_PLACE and "no directory of the watcher's own user" in ended.stderr
    after = os.stat(run)
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid) and list(run.iterdir()) == []
