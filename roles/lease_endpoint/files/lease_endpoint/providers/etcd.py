# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elections of other programs in etcd: those of Go's concurrency package, of etcd's own election service, and of `etcdctl elect`.

Frozen means that the leader's key hangs on a lease of ours instead of on its holder's session, so that it outlives the session. The key
keeps its value and its creation revision: the holder's own checks go on holding. docs/etcd.md says what the holder sees.
"""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional, Sequence

from lease_endpoint.errors import Denied, Invalid, NoLeader, Stale, Unreachable, Unsupported
from lease_endpoint.etcd_gateway import Gateway, Refused, Unsure, prefix_end
from lease_endpoint.etcd_words import Kv, created, decode, delete, encode, leased, move
from lease_endpoint.providers import _election
from lease_endpoint.providers._options import Options, both, clear_text
from lease_endpoint.providers.foreign import Capabilities, Foreign, Leadership, Member

PATIENCE = 15.0  # seconds for a freeze or thaw that others keep getting in the way of
HOLD = 3600.0  # seconds for which a freeze lasts without us; see docs/etcd.md, "When the endpoint is down"
SESSION = 60  # seconds: a session of Go's package, when its duration can no longer be found out

NOTES = (
    "The leader's key outlives its holder's session; it does not outlive its deletion: a holder that resigns gives leadership to the next in line.",
    "A holder whose session ended while frozen, and that campaigns anew, is at the end of the line: leadership goes on one duration after the thaw.",
)
HANDS_OVER = "Handing over deletes the leader's key: the holder must watch its key, or check it in its transactions, to notice."


class Etcd(Foreign):
    """One election. Options: docs/etcd.md."""

    name = "etcd"

    def __init__(self, application: str, options: Mapping[str, Any]) -> None:
        self.application = application
        given = Options(options)
        endpoints = given.urls("endpoints", ("http", "https"), "https://e1:2379")
        election = given.text("election", "the name of the election, which is the first part of its keys", needed=True)
        user, password_file = (given.text(key, "a text") for key in ("user", "password_file"))
        tls = {key: given.text(key, "the path of a file") for key in ("ca_file", "cert_file", "key_file")}
        timeout = given.seconds("timeout", 0.5, 30, 5.0)
        self._hold = int(given.seconds("hold_for", 60, 86400, HOLD))
        self._hands_over = given.take("transfer", bool, "true or false", False)
        self._units = _election.Units(given.take("units", dict, "an object of unit: value of its key"))
        given.finish()
        both("user", user, "password_file", password_file)
        both("cert_file", tls["cert_file"], "key_file", tls["key_file"])
        if user and clear_text(endpoints):
            raise Invalid(f"endpoints must be https with a user: {clear_text(endpoints)[0]} would carry the password readable")
        self._prefix = election.rstrip("/").encode() + b"/"
        self._gateway = Gateway(endpoints, user, password_file, timeout=timeout, **tls)
        self._sessions: dict[tuple[bytes, int], int] = {}  # of keys that we took from a session that their name does not tell
        self._held: Optional[Kv] = None  # the key that is frozen
        self._vacant = False  # it was told that nobody leads
        self._term = 0  # the last one that was seen, for the time in which nobody leads
        self.capabilities = Capabilities(
            scope="lease", terms=True, reads_freeze=True, transfer=self._hands_over, notes=NOTES + ((HANDS_OVER,) if self._hands_over else ()))

    def close(self) -> None:
        self._gateway.close()

    # Reading

    def _candidates(self) -> Sequence[Kv]:
        """Their keys, the leader's first: the same order by which candidates wait for each other."""
        return self._gateway.range(self._prefix, prefix_end(self._prefix), oldest_first=True).kvs

    def _mark(self, kv: Kv) -> _election.Mark:
        return _election.mark(self.application, kv)

    def _frozen(self, kv: Kv) -> bool:
        return kv.lease == 0 or self._mark(kv).kind == "freeze"  # a key without a lease has no end anyway

    def _session(self, kv: Kv) -> int:
        """The lease that the key had before it was ours."""
        return kv.lease if self._mark(kv).kind is None else self._sessions.get((kv.key, kv.create)) or _election.session(kv)

    def read(self) -> Leadership:
        return self._leadership(self._candidates())

    def _leadership(self, keys: Sequence[Kv]) -> Leadership:
        members = self._members(keys)
        if not keys:
            return Leadership(None, self._term, False, members)
        self._term = max(self._term, keys[0].create)
        return Leadership(self._units.of(keys[0], self.application), keys[0].create, self._frozen(keys[0]), members)

    def _members(self, keys: Sequence[Kv]) -> tuple[Member, ...]:
        found: dict[str, list[str]] = {unit: [] for unit in self._units.named}
        for kv in keys:
            unit = self._units.find(kv)
            if unit is not None:
                found.setdefault(unit, []).append(self._trouble(kv))
        return tuple(Member(unit, "" in troubles, "" if "" in troubles else (troubles or ["is no candidate"])[0]) for unit, troubles in found.items())

    def _trouble(self, kv: Kv) -> str:
        """Why the program behind this key is not to be counted on; empty while its session lives."""
        if self._mark(kv).kind is None:
            return ""  # the key is there, so its session is
        session = self._session(kv)
        return "" if session and self._gateway.time_to_live(session) else "its session has ended"

    # Freezing

    def displaced(self) -> dict[str, Any]:
        """{"key": base64, "term": its creation revision, "session": the lease under it, "seconds": that lease's duration}; {} when nobody leads."""
        keys = self._candidates()
        if not keys:
            return {}
        leader, mark = keys[0], self._mark(keys[0])
        self._not_anothers(leader)
        alive = self._gateway.time_to_live(leader.lease) if mark.kind is None and leader.lease else None
        seconds = alive.granted if alive else mark.seconds or SESSION
        return {"key": encode(leader.key), "term": leader.create, "session": self._session(leader), "seconds": seconds}

    def freeze(self, displaced: Mapping[str, Any]) -> Leadership:
        self._remember(displaced)
        end = time.monotonic() + PATIENCE
        while True:
            keys = self._candidates()
            if not keys or self._kept(keys[0]):
                under = self._leadership(keys)
                self._held, self._vacant = (keys[0], False) if keys else (None, True)
                return under
            self._in_time(end, "frozen")
            self._take(keys[0])

    def _kept(self, leader: Kv) -> bool:
        """Whether the key is frozen, and our lease under it has its full time again."""
        return leader.lease == 0 or self._mark(leader).kind == "freeze" and self._gateway.keep_alive(leader.lease) > 0

    def _take(self, leader: Kv) -> None:
        """Hang the key on our lease, if it is still the one that was read. Whether it came to pass is read afterwards."""
        self._not_anothers(leader)
        alive = self._gateway.time_to_live(leader.lease)
        if alive is None:
            return  # it has just ended, and the key with it
        self._sessions[leader.key, leader.create] = self._session(leader)
        ours = _election.freeze_id(self.application, leader, self._mark(leader).seconds or alive.granted)
        self._live(ours, self._hold)
        self._move(leader, ours)

    def _live(self, lease: int, seconds: int) -> None:
        """The lease is there and its time begins now."""
        if self._gateway.keep_alive(lease):
            return
        try:
            self._gateway.grant(seconds, lease)
        except (Refused, Unsure) as trouble:
            # There since a moment ago (9), or nobody knows: it is there, or the move is refused and all is read again.
            if isinstance(trouble, Refused) and trouble.code != 9:
                raise

    def _move(self, kv: Kv, lease: int) -> None:
        try:
            self._gateway.txn([created(kv.key, kv.create), leased(kv.key, kv.lease)], [move(kv.key, lease)])
        except Unsure:
            pass  # the caller reads
        except Refused as refused:
            if refused.code != 5:  # 5: the lease has just ended
                raise

    def _not_anothers(self, leader: Kv) -> None:
        if self._mark(leader).kind == "foreign":
            raise Denied(f"the election of {self.application} is frozen by another lease endpoint; unpin it there, or let one endpoint alone serve it")

    def _in_time(self, end: float, what: str) -> None:
        if time.monotonic() > end:
            raise Unreachable(f"{self.application} could not be {what} in {PATIENCE:.0f} s: its key changed each time it was taken; it will be tried again")

    def _remember(self, displaced: Mapping[str, Any]) -> None:
        """What the ledger knows of the first key, after a restart."""
        if displaced.get("session"):
            self._sessions.setdefault((decode(displaced["key"]), displaced["term"]), displaced["session"])

    # Keeping

    def tend(self, displaced: Mapping[str, Any]) -> list[str]:
        keys = self._candidates()
        if not keys and self._vacant:
            return []
        if keys and self._kept(keys[0]):
            self._held, self._vacant = keys[0], False
            return []
        before = None if self._vacant else self._held or self._first(displaced)
        under, now = self.freeze(displaced), self._held
        if before is None:
            return [f"{self.application} has a leader now, {under.holder}; it is frozen"] if now else []
        if now is not None and (now.key, now.create) == (before.key, before.create):
            return [f"{under.holder} wrote its key of {self.application} anew, and so had it on its own session; it is frozen again"]
        if self._gateway.time_to_live(before.lease):
            why = f"the key of {self.application} that was frozen has been deleted: its holder gave leadership up"
        else:
            why = f"the freeze of {self.application} ran out, for nobody kept it alive for {self._hold} s while the endpoint was told to hold"
        return [f"{why}; {f'{under.holder} leads now and is frozen' if now else 'nobody leads now'}"]

    def _first(self, displaced: Mapping[str, Any]) -> Optional[Kv]:
        """The key that was frozen first, as it was then."""
        if not displaced.get("key"):
            return None
        kv = Kv(decode(displaced["key"]), b"", displaced["term"], 0, 0, 0)
        return Kv(kv.key, b"", kv.create, 0, 0, _election.freeze_id(self.application, kv, displaced["seconds"]))

    # Giving back

    def thaw(self, displaced: Mapping[str, Any]) -> None:
        self._remember(displaced)
        end = time.monotonic() + PATIENCE
        while True:
            ours = [kv for kv in self._candidates() if self._mark(kv).kind == "freeze"]
            if not ours:
                break
            self._in_time(end, "thawed")
            for kv in ours:
                self._give_back(kv)
        self._held, self._vacant = None, False
        self._sessions.clear()

    def _give_back(self, kv: Kv) -> None:
        """To its session, which has one full duration from now; if that has ended, to a lease of that duration which nobody keeps alive."""
        session = self._session(kv)
        if session and self._gateway.keep_alive(session):
            self._move(kv, session)
            return
        seconds = self._mark(kv).seconds
        grace = _election.grace_id(self.application, kv, seconds)
        self._live(grace, seconds)
        self._move(kv, grace)

    # Handing over

    def transfer(self, to: str, term: int) -> Leadership:
        """Resign for the holder: its key is deleted, and the next in line leads. Only the next in line can be led to."""
        if not self._hands_over:
            raise Unsupported(f"{self.application}: handing over would delete the leader's key; say transfer: true in its options if its holder notices that")
        keys = self._candidates()
        if not keys:
            raise NoLeader(f"{self.application} has no candidates at present; start its units first, then try again")
        leader, units = keys[0], [self._units.find(kv) for kv in keys]
        if leader.create != term:
            raise Stale(f"{self.application} is in term {leader.create}, not {term}; read it again", term=leader.create)
        if units[0] == to:
            return self._leadership(keys)
        if to not in units:
            raise NoLeader(f"{to} is no candidate in the election of {self.application} at present; start it, then hand over")
        if units[1] != to:
            raise Denied(f"in the election of {self.application} {units[1] or 'a stranger'} is next in line, and {to} only after it; hand over to that one")
        self._resign(leader, keys[1])
        after = self.read()
        if (after.holder, after.term) != (to, keys[1].create):
            raise Unreachable(f"{self.application} is led by {after.holder}, term {after.term}, after it was handed over to {to}; read it again")
        return after

    def _resign(self, leader: Kv, successor: Kv) -> None:
        """One transaction: the key goes, and the freeze goes over to the successor's."""
        compare, parts = [created(leader.key, leader.create), created(successor.key, successor.create)], [delete(leader.key)]
        frozen = self._frozen(leader) and successor.lease
        if frozen:
            alive = self._gateway.time_to_live(successor.lease)
            ours = _election.freeze_id(self.application, successor, alive.granted if alive else SESSION)
            self._live(ours, self._hold)
            compare.append(leased(successor.key, successor.lease))
            parts.append(move(successor.key, ours))
        if not self._gateway.txn(compare, parts).succeeded:
            raise Denied(f"{self.application} was not handed over: its candidates changed at the same moment; read it, then try again")
        if frozen:
            self._sessions[successor.key, successor.create] = successor.lease
            self._held = Kv(successor.key, successor.value, successor.create, 0, 0, ours)
