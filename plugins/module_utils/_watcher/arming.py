# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arming: put program, service and the first record on the machine, and hand over to the watcher. Also the way out again."""

from __future__ import annotations

import grp
import hashlib
import os
import shutil
import time
from typing import Any, Dict, NamedTuple, Optional

from . import client, files, program, protocol, record as records, service, states
from .clock import Clock
from .daemon import read_boot_id
from .lock import Busy, Lock
from .machine import Machine, problem_of
from .marker import Damaged, Marker, NotDurable
from .spec import SpecError, checked

# The ancestor of this design waits as long for its watcher to take over.
HANDOVER = 30.0
SHUTDOWN = 15.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"

Settings = Dict[str, Any]


class ArmingError(Exception):
    """The machine was left as it was; one sentence with the next step."""


class Found(NamedTuple):
    """What is on the machine. status: None when no watcher answers."""

    record: Optional[Dict[str, Any]]
    status: Optional[Dict[str, Any]]
    program: Optional[str]
    unit: Optional[str]

    def as_dict(self) -> Dict[str, Any]:
        """What a diff shows."""
        return {
            "upgrade_id": self.record["upgrade_id"] if self.record else None,
            "state": self.record["state"] if self.record else None,
            "program": self.program,
            "unit": self.unit,
            "running": self.status is not None,
        }


def settings(kind: str, state_dir: str, runtime_dir: str, python: str, **more: Any) -> Settings:
    """How this watcher is run; kept in the record, so that the command on the machine can start it again."""
    return dict({key: value for key, value in more.items() if value},
                kind=kind, state_dir=state_dir, runtime_dir=runtime_dir, python=python, program=os.path.join(state_dir, program.NAME))


def socket_path(how: Settings) -> str:
    return os.path.join(how["runtime_dir"], protocol.SOCKET_NAME)


def look(how: Settings) -> Found:
    """Read, change nothing. Raises ArmingError when there is a record that cannot be read."""
    return Found(_record(how), client.status(how["runtime_dir"]), _digest(how["program"]), service.installed(how))


def _record(how: Settings) -> Optional[Dict[str, Any]]:
    try:
        record = Marker(how["state_dir"]).read()
        return record if record is None else records.sound(record)
    except Damaged as problem:
        raise ArmingError("{0}; look at it, then put back a whole one or move {1} away".format(problem, how["state_dir"]))
    except OSError as problem:
        raise ArmingError("the state directory cannot be read: {0}".format(problem))


def _digest(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return None


def planned(found: Found, spec: Dict[str, Any], how: Settings, image: bytes) -> Dict[str, Any]:
    """What found.as_dict() will be. Raises ArmingError for what must not be armed."""
    _check_place(spec, how)
    after = dict(found.as_dict(), running=True)
    if _is_new(found, spec):
        after.update(upgrade_id=spec["upgrade_id"], state=states.ARMED, program=hashlib.sha256(image).hexdigest(),
                     unit=service.unit_text(how) if how["kind"] == "systemd" else None)
    return after


def _is_new(found: Found, spec: Dict[str, Any]) -> bool:
    record = found.record
    if record is None:
        return True
    if record["upgrade_id"] == spec["upgrade_id"]:
        return False
    if record["state"] == states.ROLLBACK_FAILED:
        raise ArmingError("the rollback of {0} has failed: {1}; ask for it again, or look at the machine and move the state directory away"
                          .format(record["upgrade_id"], record["reason"]))
    if record["state"] not in states.REARMABLE:
        raise ArmingError("this machine is in the upgrade {0} ({1}); let it end, or abort it or roll it back first".format(
            record["upgrade_id"], record["state"]))
    return True


def _check_place(spec: Dict[str, Any], how: Settings) -> None:
    path = socket_path(how)
    if len(os.fsencode(path)) > protocol.MAX_PATH:
        raise ArmingError("the socket path {0} has {1} bytes and may have {2}; choose a shorter runtime_dir".format(
            path, len(os.fsencode(path)), protocol.MAX_PATH))
    for key in ("state_dir", "runtime_dir", "python"):
        if not os.path.isabs(how[key]) or any(letter.isspace() for letter in how[key]):
            raise ArmingError("{0} must be an absolute path without blanks, not {1!r}".format(key, how[key]))
    if spec["reboot"] and how["kind"] == "process" and not how.get("boot_id_file"):
        raise ArmingError("a watcher run as a process does not come back after a reboot; use the service systemd, or set reboot to false")
    problem = problem_of(spec)
    if problem:
        raise ArmingError(problem.rstrip("."))
    if spec["allowed_group"]:
        try:
            grp.getgrnam(spec["allowed_group"])
        except KeyError:
            raise ArmingError("there is no group {0} on this machine; create it, or choose another allowed_group".format(spec["allowed_group"]))


def arm(found: Found, spec: Dict[str, Any], how: Settings, image: bytes) -> Dict[str, Any]:
    """Returns the status of a watcher that has taken over this upgrade. Raises ArmingError; then what was there is there again."""
    _check_place(spec, how)
    if not _is_new(found, spec):
        return found.status or _started(found.record, found.record["service"])
    live = Machine(Clock(), "", []).series(spec)
    if live is not None and live != spec["source_series"]:
        raise ArmingError("this machine runs {0} and not {1}; look at it again before you arm its upgrade".format(live, spec["source_series"]))
    _make_state_dir(how["state_dir"])
    if found.status is not None:
        _shut_down(how["runtime_dir"])
    marker = Marker(how["state_dir"], writer={"pid": os.getpid()})
    lock = _lock(how["state_dir"])
    try:
        # Until it left, that watcher may have written on: the end of a clean-up, or a request that lets its upgrade live again.
        found = found._replace(record=_record(how))
        _is_new(found, spec)
        record = _first_record(marker, found, spec, how, image)
    except (NotDurable, OSError, service.ServiceError) as problem:
        raise ArmingError("the upgrade could not be armed: {0}".format(problem))
    except ArmingError:
        lock.release()
        _started(found.record, found.record["service"])
        raise
    finally:
        lock.release()
    try:
        return _started(record, how)
    except ArmingError:
        _undo(marker, found, how)
        raise


def _first_record(marker: Marker, found: Found, spec: Dict[str, Any], how: Settings, image: bytes) -> Dict[str, Any]:
    files.sweep(how["state_dir"])
    files.replace(how["program"], image, mode=0o700)
    if found.unit != service.unit_text(how):
        service.install(how)
    marker.reserve()
    boot_id = read_boot_id(how.get("boot_id_file") or BOOT_ID)
    return marker.write(records.fresh(spec, time.time(), boot_id, how, found.record))


def _started(record: Dict[str, Any], how: Settings) -> Dict[str, Any]:
    """Start the watcher and see it own this record."""
    try:
        service.start(how)
    except service.ServiceError as problem:
        raise ArmingError(str(problem))
    status = client.await_status(how["runtime_dir"], HANDOVER)
    if status is None or status.get("upgrade_id") != record["upgrade_id"]:
        raise ArmingError("the watcher did not take over within {0:.0f} s; read its log: {1}".format(
            HANDOVER, "journalctl -u " + service.UNIT if how["kind"] == "systemd" else os.path.join(how["state_dir"], "log", "watcher.log")))
    return status


def _undo(marker: Marker, found: Found, how: Settings) -> None:
    service.remove(how)
    lock = _lock(how["state_dir"])
    try:
        marker.restore(found.record)
    finally:
        lock.release()


def _make_state_dir(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as problem:
        raise ArmingError("the state directory could not be made: {0}".format(problem))


def _shut_down(runtime_dir: str) -> None:
    try:
        answer = client.ask(runtime_dir, "shutdown")
    except client.NotThere:
        return
    if not answer.get("ok"):
        raise ArmingError("the watcher that runs here does not leave: {0}".format(answer.get("msg")))


def _lock(state_dir: str) -> Lock:
    """The lock, as soon as a watcher that was shut down has let it go."""
    lock, deadline = Lock(os.path.join(state_dir, "lock")), time.monotonic() + SHUTDOWN
    while True:
        try:
            lock.take()
            return lock
        except Busy:
            if time.monotonic() > deadline:
                raise ArmingError("another watcher holds {0}; see its status".format(lock.path))
            time.sleep(0.05)


def disarm(found: Found, how: Settings) -> None:
    """End the watcher and take its program and service away; the records and logs stay. Raises ArmingError while an upgrade lives."""
    if found.record is not None and found.record["state"] not in states.TERMINAL:
        raise ArmingError("this machine is in the upgrade {0} ({1}); let it end, or abort it or roll it back first".format(
            found.record["upgrade_id"], found.record["state"]))
    if found.status is not None:
        _shut_down(how["runtime_dir"])
    if found.record is not None:
        _lock(how["state_dir"]).release()
    try:
        service.remove(how)
        if os.path.exists(how["program"]):
            os.unlink(how["program"])
        shutil.rmtree(how["runtime_dir"], ignore_errors=True)
    except (OSError, service.ServiceError) as problem:
        raise ArmingError("the watcher could not be removed: {0}".format(problem))


__all__ = ["ArmingError", "Found", "SpecError", "arm", "checked", "disarm", "look", "planned", "settings", "socket_path"]
