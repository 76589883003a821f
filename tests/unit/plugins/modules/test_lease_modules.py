# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doors lease_info, lease_pin and lease_transfer before an endpoint that remembers what it was told."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.leasehold.series_upgrade.plugins.module_utils import _module
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._lease.lease import Lease, Leases, NoLeader, Outcome, Pin, Unreachable
from ansible_collections.leasehold.series_upgrade.plugins.modules import lease_info, lease_pin, lease_transfer

ME = "control1/move"


class Endpoint:
    """As much of a client as the doors use. ``written`` holds every call that would change something."""

    def __init__(self, *leases):
        self.found = {lease.application: lease for lease in leases}
        self.written = []
        self.unreadable = {}

    def leases(self, names=None, partial=False):
        names = list(self.found) if names is None else names
        unreadable = {name: why for name, why in self.unreadable.items() if name in names}
        if unreadable and not partial:
            raise Unreachable("; ".join(unreadable.values()))
        return Leases({name: self.found[name] for name in names if name in self.found and name not in unreadable},
                      [name for name in names if name not in self.found], unreadable)

    def whoami(self):
        return {"identity": "control1", "scopes": ["read", "pin"], "applications": None}

    def pins(self):
        return {"pins": [], "tombstones": [{"application": "db"}], "halts": []}

    def pin(self, names, run, reason, duration, session, exclusive, allow_no_leader):
        self.written.append(("pin", list(names)))
        outcomes = {}
        for name in names:
            lease = self.found.get(name, Lease(name))
            refusal = lease.refusal_of_pin(ME, exclusive, allow_no_leader)
            if refusal:
                outcomes[name] = Outcome(name, False, kind=refusal.kind, msg=refusal.msg)
                continue
            self.found[name] = lease.with_pin(Pin("control1/" + run, reason=reason))
            outcomes[name] = Outcome(name, True, self.found[name] != lease, self.found[name])
        return outcomes

    def unpin(self, names, run, reason, pinner):
        self.written.append(("unpin", list(names)))
        outcomes = {}
        for name in names:
            lease = self.found[name]
            self.found[name] = lease.without_pin(pinner or "control1/" + run)
            if name in self.unreadable:
                outcomes[name] = Outcome(name, True, self.found[name] != lease, unreadable={"kind": "unreachable", "msg": self.unreadable[name]})
            else:
                outcomes[name] = Outcome(name, True, self.found[name] != lease, self.found[name])
        return outcomes

    def transfer(self, application, to, reason, run, term):
        self.written.append(("transfer", application, to, term))
        return Lease(application, to, term + 1)


@pytest.fixture(name="ask")
def ask_(monkeypatch, capsys):
    def ask(door, endpoint, check=False, **options):
        monkeypatch.setattr(_module, "client", lambda params: endpoint)
        with patch_module_args({"endpoint_url": "http://x", "_ansible_check_mode": check, "_ansible_diff": True, **options}):
            with pytest.raises(SystemExit):
                door.main()
        return json.loads(capsys.readouterr().out)
    return ask


def test_info_tells_leases_and_the_unknown(ask):
    answer = ask(lease_info, Endpoint(Lease("db", "db/0", 3)), applications=["db", "nope"])
    assert answer["leases"]["db"]["holder"] == "db/0" and answer["unknown"] == ["nope"] and not answer["changed"]
    assert "halts" not in answer


def test_info_lists_lapsed_pins_when_asked(ask):
    assert ask(lease_info, Endpoint(), lapsed=True)["tombstones"] == [{"application": "db"}]


def test_info_that_cannot_find_out_fails(ask, monkeypatch):
    endpoint = Endpoint()

    def silent(names, partial):
        raise Unreachable("no answer")

    monkeypatch.setattr(endpoint, "leases", silent)
    answer = ask(lease_info, endpoint)
    assert answer["failed"] and answer["kind"] == "unreachable" and "leases" not in answer


def test_info_names_what_it_could_read_and_fails_for_what_it_could_not(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3), Lease("pg", "pg/0", 1))
    endpoint.unreadable["pg"] = "pg cannot be read: no member of pg answers"
    answer = ask(lease_info, endpoint)
    assert answer["failed"] and answer["kind"] == "unreachable" and answer["msg"] == "pg cannot be read: no member of pg answers"
    assert list(answer["leases"]) == ["db"] and list(answer["unreadable"]) == ["pg"] and answer["unknown"] == []


def test_unpin_of_what_cannot_be_read_works_and_warns(ask):
    endpoint = Endpoint(Lease("pg", "pg/0", 1).with_pin(Pin(ME)))
    endpoint.unreadable["pg"] = "no member of pg answers"
    answer = ask(lease_pin, endpoint, applications=["pg"], run="move", state="absent")
    assert answer["changed"] and not answer.get("failed") and answer["leases"] == {}
    assert "who leads pg could not be read: no member of pg answers" in str(answer["warnings"])


def test_unpin_warns_of_a_thaw_that_is_owed(ask):
    endpoint = Endpoint(Lease("pg", "pg/0", 1, freeze={"wanted": False, "error": "pg/0 did not answer"}).with_pin(Pin(ME)))
    answer = ask(lease_pin, endpoint, applications=["pg"], run="move", state="absent")
    assert "pg is frozen still (pg/0 did not answer); the endpoint goes on trying" in str(answer["warnings"])


def test_check_mode_does_not_foresee_what_cannot_be_read(ask):
    endpoint = Endpoint(Lease("pg", "pg/0", 1))
    endpoint.unreadable["pg"] = "no member of pg answers"
    answer = ask(lease_pin, endpoint, check=True, applications=["pg"], run="move")
    assert answer["failed"] and answer["kind"] == "unreachable"


def test_transfer_where_it_cannot_be_done_is_foreseen(ask):
    endpoint = Endpoint(Lease("jj", "jj/0", 0, provider="juju", units=("jj/0", "jj/1"), capabilities={"transfer": False}))
    answer = ask(lease_transfer, endpoint, check=True, application="jj", to="jj/1")
    assert answer["failed"] and answer["kind"] == "unsupported" and "led by juju" in answer["msg"]


def test_pin_pin_unpin_unpin(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3), Lease("web", "web/0", 1))
    options = {"applications": ["db", "web"], "run": "move", "reason": "because"}
    assert [ask(lease_pin, endpoint, state=state, **options)["changed"] for state in ("present", "present", "absent", "absent")] == [True, False, True, False]


def test_pin_shows_its_own_pins_before_and_after(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3).with_pin(Pin("other/x")))
    answer = ask(lease_pin, endpoint, applications=["db"], run="move", reason="because")
    assert answer["diff"] == {"before": {"db": "not pinned by control1/move"}, "after": {"db": "pinned by control1/move: because"}}
    assert [pin["pinner"] for pin in answer["leases"]["db"]["pins"]] == ["other/x", ME]


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("lease", [Lease("db", "db/0", 3), Lease("db", "db/0", 3).with_pin(Pin(ME, reason="because"))], ids=["unpinned", "pinned"])
def test_check_mode_foresees_change_and_diff_and_writes_nothing(ask, state, lease):
    endpoint = Endpoint(lease)
    options = {"applications": ["db"], "run": "move", "reason": "because", "state": state}
    foreseen = ask(lease_pin, endpoint, check=True, **options)
    assert not endpoint.written
    done = ask(lease_pin, endpoint, **options)
    assert (foreseen["changed"], foreseen["diff"]) == (done["changed"], done["diff"])


@pytest.mark.parametrize("check", [False, True])
def test_refused_application_fails_and_those_that_worked_are_named(ask, check):
    endpoint = Endpoint(Lease("db", "db/0", 3), Lease("idle"))
    answer = ask(lease_pin, endpoint, check=check, applications=["db", "idle"], run="move")
    assert answer["failed"] and answer["changed"] and answer["kind"] == "no_leader"
    assert list(answer["leases"]) == ["db"] and list(answer["refused"]) == ["idle"]
    assert answer["msg"] == "1 of 2 applications refused: idle has no live leader, so there is nothing to pin"


def test_check_mode_knows_an_application_nobody_has_heard_of(ask):
    answer = ask(lease_pin, Endpoint(), check=True, applications=["nope"], run="move")
    assert answer["kind"] == "no_leader" and "never heard of nope" in answer["msg"]
    assert not ask(lease_pin, Endpoint(), check=True, applications=["nope"], run="move", state="absent")["changed"]


def test_anothers_pin_is_removed_by_its_full_name(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3).with_pin(Pin("other/x")))
    answer = ask(lease_pin, endpoint, applications=["db"], run="move", state="absent", pinner="other/x", reason="they left")
    assert answer["changed"] and answer["pinner"] == "other/x" and answer["leases"]["db"]["pins"] == []


def test_pin_under_anothers_name_is_refused(ask):
    answer = ask(lease_pin, Endpoint(), applications=["db"], run="move", pinner="other/x")
    assert answer["failed"] and answer["kind"] == "invalid"


def test_transfer_carries_the_term_that_was_read(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3))
    answer = ask(lease_transfer, endpoint, application="db", to="db/1")
    assert endpoint.written == [("transfer", "db", "db/1", 3)]
    assert answer["changed"] and answer["diff"] == {"before": {"holder": "db/0", "term": 3}, "after": {"holder": "db/1", "term": 4}}


BOTH = ("db/0", "db/1")


def test_transfer_in_check_mode_foresees_the_same_and_writes_nothing(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3, units=BOTH))
    answer = ask(lease_transfer, endpoint, check=True, application="db", to="db/1")
    assert answer["changed"] and answer["lease"]["term"] == 4 and not endpoint.written


def test_transfer_to_the_leader_changes_nothing(ask):
    endpoint = Endpoint(Lease("db", "db/0", 3))
    assert not ask(lease_transfer, endpoint, application="db", to="db/0")["changed"] and not endpoint.written


@pytest.mark.parametrize("lease, options, kind", [
    (Lease("db", "db/0", 3).with_pin(Pin("other/x")), {"run": "move"}, "pinned"),
    (Lease("db", "db/0", 3), {"term": 2}, "stale"),
    (Lease("web", "web/0", 1), {}, "no_leader"),
    (Lease("db"), {}, "no_leader"),
    (Lease("db", "db/0", 3, units=("db/0",)), {}, "no_leader"),
])
def test_transfer_that_may_not_be_is_foreseen(ask, lease, options, kind):
    answer = ask(lease_transfer, Endpoint(lease), check=True, application="db", to="db/1", **options)
    assert answer["failed"] and answer["kind"] == kind


def test_own_pin_does_not_stand_in_the_way_of_a_transfer(ask):
    assert ask(lease_transfer, Endpoint(Lease("db", "db/0", 3, units=BOTH).with_pin(Pin(ME))), check=True, application="db", to="db/1", run="move")["changed"]


def test_error_of_an_item_is_of_its_kind():
    assert isinstance(Outcome("db", False, kind="no_leader", msg="x").error, NoLeader)
