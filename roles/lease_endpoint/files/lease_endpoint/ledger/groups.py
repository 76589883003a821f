# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many transactions, one sync: those that come while the disk (or etcd) is busy with one group are the next group.

Blocks run one at a time, each sees what the ones before it wrote, and each is answered only when its whole group is durable: what
a block read may be another's write of the same group. So reads and refusals wait as well, and when the group fails all of it fails.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

MOST = 100  # blocks in a group: more would make the first one wait for long, and one etcd transaction too large


class _Group:
    def __init__(self) -> None:
        self.size = 0
        self.done = threading.Event()
        self.trouble: Optional[BaseException] = None


class Groups:
    """begin, commit, rollback: of a group. savepoint, release, undo: of one block within it. All are called by one thread at a time."""

    def __init__(self, begin: Callable[[], object], commit: Callable[[], object], rollback: Callable[[], object],
                 savepoint: Callable[[], object], release: Callable[[], object], undo: Callable[[], object]) -> None:
        self._begin, self._commit, self._rollback = begin, commit, rollback
        self._savepoint, self._release, self._undo = savepoint, release, undo
        self._turn, self._count = threading.Lock(), threading.Lock()
        self._waiting = 0
        self._group: Optional[_Group] = None
        self._owner: Optional[int] = None

    @contextmanager
    def block(self) -> Iterator[None]:
        """What is done inside is durable when the block is left. When the block raises, its own changes are undone and no others."""
        self._take_turn()
        refusal: Optional[BaseException] = None
        try:
            group = self._joined()
            try:
                self._savepoint()
                yield
                self._release()
            except BaseException as raised:
                refusal = raised
                self._take_back(group)
            self._finish(group)
        finally:
            self._owner = None
            self._turn.release()
        group.done.wait()
        if group.trouble is not None:
            # One exception is raised in many threads: each gets its own, or they would write over each other's traceback.
            raise _again(group.trouble) from group.trouble
        if refusal is not None:
            raise refusal

    def _take_turn(self) -> None:
        if self._owner == threading.get_ident():
            raise RuntimeError("a transaction inside a transaction would wait for itself")
        with self._count:
            self._waiting += 1
        self._turn.acquire()
        with self._count:
            self._waiting -= 1
        self._owner = threading.get_ident()

    def _joined(self) -> _Group:
        if self._group is None:
            self._begin()
            self._group = _Group()
        self._group.size += 1
        return self._group

    def _take_back(self, group: _Group) -> None:
        try:
            self._undo()
        except Exception as trouble:  # a full disk has ended the whole transaction already
            group.trouble = trouble

    def _finish(self, group: _Group) -> None:
        """Whoever finds nobody waiting makes the group durable; those who come meanwhile are the next one."""
        if group.trouble is None and self._waiting and group.size < MOST:
            return
        self._group = None
        try:
            if group.trouble is None:
                self._commit()
        except BaseException as trouble:
            group.trouble = trouble
        if group.trouble is not None:
            try:
                self._rollback()
            except Exception as trouble:
                group.trouble = trouble
        group.done.set()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No block runs meanwhile; for opening and closing."""
        self._take_turn()
        try:
            yield
        finally:
            self._owner = None
            self._turn.release()


def _again(trouble: BaseException) -> BaseException:
    try:
        twin = type(trouble)(*trouble.args)
        twin.__dict__.update(trouble.__dict__)
        return twin
    except TypeError:
        return RuntimeError(str(trouble))
