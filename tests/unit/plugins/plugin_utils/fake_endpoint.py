# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lease endpoint in memory, for tests of whoever speaks with one: its clock is moved by hand, and it can be made to refuse or to be silent."""

from __future__ import annotations

import dataclasses

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease.lease import Lease, Leases, Outcome, Pin, Pinned, Unreachable

SESSION_TTL = 60.0


class FakeEndpoint:
    """Speaks as Client does. `now` is its clock, `silent` makes it unreachable, `calls` names what was asked."""

    def __init__(self, identity="ops", **leaders):
        self.identity = identity
        self.now = 0.0
        self.silent = False
        self.refuse = {}
        self.promised = False
        self.calls = []
        self.heard = {}
        self.all = {name: Lease(name, holder, term=1) for name, holder in leaders.items()}

    def move(self, application, holder):
        """The leadership goes to HOLDER, whatever pins say."""
        lease = self.all[application]
        self.all[application] = dataclasses.replace(lease, holder=holder, term=lease.term + 1)

    def whoami(self):
        self._called("whoami")
        return {"identity": self.identity, "scopes": ["read", "pin"], "applications": None}

    def leases(self, names=None):
        self._called("leases")
        wanted = list(self.all) if names is None else list(names)
        return Leases(((name, self._seen(name)) for name in wanted if name in self.all), [name for name in wanted if name not in self.all])

    def pin(self, names, run, reason, duration=3600.0, session=None, exclusive=False, session_over=False):
        self._called("pin")
        return {name: self._pin(name, "%s/%s" % (self.identity, run), run, reason, session, exclusive, session_over) for name in names}

    def unpin(self, names, run, reason="", pinner=None):
        self._called("unpin")
        answer = {}
        for name in names:
            mine = "%s/%s" % (self.identity, run)
            before = self.all[name]
            self.all[name] = dataclasses.replace(before, pins=tuple(pin for pin in before.pins if pin.pinner != mine))
            answer[name] = Outcome(name, True, changed=self.all[name] != before, lease=self._seen(name))
        return answer

    def transfer(self, application, to, reason, run=None, term=None, revision=None):
        self._called("transfer")
        self.move(application, to)
        lease = self.all[application]
        pins = tuple(dataclasses.replace(pin, holder=to, term=lease.term) if pin.run == run else pin for pin in lease.pins)
        self.all[application] = dataclasses.replace(lease, pins=pins, handover={"from": "somebody", "until_in": 7.0} if self.promised else None)
        return self._seen(application)

    def stranger_pins(self, application, pinner="boss/by-hand"):
        lease = self.all[application]
        theirs = Pin(pinner, run=pinner.partition("/")[2], reason="by hand", until_in=60.0)
        self.all[application] = dataclasses.replace(lease, pins=lease.pins + (theirs,))

    def drop_pins(self, application):
        self.all[application] = dataclasses.replace(self.all[application], pins=())

    def _pin(self, name, pinner, run, reason, session, exclusive, session_over):
        lease = self.all[name]
        if name in self.refuse:
            return Outcome(name, False, kind=self.refuse[name], msg="%s is %s" % (name, self.refuse[name]))
        others = [pin.pinner for pin in lease.pins if pin.pinner != pinner]
        mine = lease.pin_of(pinner)
        if exclusive and others:
            return self._refused(name, others, "%s is pinned by %s" % (name, ", ".join(others)))
        living = mine is not None and mine.session not in (None, session) and self.now - self.heard.get((name, pinner), -SESSION_TTL) < SESSION_TTL
        if exclusive and living:
            return self._refused(name, [pinner], "run %s on %s is still driven by session %s" % (run, name, mine.session))
        if mine is None:
            mine = Pin(pinner, run=run, identity=self.identity, reason=reason, holder=lease.holder, term=lease.term)
        rest = tuple(pin for pin in lease.pins if pin.pinner != pinner)
        self.all[name] = dataclasses.replace(lease, pins=rest + (dataclasses.replace(mine, session=session),))
        self.heard[(name, pinner)] = -SESSION_TTL if session_over else self.now
        return Outcome(name, True, changed=lease.pin_of(pinner) is None, lease=self._seen(name))

    def _refused(self, name, pinners, msg):
        return Outcome(name, False, kind=Pinned.kind, msg=msg, pinners=tuple(pinners))

    def _seen(self, name):
        lease = self.all[name]
        ages = {pin.pinner: self.now - self.heard[(name, pin.pinner)] for pin in lease.pins if (name, pin.pinner) in self.heard}
        pins = tuple(dataclasses.replace(pin, session_seen_in=ages.get(pin.pinner)) for pin in lease.pins)
        return dataclasses.replace(lease, pins=pins)

    def _called(self, what):
        if self.silent:
            raise Unreachable("no answer from the lease endpoint")
        self.calls.append(what)
