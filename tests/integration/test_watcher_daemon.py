# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real daemon with its real socket, marker and programs, killed and disturbed as machines are."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import arming, client, daemon, service
from tests.integration.real_watcher import real_watcher

# Ours, and the oldest that a machine may have, where there is one.
OLDEST = [str(path) for path in sorted(pathlib.Path.home().glob(".pyenv/versions/3.8.*/bin/python"))] or [shutil.which("python3.8")]
PYTHONS = [sys.executable, *(path for path in OLDEST if path)]


@pytest.fixture
def machine():
    with real_watcher() as made:
        yield made


@pytest.mark.parametrize("python", PYTHONS)
def test_upgrade_is_done_watched_and_committed_and_can_still_be_rolled_back(machine, python):
    """S9"""
    machine.how["python"] = python
    machine.arm()
    assert machine.ask("upgrade")["result"] == "accepted"
    committed = machine.wait("terminal")
    assert (committed["state"], machine.series(), machine.count("drained")) == ("COMMITTED", "trixie", 0)
    assert machine.ask("rollback", reason="the users complain")["result"] == "accepted"
    assert machine.wait("terminal")["state"] == "ROLLED_BACK"
    assert (machine.series(), machine.count("upgrades"), machine.count("rollbacks")) == ("bookworm", 1, 1)


def test_machine_that_is_not_healthy_goes_back_by_itself(machine):
    machine.arm(checks=[{"name": "db answers", "kind": "command", "command": "grep -q bookworm %s || { echo no table >&2; exit 1; }" % machine.series_file}])
    machine.ask("upgrade")
    ended = machine.wait("settled")
    assert (ended["state"], machine.series()) == ("ROLLED_BACK", "bookworm")
    assert ended["reason"] == "db answers is failed: ended with status 1: no table"


def test_failed_drain_leaves_the_machine_as_it_was(machine):
    drain = [{"unit": "db/0", "command": "touch {0}/drained; exit 9".format(machine.directory), "resume": "rm {0}/drained".format(machine.directory)}]
    machine.arm(drain=drain)
    machine.ask("upgrade")
    ended = machine.wait("settled")
    assert ended["state"] == "ABORTED"
    assert "db/0 could not be drained: status 9" in ended["reason"]
    assert (machine.series(), machine.count("upgrades"), (machine.directory / "drained").exists()) == ("bookworm", 0, False)


def test_upgrade_outlives_the_watcher_and_runs_once(machine):
    os.mkfifo(machine.directory / "go")
    upgrade = "echo x >>{0}/upgrades; read line <{0}/go; sed -i s/bookworm/trixie/ {1}".format(machine.directory, machine.series_file)
    machine.arm(command={"upgrade": upgrade, "rollback": "true"})
    machine.ask("upgrade", request_id="once")
    with open(machine.directory / "go", "w", encoding="ascii") as go:
        machine.kill()
        machine.start()
        assert machine.status()["state"] == "UPGRADING"
        go.write("on\n")
    assert machine.wait("terminal")["state"] == "COMMITTED"
    assert machine.count("upgrades") == 1
    assert machine.ask("upgrade", request_id="once")["result"] == "accepted", "the answer of the watcher that was killed"


def test_machine_reboots_into_the_target_and_back(machine):
    pid = machine.arm(reboot=True)["pid"]
    machine.ask("upgrade")
    assert machine.await_death(pid) == 137
    machine.start()
    assert machine.wait("settled")["state"] == "COMMITTED"
    pid = machine.status()["pid"]
    machine.ask("rollback")
    assert machine.await_death(pid) == 137
    machine.start()
    assert machine.wait("settled")["state"] == "ROLLED_BACK"
    assert (machine.count("upgrades"), machine.series()) == (1, "bookworm")


def test_watcher_killed_after_every_event_comes_to_the_same_end(machine):
    """L2"""
    machine.arm(checks=[{"name": "db answers", "kind": "command", "command": "grep -q bookworm %s" % machine.series_file}])
    seen, killed_at = 0, set()
    machine.ask("upgrade", request_id="once")
    while True:
        with client.Client(machine.how["runtime_dir"], timeout=30) as connection:
            connection.ask("subscribe", since=seen)
            event = connection.read()
            # Once at each: a phase that is begun again says so again, and has to come to its end some day.
            while event["event"] != "end" and (event["event"] not in ("state", "phase") or point(event) in killed_at):
                event = connection.read()
        if event["event"] == "end":
            break
        seen = event["seq"]
        killed_at.add(point(event))
        machine.kill()
        machine.start()
    ended = machine.status()
    assert (ended["state"], machine.series(), (machine.directory / "drained").exists()) == ("ROLLED_BACK", "bookworm", False)
    assert machine.count("upgrades") == 1
    assert len(killed_at) > 10
    assert not list(machine.state_dir.glob("*.tmp"))


def point(event):
    """Where in a life an event stands. Where a phase has ended the next one begins at once, so the two are one point."""
    return event["state"], event["phase"]


def test_of_two_clients_one_decides_and_the_other_learns_it(machine):
    """S1"""
    machine.arm(grace=60)
    machine.ask("upgrade")
    machine.wait("WATCHING")
    # The start of the units is recorded as well, and would make both of them stale.
    while not any(event["msg"] == "the units run again" for event in machine.status()["history"]):
        pass
    generation = machine.status()["generation"]
    answers = {}
    together = threading.Barrier(2)

    def ask(do):
        together.wait()
        answers[do] = machine.ask(do, if_generation=generation, force=True if do == "commit" else None)

    threads = [threading.Thread(target=ask, args=(do,)) for do in ("commit", "rollback")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = [do for do, answer in answers.items() if answer["ok"]]
    refused = [answer["kind"] for answer in answers.values() if not answer["ok"]]
    assert (len(accepted), refused) == (1, ["stale_generation"])
    assert machine.wait("terminal")["state"] == {"commit": "COMMITTED", "rollback": "ROLLED_BACK"}[accepted[0]]


def test_request_for_a_dead_watcher_is_left_and_done_by_the_next(machine):
    """C9"""
    machine.arm()
    machine.ask("upgrade")
    machine.wait("COMMITTED")
    machine.kill()
    ran = machine.command("rollback", "--reason", "by hand", "--wait")
    assert ran.returncode == daemon.EXIT["ROLLED_BACK"], ran.stderr
    assert "ROLLED_BACK  bookworm -> trixie" in ran.stdout
    assert machine.series() == "bookworm"
    assert list((machine.state_dir / "spool").iterdir()) == []


def test_damaged_record_is_told_and_nothing_is_done(machine):
    """S7, K8"""
    machine.arm()
    machine.ask("upgrade")
    machine.wait("COMMITTED")
    machine.kill()
    for name in ("marker.json", "marker.json.prev"):
        os.truncate(machine.state_dir / name, 100)
    machine.start()
    assert machine.status()["state"] == "INVALID"
    answer = machine.ask("rollback")
    assert (answer["kind"], machine.series()) == ("invalid", "trixie")
    with pytest.raises(arming.ArmingError, match="cannot be read"):
        machine.arm(upgrade_id="to-trixie/m1/2")
    shown = machine.command("status")
    assert (shown.returncode, shown.stderr[:9]) == (1, "INVALID: ")


def test_second_watcher_finds_the_lock_held_and_says_so_by_its_status(machine):
    """C4, L4"""
    machine.arm()
    second = subprocess.run(service.arguments(machine.how), capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == daemon.EXIT_BUSY
    assert "another process holds" in second.stderr
    assert machine.status()["state"] == "ARMED"


def test_terminated_watcher_leaves_a_status_of_its_own_and_goes_on_later(machine):
    """L3, L4"""
    pid = machine.arm(grace=60)["pid"]
    machine.ask("upgrade")
    machine.wait("WATCHING")
    os.kill(pid, signal.SIGTERM)
    assert machine.await_death(pid) == daemon.EXIT_INTERRUPTED
    machine.start()
    assert machine.status()["state"] == "WATCHING"


def test_end_of_the_session_that_started_it_does_not_end_it(machine):
    """L1"""
    pid = machine.arm()["pid"]
    os.kill(pid, signal.SIGHUP)
    assert machine.status()["pid"] == pid


def test_noise_on_the_socket_disturbs_nobody(machine):
    machine.arm()
    path = arming.socket_path(machine.how)
    with socket.socket(socket.AF_UNIX) as noisy, socket.socket(socket.AF_UNIX) as half:
        half.connect(path)
        half.sendall(b'{"v":1,"do":"sta')
        noisy.connect(path)
        noisy.sendall(b"\x00\xff\n[1,2]\n" + b"x" * 70000 + b"\n")
        said = b""
        while True:
            data = noisy.recv(65536)
            if not data:
                break
            said += data
        assert [kind in said for kind in (b'"bad_request"', b'"too_long"')] == [True, True]
        half.sendall(b'tus"}\n')
        assert b'"ARMED"' in half.recv(65536)


def test_directory_and_socket_are_closed_to_others(machine):
    """C2"""
    machine.arm()
    path = arming.socket_path(machine.how)
    assert (os.stat(path).st_mode & 0o777, os.stat(os.path.dirname(path)).st_mode & 0o7777) == (0o600, 0o700)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_stranger_is_sent_away_even_when_the_door_stands_open(machine):
    """C3"""
    machine.arm()
    path = arming.socket_path(machine.how)
    machine.directory.chmod(0o755)
    assert as_stranger(lambda: client.ask(machine.how["runtime_dir"], "status")) == "NotThere"
    os.chmod(os.path.dirname(path), 0o755)
    os.chmod(path, 0o666)
    assert as_stranger(lambda: client.ask(machine.how["runtime_dir"], "status")["kind"]) == "forbidden"


def as_stranger(act):
    """What act says, or which error it raises, in a process without rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            said = act()
        except Exception as problem:  # pylint: disable=broad-exception-caught  # its name is what is asked for
            said = type(problem).__name__
        os.write(writer, said.encode())
        os._exit(0)  # pylint: disable=protected-access  # the ends of the test run belong to its parent
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def test_listener_hears_everything_from_the_beginning_to_the_end(machine):
    machine.arm()
    with client.Client(machine.how["runtime_dir"]) as connection:
        assert connection.ask("subscribe", since=0)["result"] == "subscribed"
        connection.send({"do": "upgrade", "request_id": "r"})
        heard = []
        while not heard or heard[-1].get("event") != "end":
            heard.append(connection.read())
    events = [message for message in heard if "seq" in message]
    assert [message["seq"] for message in events[:-1]] == list(range(1, len(events)))
    assert [message["state"] for message in events if message["event"] == "state"] == ["ARMED", "UPGRADING", "WATCHING", "COMMITTING", "COMMITTED"]
    assert [message["percent"] for message in events if message["event"] == "progress" and message["phase"] == "upgrade"] == [50.0]


def test_command_reads_like_a_person_asks(machine):
    assert "no upgrade was armed" in machine.command("status").stderr if machine.state_dir.exists() else True
    machine.arm(grace=60, checks=[{"name": "db answers", "kind": "command", "command": "true"}])
    assert machine.command("upgrade", "--reason", "by hand").returncode == 0
    machine.wait("WATCHING")
    refused = machine.command("abort")
    assert (refused.returncode, refused.stderr) == (1, "too_late: the upgrade is WATCHING; roll it back instead\n")
    assert machine.command("hold").returncode == 0
    shown = machine.command("status").stdout
    assert shown.startswith("HELD  bookworm -> trixie  (to-trixie/m1/1)\n")
    assert "db answers" in shown
    assert machine.command("commit", "--wait").returncode == 0
    assert "COMMITTED  " in machine.command("events").stdout


def test_what_leads_back_is_deleted_by_the_watcher_itself_and_earlier_on_request(machine):
    """S6"""
    dropped = machine.directory / "dropped"
    snapshot = {"kind": "command", "create": "true", "revert": "true", "drop": "echo $SERIES_UPGRADE_SNAPSHOT >>%s" % dropped}
    machine.arm(snapshot=snapshot, retain=30)
    machine.ask("upgrade")
    machine.wait("COMMITTED")
    assert machine.status()["retain_remaining"] > 29 * 86400 and not dropped.exists()
    machine.kill()
    machine.start()
    assert machine.command("clean", "--reason", "room is needed").returncode == 0
    while machine.status()["retain_remaining"] is not None:
        pass
    assert dropped.read_text() == "to-trixie_m1_1\n"
    # The next one is kept for no time at all.
    machine.series_file.write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    machine.arm(upgrade_id="to-trixie/m1/2", snapshot=snapshot, retain=0)
    machine.ask("upgrade")
    machine.wait("COMMITTED")
    while machine.status()["retain_remaining"] is not None:
        pass
    assert dropped.read_text() == "to-trixie_m1_1\nto-trixie_m1_2\n"


def test_person_at_the_machine_announces_disruptions_and_forces_a_rollback_by_name(machine):
    """H2"""
    machine.arm(grace=60, no_return=[{"application": "db", "command": "true", "reason": "its data has the new format"}])
    machine.ask("upgrade")
    machine.wait("WATCHING")
    assert machine.command("expect_disruption", "120", "the leader is moved").returncode == 0
    assert machine.status()["windows"][0]["what"] == "the leader is moved"
    refused = machine.command("rollback")
    assert (refused.returncode, refused.stderr) == (
        1, "too_late: db is past its point of no return: its data has the new format; force it by naming: db\n")
    assert machine.command("rollback", "--force", "db", "--wait").returncode == daemon.EXIT["ROLLED_BACK"]
