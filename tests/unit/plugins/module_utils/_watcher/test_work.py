# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs and threads that are real: what outlives the watcher, what is attached to, what is ended."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import detached, programs
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.detached import Detached
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.work import Desk, Mailbox, Work

PATIENCE = 20


class Loop:
    """The other end of the mailbox."""

    def __init__(self, directory):
        self.woken = queue.Queue()
        self.mailbox = Mailbox(lambda: self.woken.put(None))
        self.desk = Desk(str(directory), "run-1", "boot-1", self.mailbox)

    def work(self, act, name="change", afresh=True):
        work = Work(name, self.desk, {})
        work.start(act, afresh)
        return work

    def hear(self, kind="done"):
        while True:
            self.woken.get(timeout=PATIENCE)
            message = self.mailbox.take()
            if message.kind == kind:
                return message


@pytest.fixture
def loop(tmp_path):
    return Loop(tmp_path)


def test_call_gives_status_and_lines_and_keeps_the_log(loop, tmp_path):
    lines = []
    loop.work(lambda ctx: ctx.call(["/bin/sh", "-c", "echo one; echo two >&2; printf three; echo $SAID; exit 3"], "up.log", lines.append, {"SAID": "!"}))
    assert loop.hear().value == 3
    assert lines == ["one", "two", "three!"]
    assert (tmp_path / "log" / "up.log").read_text() == "one\ntwo\nthree!\n"


def test_program_that_cannot_be_had_ends_as_a_shell_says(loop):
    loop.work(lambda ctx: ctx.call(["/no/such/program"], "up.log"))
    assert loop.hear().value == 127


def test_call_attaches_to_what_an_earlier_watcher_has_started(loop, tmp_path):
    act = ["/bin/sh", "-c", "echo begun; read line <%s/go; echo $line; exit 4" % tmp_path]
    os.mkfifo(tmp_path / "go")
    seen = queue.Queue()
    first = loop.work(lambda ctx: ctx.call(act, "up.log", seen.put))
    assert seen.get(timeout=PATIENCE) == "begun"
    first.stop(keep_programs=True)
    assert loop.hear().error == "stopped"
    lines = []
    loop.work(lambda ctx: ctx.call(act, "up.log", lines.append), afresh=False)
    with open(tmp_path / "go", "w", encoding="ascii") as file:
        file.write("went on\n")
    assert loop.hear().value == 4
    assert lines == ["begun", "went on"], "lines are replayed, and the program ran once"


def test_result_that_was_left_while_no_watcher_lived_is_taken(loop, tmp_path):
    count = ["/bin/sh", "-c", "echo x >>%s/count; exit 5" % tmp_path]
    loop.work(lambda ctx: ctx.call(count, "up.log"))
    loop.hear()
    loop.work(lambda ctx: ctx.call(count, "up.log"), afresh=False)
    assert loop.hear().value == 5
    assert (tmp_path / "count").read_text() == "x\n"
    loop.work(lambda ctx: ctx.call(count, "up.log"), afresh=True)
    loop.hear()
    assert (tmp_path / "count").read_text() == "x\nx\n", "a phase that is begun afresh runs afresh"


def test_program_of_another_boot_is_started_again(tmp_path):
    program = Detached(str(tmp_path / "calls"), str(tmp_path / "log" / "x"), "boot-1")
    program.start(["sleep", "60"])
    try:
        while not program.attach(["sleep", "60"]):
            pass
        assert not Detached(program.directory, program.log, "boot-2").attach(["sleep", "60"])
        assert not Detached(program.directory, program.log, "boot-1").attach(["sleep", "61"])
    finally:
        program.stop(signal.SIGKILL)
    while program.poll() is None:
        pass
    assert program.poll() == 137


def test_number_of_a_dead_program_that_is_used_again_is_not_taken_for_it(tmp_path):
    """M7"""
    other = subprocess.Popen(["sleep", "60"])
    try:
        program = Detached(str(tmp_path / "calls"), str(tmp_path / "log" / "x"), "boot-1")
        program.start(["true"])
        while program.poll() is None:
            pass
        os.unlink(os.path.join(program.directory, "rc"))
        with open(os.path.join(program.directory, "pid"), "w", encoding="ascii") as file:
            file.write("%d (sh) S " % other.pid + " ".join("1" for _field in range(40)))
        assert not Detached(program.directory, program.log, "boot-1").attach(["true"])
    finally:
        other.kill()
        other.wait()


def test_overtaken_work_ends_its_program_first(loop, tmp_path):
    started = queue.Queue()
    work = loop.work(lambda ctx: ctx.call(["/bin/sh", "-c", "trap 'echo ended; exit 0' TERM; echo up; while :; do sleep 0.05; done"], "up.log", started.put))
    started.get(timeout=PATIENCE)
    work.stop(keep_programs=False)
    assert loop.hear().error == "stopped"
    assert "ended" in (tmp_path / "log" / "up.log").read_text()


def test_remember_returns_when_the_loop_has_made_it_durable(loop):
    loop.work(lambda ctx: (ctx.remember("snapshot", {"id": 7}), ctx.recall("snapshot"))[1])
    message = loop.hear("remember")
    assert (message.about, message.value) == ("snapshot", {"id": 7})
    message.answered(None)
    assert loop.hear().value == {"id": 7}


def test_what_could_not_be_remembered_fails_the_work(loop):
    loop.work(lambda ctx: ctx.remember("snapshot", {"id": 7}))
    loop.hear("remember").answered("the marker could not be written: No space left on device")
    assert "No space left" in loop.hear().error


def test_bug_in_a_phase_is_an_error_and_not_silence(loop):
    loop.work(lambda ctx: {}["missing"])
    assert loop.hear().error == "KeyError: 'missing'"


def test_reason_of_a_failed_phase_is_its_sentence(loop):
    def act(ctx):
        raise StepFailed("the disk is full")

    loop.work(act)
    assert loop.hear().error == "the disk is full"


def test_short_program_is_ended_with_its_children_when_its_time_is_over():
    result = programs.run(["/bin/sh", "-c", "echo begun; sleep 60 & wait"], timeout=0.3)
    assert (result.rc, result.out) == (124, "begun\n")


@pytest.mark.parametrize("command, rc", [("exit 3", 3), ("kill -TERM $$", 143)])
def test_status_of_a_short_program(command, rc):
    assert programs.run(["/bin/sh", "-c", command]).rc == rc


def test_short_program_that_is_missing_has_a_status_too():
    assert programs.run(["/no/such"]).rc == 127


def launched(loop, launcher, argv):
    loop.desk.launch = lambda name: lambda script: launcher + script
    loop.work(lambda ctx: ctx.call(argv, "up.log"))
    return loop.hear()


def test_launched_program_is_told_as_well_as_one_of_our_own(loop, tmp_path):
    command = ["/bin/sh", "-c", "echo $$ '${HOME}' \"it's\" >%s/said; exit 6" % tmp_path]
    assert launched(loop, ["setsid", "--fork"], command).value == 6
    assert "${HOME} it's" in (tmp_path / "said").read_text()


def test_nothing_that_a_launcher_could_expand_is_on_its_command_line(loop, tmp_path):
    lines = []
    loop.desk.launch = lambda name: lambda script: (lines.append(" ".join(script)), ["setsid", "--fork"] + script)[1]
    loop.work(lambda ctx: ctx.call(["/bin/sh", "-c", "echo $$ ${HOME} %n"], "up.log", env={"DOLLAR": "$x"}))
    assert loop.hear().value == 0
    assert not set("$%") & set(lines[0])


def test_launcher_that_refuses_is_done_without(loop, tmp_path):
    assert launched(loop, ["false"], ["/bin/sh", "-c", "echo x >>%s/count" % tmp_path]).value == 0
    assert (tmp_path / "count").read_text() == "x\n"


def test_program_that_may_have_been_launched_is_not_started_a_second_time(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(detached, "BEGIN_PATIENCE", 0.2)
    assert "did not begin" in launched(loop, ["true"], ["/bin/sh", "-c", "echo x >>%s/count" % tmp_path]).error
    assert not (tmp_path / "count").exists()


def test_program_that_is_just_beginning_is_waited_for_and_not_started_again(tmp_path):
    where = (str(tmp_path / "calls"), str(tmp_path / "log" / "up.log"), "boot-1")
    command = ["/bin/sh", "-c", "echo x >>%s/count; sleep 60" % tmp_path]
    killed = Detached(*where)
    killed.start(command)
    while not os.path.exists(tmp_path / "count"):
        pass
    os.rename(tmp_path / "calls" / "pid", tmp_path / "pid")
    late = threading.Timer(0.3, os.rename, (tmp_path / "pid", tmp_path / "calls" / "pid"))
    late.start()
    try:
        assert Detached(*where).attach(command)
    finally:
        late.join()
        killed.stop(signal.SIGKILL)
        while killed.poll() is None:
            pass


def test_no_program_that_has_ended_is_left_unreaped(loop):
    """L5"""
    loop.work(lambda ctx: (ctx.run(["true"]), ctx.run(["sleep", "60"], timeout=0.1), ctx.call(["true"], "up.log")))
    assert loop.hear().error is None
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "stat=,args="], capture_output=True, text=True, check=False).stdout
    assert [line for line in children.splitlines() if line.startswith("Z")] == []
