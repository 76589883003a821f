# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL cluster under Patroni (3.0 and later), by its REST interface. A freeze is Patroni's own pause of the whole cluster.

Options: members {unit: address} or {unit: {"url": address, "name": member's name in Patroni}}, ca_file, cert_file, key_file, username,
password_file, timeout (seconds for one request), patience (seconds for a freeze, thaw or switchover).

Who leads is who has the leader key; the term is the timeline of the leader's own PostgreSQL.

**A member that cannot be asked.** The leader must confirm the pause itself, else nothing is frozen. Another member is waited for as long
as the cluster's ttl: until then one that still runs has made a round, and each round reads pause and leader key together; one that cannot
read the store cannot take the key. After the ttl it is let be, and shown as not healthy.

**PostgreSQL that is down.** While paused Patroni starts nothing, not even after a reboot. A member is told to (POST /restart) when the pause is
ours, it ran when that began or at any time since, and its own Patroni says twice that PostgreSQL is down. One that was down before is left so.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

from lease_endpoint.errors import Denied, Invalid, NoLeader, Stale, Unreachable
from lease_endpoint.providers import _options
from lease_endpoint.providers._patroni_rest import Rest, Said, address, same_place, tls
from lease_endpoint.providers.foreign import Capabilities, Foreign, Leadership, Member

POLL = 0.3  # seconds between two looks at something that is on its way
SETTLE = 10.0  # seconds that a promotion may be on its way before a reading gives up
AGAIN = 0.5  # seconds after which a member that is down is asked once more
RESTART = 60.0  # seconds for a start of PostgreSQL with its recovery
TTL, MAXIMUM_LAG = 30.0, 1048576  # Patroni's own defaults


class Patroni(Foreign):
    """One cluster."""

    name = "patroni"
    capabilities = Capabilities(
        scope="cluster", terms=True, reads_freeze=True, transfer=True, survives_holder_restart=True,
        notes=("a pin pauses the whole cluster: no failover, no restart of PostgreSQL by Patroni, while it lives",
               "PostgreSQL that ran under the pin and is down after a reboot is started again"))

    def __init__(self, application: str, options: Mapping[str, Any]) -> None:
        self.application = application
        given = _options.Options(options)
        members = given.take("members", dict, 'an object of units, as {"db/0": "https://m1:8008"}', needed=True)
        username = given.text("username", "a name")
        password_file, ca_file, cert_file, key_file = [self._readable(key, given.text(key, "the path of a file")) for key in (
            "password_file", "ca_file", "cert_file", "key_file")]
        timeout, self._patience = given.seconds("timeout", 0.5, 30, 5.0), given.seconds("patience", 1, 300, 30.0)
        given.finish()
        _options.both("username", username, "password_file", password_file)
        _options.both("cert_file", cert_file, "key_file", key_file)
        self._names: dict[str, Optional[str]] = {}
        addresses = {_options.unit("members", name): self._address(name, value) for name, value in members.items()}
        clear = _options.clear_text(list(addresses.values()))
        if password_file and clear:
            raise Invalid(f"members: {', '.join(clear)} would get the password in the clear; give https addresses")
        self._rest = Rest(addresses, tls(ca_file, cert_file, key_file), timeout, username, password_file)
        self._last: dict[str, Said] = {}
        self._ran: set[str] = set()

    def _address(self, name: str, value: Any) -> str:
        if isinstance(value, dict) and set(value) <= {"url", "name"} and isinstance(value.get("name", ""), str):
            self._names[name] = value.get("name")
            value = value.get("url")
        return address(name, value)

    @staticmethod
    def _readable(key: str, path: Optional[str]) -> Optional[str]:
        if path is not None:
            try:
                Path(path).read_bytes()
            except OSError as trouble:
                raise Invalid(f"{key}: {path} cannot be read: {trouble.strerror}") from trouble
        return path

    def close(self) -> None:
        self._rest.close()

    # Reading

    def read(self) -> Leadership:
        """Waits a moment for a leader that is being promoted: its key is new and its timeline still the old one."""
        end = time.monotonic() + SETTLE
        while True:
            said = self._rest.everybody()
            read, why = self._understood(said)
            if read is not None:
                self._last = said
                return read
            if time.monotonic() >= end:
                raise Unreachable(f"{self.application}: {why}")
            time.sleep(POLL)

    def _understood(self, said: Mapping[str, Said]) -> tuple[Optional[Leadership], str]:
        """The leadership, or why it cannot be told at this moment."""
        views = [one.cluster for one in said.values() if one.cluster is not None]
        if not views:
            raise Unreachable(f"{self.application}: no member could tell who leads: " + "; ".join(one.trouble for one in said.values()))
        leaders = {_leader(view) for view in views}
        if len(leaders) > 1:
            return None, "its members do not agree who leads: " + ", ".join(sorted(leader or "nobody" for leader in leaders))
        view, leader = views[0], leaders.pop()
        rows = {row["name"]: row for row in view.get("members", [])}
        units = self._units(rows, said)
        timelines = [row["timeline"] for row in rows.values() if isinstance(row.get("timeline"), int)]
        holder, term = None, max(timelines, default=0)
        if leader is not None:
            holder = units.get(leader)
            if holder is None:
                raise Unreachable(f"{self.application}: its leader {leader} is none of the members given here; add it to members, with its name if need be")
            own = said[holder].own
            if own is None:
                term = rows[leader].get("timeline", term)
            elif said[holder].running and not said[holder].primary:
                return None, f"{holder} has the leader key and is not promoted yet"
            else:
                term = own.get("timeline") or rows[leader].get("timeline") or term
        members = tuple(self._member(one, rows.get(name), one.unit == holder) for one in said.values() for name in [_name_of(one.unit, units)])
        return Leadership(holder, int(term), any(bool(seen.get("pause")) for seen in views), members), ""

    def _units(self, rows: Mapping[str, Mapping[str, Any]], said: Mapping[str, Said]) -> dict[str, str]:
        """Unit by the member's name in Patroni: by the name that was given, that it tells itself (since 3.3), or by its address in the store."""
        found = {}
        for unit, place in self._rest.members.items():
            name = self._names.get(unit) or ((said[unit].own or {}).get("patroni") or {}).get("name")
            if name is None:
                name = next((row["name"] for row in rows.values() if same_place(str(row.get("api_url", "")), place)), None)
            if name is not None:
                found[name] = unit
        return found

    def _member(self, one: Said, row: Optional[Mapping[str, Any]], leads: bool) -> Member:
        lag = (row or {}).get("lag")
        if one.own is None:
            return Member(one.unit, False, one.trouble)
        if not one.running:
            return Member(one.unit, False, one.told)
        if row is None:
            return Member(one.unit, False, "the cluster does not know it at present")
        return Member(one.unit, True, str(row.get("state", one.state)), 0 if leads else lag if isinstance(lag, int) else None)

    # Freezing

    def displaced(self) -> dict[str, Any]:
        """Whether somebody had paused it already, and whose PostgreSQL ran at that time."""
        read = self.read()
        return {"pause": read.frozen, "running": sorted(unit for unit, one in self._last.items() if one.running)}

    def freeze(self, displaced: Mapping[str, Any]) -> Leadership:
        ttl = float(self._configure({"pause": True}).get("ttl", TTL))
        begun = time.monotonic()
        while True:
            read, passed = self.read(), time.monotonic() - begun
            asked = [one for one in self._last.values() if one.own is not None]
            alone = read.holder is not None and self._last[read.holder].own is None
            others = len(asked) < len(self._last) and passed < ttl
            if read.frozen and not alone and not others and all(one.paused for one in asked):
                return read
            if passed > (self._patience if alone or not others else ttl + self._patience):
                lacking = [one.unit for one in self._last.values() if not one.paused]
                raise Unreachable(f"{self.application} was told to pause, and not all of it has confirmed that: {', '.join(lacking) or 'the store'}; "
                                  "bring them up, or take them out of members")
            time.sleep(POLL)

    def thaw(self, displaced: Mapping[str, Any]) -> None:
        self._ran.clear()
        if displaced.get("pause"):
            return  # it was paused before us, and stays so
        self._configure({"pause": None})
        self._until(lambda: not self.read().frozen or None, lambda: f"{self.application} was told to resume, and is still paused", self._patience)

    def _configure(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH /config at the first member that can do it; answers the whole configuration after it."""
        troubles = []
        for unit in self._order():
            try:
                answer = self._rest.send(unit, "PATCH", "/config", dict(change))
            except Unreachable as trouble:
                troubles.append(trouble.msg)
                continue
            if answer.status_code == 200:
                return answer.json()
            troubles.append(f"{unit} answered PATCH /config with HTTP {answer.status_code}")
        raise Unreachable(f"{self.application}: no member took the change of its configuration: " + "; ".join(troubles))

    def _order(self) -> list[str]:
        """Members that answered last first: nobody should wait for a dead one."""
        return sorted(self._rest.members, key=lambda unit: self._last.get(unit, Said(unit)).own is None)

    @staticmethod
    def _until(look: Callable[[], Any], why: Callable[[], str], seconds: float) -> Any:
        end, trouble = time.monotonic() + seconds, None
        while True:
            try:
                found = look()
            except Unreachable as again:
                found, trouble = None, again
            if found is not None:
                return found
            if time.monotonic() >= end:
                raise trouble or Unreachable(why())
            time.sleep(POLL)

    # While it is frozen

    def tend(self, displaced: Mapping[str, Any]) -> list[str]:
        self._last = self._rest.everybody()
        self._ran |= {unit for unit, one in self._last.items() if one.running}
        if displaced.get("pause"):
            return []
        told, troubles = [], []
        for unit, one in self._last.items():
            if one.down and one.paused and unit in self._ran | set(displaced.get("running", ())):
                try:
                    told += self._start(unit)
                except Unreachable as trouble:
                    troubles.append(trouble.msg)
        if troubles and not told:
            raise Unreachable("; ".join(troubles))
        return told + troubles

    def _start(self, unit: str) -> list[str]:
        time.sleep(AGAIN)
        if not self._rest.alone(unit).down:
            return []
        answer = self._rest.send(unit, "POST", "/restart", {}, RESTART)
        if answer.status_code == 200:
            return [f"PostgreSQL of {unit} was down while paused and has been started"]
        raise Unreachable(f"{unit}: PostgreSQL is down and could not be started ({answer.text.strip() or answer.status_code}); look at its log")

    # Handing over

    def transfer(self, to: str, term: int) -> Leadership:
        read = self.read()
        if read.holder == to:
            return read
        if read.holder is None:
            raise NoLeader(f"{self.application} has no leader at present; start its units first, then try again")
        if read.term != term:
            raise Stale(f"{self.application} is on timeline {read.term}, you decided on {term}; read it again", term=read.term)
        view = next(one.cluster for one in self._last.values() if one.cluster is not None)
        rows = {row["name"]: row for row in view["members"]}
        names = {unit: name for name, unit in self._units(rows, self._last).items()}
        self._fit(to, rows.get(names.get(to, "")), rows[names[read.holder]])
        begun = time.monotonic()
        answer = self._rest.send(read.holder, "POST", "/switchover", {"leader": names[read.holder], "candidate": names[to]}, self._patience)
        if answer.status_code == 412:
            raise Denied(f"{self.application} does not go to {to}: {answer.text.strip()}")

        def arrived() -> Optional[Leadership]:
            now = self.read()
            return now if now.holder == to and now.term > term else None

        after = self._until(arrived, lambda: f"{self.application} was told to go to {to} ({answer.text.strip()}), and has not come there", self._patience)
        return self._following(read.holder, begun + self._patience - time.monotonic()) or after

    def _following(self, former: str, seconds: float) -> Optional[Leadership]:
        """The leadership once the former leader is a follower that runs: Patroni restarts it, and its machine is the next to be drained.

        None when it has not come back in time. The handover has come to pass all the same.
        """
        def follows() -> Optional[Leadership]:
            now, said = self.read(), self._last[former]
            return now if said.running and not said.primary else None

        try:
            return self._until(follows, lambda: f"{former} does not follow", seconds)
        except Unreachable:
            return None

    def _fit(self, to: str, row: Optional[Mapping[str, Any]], leader: Mapping[str, Any]) -> None:
        """Raises with a sentence unless `to` may lead without losing anything."""
        said = self._last.get(to)
        if said is None or row is None:
            raise Denied(f"{to} is no member of {self.application} at present; its members are {', '.join(sorted(self._rest.members))}")
        if not said.running:
            raise Denied(f"{to} cannot lead {self.application}: {said.trouble or said.told}; bring it up, then hand over")
        if (row.get("tags") or {}).get("nofailover"):
            raise Denied(f"{to} must not lead {self.application}: it has the tag nofailover")
        if row.get("timeline") != leader.get("timeline"):
            raise Denied(f"{to} is on timeline {row.get('timeline')} and the leader of {self.application} on {leader.get('timeline')}; "
                         "wait until it follows, then hand over")
        config = self._rest.config(to)
        lag, most = row.get("lag"), int(config.get("maximum_lag_on_failover", MAXIMUM_LAG))
        if not isinstance(lag, int):
            raise Denied(f"{to}: how far it lags behind the leader of {self.application} is not known; wait until it streams, then hand over")
        if lag > most:
            raise Denied(f"{to} lags {lag} bytes behind the leader of {self.application}, {most} are allowed (maximum_lag_on_failover); wait, then hand over")
        if config.get("synchronous_mode") and row.get("role") not in ("sync_standby", "quorum_standby"):
            raise Denied(f"{to} is no synchronous standby of {self.application}, and synchronous_mode is on: hand over to one that is")


def _leader(view: Mapping[str, Any]) -> Optional[str]:
    """The name of the member that has the leader key, as one member read it in the store."""
    return next((row["name"] for row in view.get("members", []) if row.get("role") in ("leader", "standby_leader")), None)


def _name_of(unit: str, units: Mapping[str, str]) -> Optional[str]:
    return next((name for name, found in units.items() if found == unit), None)
