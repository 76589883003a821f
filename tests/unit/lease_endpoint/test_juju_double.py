# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provider juju against a double of a controller (tests/juju says what of it is known and what deduced). No real controller was asked."""

from __future__ import annotations

import time

import pytest

from lease_endpoint.errors import Denied, NoLeader, Unreachable, Unsupported
from lease_endpoint.providers import juju
from lease_endpoint.providers.foreign import Member
from tests.contract.endpoint import until
from tests.etcd import Certificates
from tests.juju.double_controller import MODEL, DoubleController
from tests.juju.double_model import DoubleModel

DB = ["0", "1", "2"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("juju"))
    made.server = made.issue("juju-apiserver")
    return made


class Stage:
    """A double with one application on three machines, and providers that speak to it."""

    def __init__(self, certificates, directory, flavour="3.6", leases="dqlite"):
        self.model = DoubleModel(leases).deploy("db", DB)
        self.controller = DoubleController(self.model, certificates.server, flavour)
        self.ca, self.directory, self.opened = certificates.ca, directory, []

    def provider(self, user="operator", password=None, application="db", **more):
        path = self.directory / f"{user}.password"
        path.write_text(password or f"{user}-secret", encoding="utf-8")
        options = {"endpoints": ["wss://localhost:1", self.controller.url], "model": MODEL, "user": user, "password_file": str(path), "ca_file": str(self.ca),
                   "series": "jammy", "timeout": 5, "patience": 10, **more}
        opened = juju.Juju(application, options)
        self.opened.append(opened)
        return opened

    def locks(self):
        return {machine.id: machine.lock for machine in self.model.machines.values()}

    def pins(self, application="db"):
        return self.model.leases[application].pins


@pytest.fixture
def stage(request, certificates, tmp_path):
    made = Stage(certificates, tmp_path, *getattr(request, "param", ()))
    with made.controller:
        yield made
        for provider in made.opened:
            provider.close()


both = pytest.mark.parametrize("stage", [("2.9", "raft"), ("3.6", "dqlite")], indirect=True, ids=["double-2.9", "double-3.6"])


@both
def test_double_leader_and_members_are_read_and_the_freeze_is_never_claimed_to_be_read(stage):
    read = stage.provider().read()
    assert (read.holder, read.term, read.frozen) == ("db/0", 0, None)
    assert read.members == tuple(Member(f"db/{number}", True) for number in range(3))
    assert (juju.Juju.capabilities.reads_freeze, juju.Juju.capabilities.terms, juju.Juju.capabilities.transfer) == (False, False, False)


@both
def test_double_freeze_prepares_all_machines_and_the_leader_outlives_its_agent(stage):
    provider = stage.provider()
    displaced = provider.displaced()
    assert displaced == {"machines": DB, "others": {}, "holder": "db/0"}
    under = provider.freeze(displaced)
    assert (under.holder, under.frozen) == ("db/0", None)
    assert set(stage.locks().values()) == {"prepare completed"} and stage.pins() == {"0", "1", "2"}
    stage.model.units["db/0"].alive = False
    stage.model.pass_time(600)
    read = provider.read()
    assert read.holder == "db/0" and read.members[0].healthy is False and "agent lost" in read.members[0].msg
    assert provider.tend(displaced) == []


@both
def test_double_thaw_completes_all_machines_and_then_the_lease_may_move(stage):
    provider = stage.provider()
    displaced = provider.displaced()
    provider.freeze(displaced)
    for machine in stage.model.machines.values():
        machine.host = "jammy"
    provider.thaw(displaced)
    until(lambda: not stage.pins())
    assert set(stage.locks().values()) == {None} and {machine.series for machine in stage.model.machines.values()} == {"jammy"}
    stage.model.units["db/0"].alive = False
    stage.model.pass_time(100)
    assert provider.read().holder == "db/1"


@both
def test_double_arguments_are_those_of_each_version(stage):
    provider = stage.provider()
    displaced = provider.displaced()
    provider.freeze(displaced)
    provider.thaw(displaced)
    prepared, completed = (stage.controller.did(f"UpgradeSeries{verb}") for verb in ("Prepare", "Complete"))
    release = {"series": "jammy"} if stage.controller.version.startswith("2") else {"channel": "22.04/stable"}
    assert prepared[0] == {"tag": {"tag": "machine-0"}, "force": False, **release}
    assert completed[-1] == {"tag": {"tag": "machine-0"}, "force": False, **dict.fromkeys(release, "")}, "the leader's machine is the last to be completed"
    assert [login["client-version"].partition(".")[0] for login in stage.controller.logins][-1] == stage.controller.version.partition(".")[0]


@both
def test_double_freeze_and_thaw_twice_are_like_once(stage):
    provider = stage.provider()
    displaced = provider.displaced()
    assert provider.freeze(displaced) == provider.freeze(displaced)
    assert len(stage.controller.did("UpgradeSeriesPrepare")) == 3
    provider.thaw(displaced)
    provider.thaw(displaced)
    assert len(stage.controller.did("UpgradeSeriesComplete")) == 3


@pytest.mark.parametrize("stage", [("4.0", "dqlite")], indirect=True)
def test_double_of_juju_4_is_refused_with_the_reason_and_still_read(stage):
    provider = stage.provider()
    assert provider.read().holder == "db/0"
    for ask in (provider.displaced, lambda: provider.freeze({"machines": DB})):
        with pytest.raises(Unsupported) as refused:
            ask()
        assert "4.0.15" in refused.value.msg and "taken out of Juju 4.0" in refused.value.msg
    assert set(stage.locks().values()) == {None}


def test_double_machine_prepared_by_somebody_else_is_left_as_it_was(stage):
    stage.model.machines["1"].lock = "prepare started"
    until(lambda: stage.locks()["1"] == "prepare completed")
    provider = stage.provider()
    displaced = provider.displaced()
    assert displaced["machines"] == ["0", "2"] and displaced["others"] == {"1": "prepare completed"}
    provider.freeze(displaced)
    provider.thaw(displaced)
    assert stage.locks() == {"0": None, "1": "prepare completed", "2": None} and stage.pins() == {"1"}


def test_double_freeze_of_a_restarted_endpoint_goes_on_with_what_was_recorded(stage):
    first = stage.provider()
    displaced = first.displaced()
    stage.model.held_back.add("prepared")
    with pytest.raises(Unreachable) as late:
        stage.provider(patience=1).freeze(displaced)
    assert "0, 1, 2" in late.value.msg and "not prepared in 1 s" in late.value.msg
    stage.model.held_back.clear()
    stage.provider().freeze(displaced)
    assert len(stage.controller.did("UpgradeSeriesPrepare")) == 3


def test_double_unready_unit_keeps_every_machine_from_being_prepared(stage):
    stage.model.units["db/2"].agent = "executing"
    provider = stage.provider()
    with pytest.raises(Denied) as refused:
        provider.freeze(provider.displaced())
    assert "db/2" in refused.value.msg and "executing" in refused.value.msg
    assert set(stage.locks().values()) == {None}


def test_double_charm_that_does_not_know_the_release_is_refused_unless_forced(stage):
    stage.model.supported["db"] = ["focal"]
    provider = stage.provider()
    with pytest.raises(Denied) as refused:
        provider.freeze(provider.displaced())
    assert "not supported by charm" in refused.value.msg and set(stage.locks().values()) == {None}
    forced = stage.provider(force=True)
    forced.freeze(forced.displaced())
    assert set(stage.locks().values()) == {"prepare completed"}


def test_double_failing_hook_is_named_and_thaw_waits_for_a_person(stage):
    stage.model.units["db/1"].fails = "pre"
    provider = stage.provider(patience=1)
    displaced = provider.displaced()
    with pytest.raises(Unreachable) as late:
        provider.freeze(displaced)
    assert "machines 1 " in late.value.msg
    with pytest.raises(Unreachable):
        provider.thaw(displaced)
    assert stage.locks() == {"0": None, "1": "prepare started", "2": None}, "what can be completed is"
    stage.model.units["db/1"].fails = None
    provider.thaw(displaced)
    assert set(stage.locks().values()) == {None}


def test_double_slow_completion_is_answered_as_owed_and_done_when_asked_again(stage, monkeypatch):
    monkeypatch.setattr(juju, "THAW", 0.3)
    provider = stage.provider()
    displaced = provider.displaced()
    provider.freeze(displaced)
    stage.model.held_back.add("completed")
    with pytest.raises(Unreachable) as owed:
        provider.thaw(displaced)
    assert "not completed in 0 s" in owed.value.msg
    stage.model.held_back.clear()
    provider.thaw(displaced)
    assert set(stage.locks().values()) == {None} and len(stage.controller.did("UpgradeSeriesComplete")) == 3


def test_double_lock_in_error_is_refused_and_says_what_to_do(stage):
    provider = stage.provider()
    displaced = provider.displaced()
    stage.model.machines["2"].lock = "error"
    for ask in (lambda: provider.freeze(displaced), lambda: provider.thaw(displaced)):
        with pytest.raises(Denied) as refused:
            ask()
        assert "machine 2" in refused.value.msg and "juju status" in refused.value.msg


def test_double_without_a_leader_nothing_is_prepared(stage):
    stage.model.deploy("web", ["7"])
    for number in range(3):
        stage.model.units[f"db/{number}"].alive = False
    stage.model.pass_time(100)
    provider = stage.provider()
    until(lambda: provider.read().holder is None)
    with pytest.raises(NoLeader):
        provider.freeze(provider.displaced())
    assert stage.controller.did("UpgradeSeriesPrepare") == []


def test_double_that_cannot_read_its_leases_is_never_taken_for_no_leader(stage):
    stage.model.lease_store_fails = True
    with pytest.raises(Unreachable) as unknown:
        stage.provider().read()
    assert "could not read its leases" in unknown.value.msg


def test_double_lost_answer_to_prepare_is_read_and_not_guessed(stage):
    provider = stage.provider()
    displaced = provider.displaced()
    stage.controller.cut_after.add("UpgradeSeriesPrepare")
    provider.freeze(displaced)
    assert set(stage.locks().values()) == {"prepare completed"} and len(stage.controller.did("UpgradeSeriesPrepare")) == 3
    stage.controller.cut_after.add("UpgradeSeriesComplete")
    provider.thaw(displaced)
    assert set(stage.locks().values()) == {None}


def test_double_connection_that_was_dropped_for_silence_is_opened_again_for_a_read(stage):
    provider = stage.provider()
    provider.read()
    stage.model.pass_time(200)
    assert provider.read().holder == "db/0" and len(stage.controller.logins) == 2


def test_double_completed_by_hand_is_told_once(stage, monkeypatch):
    monkeypatch.setattr(juju, "CHECK", 0.0)
    provider = stage.provider()
    displaced = provider.displaced()
    provider.freeze(displaced)
    stage.model.machines["1"].lock = "complete started"
    until(lambda: stage.locks()["1"] is None)
    assert provider.tend(displaced) == ["machine 1 of db is no longer prepared: it holds its leader no more"]
    assert provider.tend(displaced) == []
    for machine in ("0", "2"):
        stage.model.machines[machine].lock = "complete started"
    until(lambda: not any(stage.locks().values()))
    assert "nothing holds its leader" in provider.tend(displaced)[-1]


def test_double_leaked_pin_cannot_be_seen_which_is_why_pins_are_only_assumed(stage):
    stage.model.unpin_fails = True
    provider = stage.provider()
    displaced = provider.displaced()
    provider.freeze(displaced)
    provider.thaw(displaced)
    assert stage.pins() == {"0", "1", "2"} and provider.read().frozen is None
    assert stage.model.log.index(("lock deleted", "2")) > 0 and ("unpin", "2") not in stage.model.log


def test_double_agent_pins_some_time_after_prepare_was_answered_and_the_freeze_waits_for_it(stage):
    stage.model.held_back.add("pin")
    provider = stage.provider(patience=1)
    displaced = provider.displaced()
    with pytest.raises(Unreachable):
        provider.freeze(displaced)
    assert set(stage.locks().values()) == {"prepare started"} and stage.pins() == set()
    stage.model.held_back.clear()
    provider.freeze(displaced)
    assert stage.pins() == {"0", "1", "2"}


def test_double_agent_that_could_not_pin_goes_on_and_nobody_is_told(stage):
    stage.model.pin_fails = True
    provider = stage.provider()
    provider.freeze(provider.displaced())
    assert stage.pins() == set() and provider.read().frozen is None


def test_double_machines_on_the_release_already_are_not_prepared_and_all_of_them_is_a_refusal(stage):
    stage.model.machines["1"].series = "jammy"
    provider = stage.provider()
    provider.freeze(provider.displaced())
    assert stage.locks() == {"0": "prepare completed", "1": None, "2": "prepare completed"}
    provider.thaw({"machines": DB})
    for machine in stage.model.machines.values():
        machine.series = "jammy"
    with pytest.raises(Denied) as refused:
        provider.freeze(provider.displaced())
    assert "nothing to prepare" in refused.value.msg


def test_double_subordinates_and_containers_are_found_on_their_machines(stage):
    stage.model.deploy("cache", ["5/lxd/0", "5/lxd/1"])
    stage.model.machines["5"] = type(stage.model.machines["0"])("5")
    stage.model.deploy("agent", ["5/lxd/0", "5/lxd/1"], subordinate_of="cache")
    provider = stage.provider(application="agent")
    assert provider.read().holder == "agent/0"
    provider.freeze(provider.displaced())
    assert stage.controller.did("UpgradeSeriesPrepare")[0]["tag"] == {"tag": "machine-5-lxd-0"}
    assert stage.pins("agent") == {"5/lxd/0", "5/lxd/1"} == stage.pins("cache"), "a machine's pins are for every application on it"
    with pytest.raises(Unsupported):
        provider.transfer("agent/1", 0)


def test_double_user_who_may_only_look_reads_and_cannot_freeze(stage):
    provider = stage.provider("looker")
    displaced = provider.displaced()
    with pytest.raises(Denied) as refused:
        provider.freeze(displaced)
    assert "permission denied" in refused.value.msg and set(stage.locks().values()) == {None}


def test_double_login_troubles_are_named_and_tell_no_secret(stage):
    for prepare, word in (
        (lambda: stage.provider(password="wrong-secret"), "invalid entity name or password"), (lambda: stage.provider(model="nope"), "unknown model"),
        (lambda: setattr(stage.controller, "discharge", True) or stage.provider(), "macaroon"),
        (lambda: setattr(stage.controller, "moved_to", "10.9.9.9") or stage.provider(), "10.9.9.9:17070"),
    ):
        with pytest.raises(Unreachable) as trouble:
            prepare().read()
        assert word in trouble.value.msg and "secret" not in trouble.value.msg


def test_double_with_a_strange_certificate_or_name_is_not_spoken_to(stage, tmp_path):
    strange = Certificates(tmp_path / "strange").ca
    for more in ({"ca_file": str(strange)}, {"server_name": "somebody-else"}):
        with pytest.raises(Unreachable) as trouble:
            stage.provider(**more).read()
        assert "CERTIFICATE_VERIFY_FAILED" in trouble.value.msg
    assert stage.controller.logins == []


def test_no_controller_is_unreachable_and_quickly_so(stage):
    provider = stage.provider(endpoints=["wss://localhost:1", "wss://localhost:2"])
    begun = time.monotonic()
    with pytest.raises(Unreachable) as trouble:
        provider.read()
    assert "localhost:1" in trouble.value.msg and "localhost:2" in trouble.value.msg and time.monotonic() - begun < 5


def test_double_facade_of_pins_is_listed_and_closed_to_users(stage):
    """Why there is no adapter of it: that it is listed does not mean that one may call it."""
    provider = stage.provider()
    provider.read()
    assert 4 in provider._controller.facades["UpgradeSeries"]
    for facade, version, word in (("UpgradeSeries", 4, "permission denied"), ("LeadershipPinner", 1, "unknown version")):
        with pytest.raises(Unreachable) as refused:
            provider._controller.call(facade, version, "PinnedLeadership", {})
        assert word in refused.value.msg


@pytest.mark.parametrize("kind, pinned", [("raft", {"0"}), ("dqlite", set())])
def test_double_of_leases_pins_without_a_leader_as_each_store_does(kind, pinned):
    model = DoubleModel(kind).deploy("db", ["0"])
    model.units["db/0"].alive = False
    model.pass_time(100)
    model._pin("0")
    assert model.leases["db"].pins == pinned


def test_double_of_leases_resigns_while_pinned_as_each_store_does():
    raft, dqlite = (DoubleModel(kind).deploy("db", ["0", "1"]) for kind in ("raft", "dqlite"))
    for model in (raft, dqlite):
        model._pin("0")
    raft.resign("db")
    assert raft.leases["db"].holder is None and raft.leases["db"].pins == {"0"}
    with pytest.raises(RuntimeError):
        dqlite.resign("db")
