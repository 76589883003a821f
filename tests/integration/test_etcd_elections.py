# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provider etcd on real elections: `etcdctl elect` as it comes, and sessions that campaign through etcd's own election service."""

from __future__ import annotations

import os
import signal

import pytest

from lease_endpoint.errors import Denied, NoLeader, Stale, Unreachable, Unsupported
from lease_endpoint.etcd_gateway import Gateway, Unsure
from lease_endpoint.etcd_words import created, move, prefix_end, put
from lease_endpoint.providers.etcd import Etcd as Provider
from lease_endpoint.providers.foreign import Member
from tests.contract.endpoint import until
from tests.etcd import Etcd, missing
from tests.etcd_sessions import Elect, Session
from tests.integration.other_series import NotToBeHad, unpacked

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    # A lease of etcd lasts at least one and a half times the time of its own elections: short ones make short sessions possible.
    with Etcd(tmp_path_factory.mktemp("etcd"), arguments=("--election-timeout", "500", "--heartbeat-interval", "100")) as running:
        yield running


@pytest.fixture
def election(request):
    return f"elections/{request.node.name}"


@pytest.fixture
def provider(etcd, election):
    opened = Provider("db", {"endpoints": etcd.endpoints, "election": election, "transfer": True})
    yield opened
    opened.close()


def lease_of(etcd, election):
    """The lease under the leader's key."""
    prefix = election.encode() + b"/"
    return Gateway(etcd.endpoints).range(prefix, prefix_end(prefix), oldest_first=True).kvs[0].lease


def test_leader_term_and_candidates_are_those_of_etcdctl_elect(etcd, election, provider):
    first = Elect(etcd, election, "db/0").leads()
    second = Elect(etcd, election, "db/1")
    try:
        until(lambda: len(provider.read().members) == 2)
        read = provider.read()
        assert (read.holder, read.frozen) == ("db/0", False)
        assert read.members == (Member("db/0", True), Member("db/1", True))
        first.end(signal.SIGINT)  # it resigns
        second.leads()
        after = provider.read()
        assert after.holder == "db/1" and after.term > read.term
    finally:
        second.end()


def test_election_without_candidates_has_certainly_no_leader(provider):
    read = provider.read()
    assert (read.holder, read.term, read.members) == (None, 0, ())


def test_term_does_not_fall_when_nobody_leads(etcd, election, provider):
    holder = Session(etcd, election, "db/0").leads()
    term = provider.read().term
    holder.end()
    assert (provider.read().holder, provider.read().term) == (None, term)
    Session(etcd, election, "db/1").leads()
    assert provider.read().term > term


def test_killed_holder_keeps_leadership_past_the_end_of_its_session_while_frozen(etcd, election, provider):
    first = Elect(etcd, election, "db/0").leads()
    second = Elect(etcd, election, "db/1")
    try:
        before = provider.read()
        session = lease_of(etcd, election)
        displaced = provider.displaced()
        assert displaced["session"] == session and displaced["seconds"] == 60
        under = provider.freeze(displaced)
        assert (under.holder, under.term, under.frozen) == ("db/0", before.term, True)
        first.end()
        assert etcd.ctl("lease", "revoke", f"{session:x}")  # what its running out does after 60 s
        read = provider.read()
        assert (read.holder, read.term, read.frozen) == ("db/0", before.term, True)
        assert Member("db/0", False, "its session has ended") in read.members and Member("db/1", True) in read.members
        assert provider.tend(displaced) == [] and not second.said
    finally:
        second.end()


def test_thaw_gives_the_key_back_to_a_living_session_and_nothing_has_changed_for_it(etcd, election, provider):
    holder = Session(etcd, election, "db/0", 30).leads()
    displaced = provider.displaced()
    provider.freeze(displaced)
    assert lease_of(etcd, election) != holder.lease and holder.is_owner()
    provider.thaw(displaced)
    assert lease_of(etcd, election) == holder.lease and holder.is_owner()
    assert holder.gateway.time_to_live(holder.lease).ttl >= 29, "one full duration from now"
    assert provider.read().frozen is False
    holder.end()
    assert provider.read().holder is None


def test_thaw_gives_one_duration_when_the_session_has_ended_and_then_the_next_in_line_leads(etcd, election, provider):
    holder, other = Session(etcd, election, "db/0", 1).leads(), Session(etcd, election, "db/1")
    displaced = provider.displaced()
    provider.freeze(displaced)
    until(lambda: holder.gateway.time_to_live(holder.lease) is None)  # nobody keeps it alive
    provider.thaw(displaced)
    provider.thaw(displaced)  # repeatable
    read = provider.read()
    assert (read.holder, read.frozen) == ("db/0", False) and Member("db/0", False, "its session has ended") in read.members
    assert holder.gateway.time_to_live(lease_of(etcd, election)).granted == 1 and other.leader is None
    other.leads()
    assert provider.read().holder == "db/1"


def test_freeze_and_thaw_twice_are_like_once(etcd, election, provider):
    holder = Session(etcd, election, "db/0").leads()
    displaced = provider.displaced()
    first, second = provider.freeze(displaced), provider.freeze(displaced)
    assert first == second
    provider.thaw(displaced)
    mod = holder.gateway.range(holder.key).kvs[0].mod
    provider.thaw(displaced)
    assert holder.gateway.range(holder.key).kvs[0].mod == mod, "a thaw with nothing to undo writes nothing"


def test_pin_during_the_last_duration_holds_again(etcd, election, provider):
    holder = Session(etcd, election, "db/0", 5).leads()
    displaced = provider.displaced()
    provider.freeze(displaced)
    holder.end()
    provider.thaw(displaced)
    again = provider.displaced()
    assert again["session"] == holder.lease
    assert provider.freeze(again).frozen is True
    provider.thaw(again)
    assert holder.gateway.time_to_live(lease_of(etcd, election)).granted == 5


def test_proclaim_while_frozen_changes_the_value_and_is_frozen_again(etcd, election, provider):
    holder = Session(etcd, election, "db/0").leads()
    displaced = provider.displaced()
    term = provider.freeze(displaced).term
    holder.proclaim("db/0")
    assert lease_of(etcd, election) == holder.lease and provider.read().frozen is False
    said = provider.tend(displaced)
    assert len(said) == 1 and "db/0 wrote its key" in said[0]
    read = provider.read()
    assert (read.holder, read.term, read.frozen) == ("db/0", term, True)
    assert provider.tend(displaced) == []
    holder.end()
    assert provider.read().holder == "db/0"


def test_resignation_while_frozen_is_the_holders_own_will_and_the_next_is_frozen(etcd, election, provider):
    holder, other = Session(etcd, election, "db/0").leads(), Session(etcd, election, "db/1", 7)
    displaced = provider.displaced()
    provider.freeze(displaced)
    holder.resign()
    other.leads()
    said = provider.tend(displaced)
    assert len(said) == 1 and "its holder gave leadership up" in said[0] and "db/1" in said[0]
    assert provider.read().holder == "db/1" and provider.read().frozen is True
    other.end()
    assert provider.read().holder == "db/1"
    provider.thaw(displaced)
    assert other.gateway.time_to_live(lease_of(etcd, election)).granted == 7, "the duration is the second leader's own"


@pytest.mark.parametrize("number, leads", [(signal.SIGKILL, "db/0"), (signal.SIGTERM, "db/1"), (signal.SIGINT, "db/1")], ids=["kill", "term", "int"])
def test_etcdctl_elect_that_is_frozen_stays_leader_when_it_is_killed_and_resigns_when_it_is_stopped_in_good_order(etcd, election, provider, number, leads):
    first = Elect(etcd, election, "db/0").leads()
    second = Elect(etcd, election, "db/1")
    try:
        until(lambda: len(provider.read().members) == 2)
        displaced = provider.displaced()
        provider.freeze(displaced)
        first.end(number)
        provider.tend(displaced)
        assert (provider.read().holder, provider.read().frozen) == (leads, True)
    finally:
        second.end()


def test_all_candidates_gone_is_told_once_and_the_next_leader_is_frozen(etcd, election, provider):
    holder = Session(etcd, election, "db/0").leads()
    displaced = provider.displaced()
    provider.freeze(displaced)
    holder.resign()
    assert "nobody leads now" in provider.tend(displaced)[0]
    assert provider.tend(displaced) == [] and provider.read().holder is None
    Session(etcd, election, "db/1").leads()
    assert "has a leader now, db/1" in provider.tend(displaced)[0]
    assert provider.read().frozen is True


def test_freeze_without_a_leader_waits_for_one(etcd, election, provider):
    assert provider.displaced() == {} and provider.freeze({}).holder is None
    assert provider.tend({}) == []
    holder = Session(etcd, election, "db/0").leads()
    assert "db/0" in provider.tend({})[0]
    holder.end()
    assert provider.read().holder == "db/0"


def test_restarted_endpoint_knows_the_freeze_and_gives_back_what_was_displaced(etcd, election, provider):
    holder = Session(etcd, election, "db/0").leads()
    displaced = provider.displaced()
    provider.freeze(displaced)
    another = Provider("db", {"endpoints": etcd.endpoints, "election": election})
    assert another.read().frozen is True and another.tend(displaced) == []
    assert another.displaced() == displaced, "it can be read off the key, also when the ledger is lost"
    another.thaw(displaced)
    assert lease_of(etcd, election) == holder.lease


def test_freeze_that_ran_out_while_the_endpoint_was_down_is_told_and_leadership_is_frozen_anew(etcd, election, provider):
    holder, other = Session(etcd, election, "db/0").leads(), Session(etcd, election, "db/1")
    displaced = provider.displaced()
    provider.freeze(displaced)
    holder.end()
    holder.gateway.revoke(lease_of(etcd, election))  # what its running out does after an hour
    other.leads()
    restarted = Provider("db", {"endpoints": etcd.endpoints, "election": election})
    said = restarted.tend(displaced)
    assert len(said) == 1 and "ran out" in said[0] and "db/1" in said[0] and restarted.read().frozen is True


def test_resumed_election_moves_the_key_to_the_new_session_and_thaw_gives_it_back_there(etcd, election, provider):
    """ResumeElection of the package: a restarted holder proclaims with the key and revision it knew, under its new session."""
    holder = Session(etcd, election, "db/0").leads()
    displaced = provider.displaced()
    provider.freeze(displaced)
    holder.end()
    resumed = holder.gateway.grant(40).lease
    assert holder.gateway.txn([created(holder.key, int(holder.leader["rev"]))], [put(holder.key, b"db/0", resumed)]).succeeded
    assert "wrote its key" in provider.tend(displaced)[0]
    assert provider.read().members == (Member("db/0", True),)
    provider.thaw(displaced)
    assert lease_of(etcd, election) == resumed


def test_restarted_holder_that_campaigns_anew_is_a_member_again_and_last_in_line(etcd, election, provider):
    holder, other = Session(etcd, election, "db/0", 1).leads(), Session(etcd, election, "db/1")
    displaced = provider.displaced()
    provider.freeze(displaced)
    holder.end()
    Session(etcd, election, "db/0")
    read = provider.read()
    assert read.holder == "db/0" and read.members[0] == Member("db/0", True)
    provider.thaw(displaced)
    other.leads()
    assert provider.read().holder == "db/1", "leadership goes on one duration after the thaw, as the notes say"


def test_two_endpoints_do_not_fight_over_one_election(etcd, election, provider):
    Session(etcd, election, "db/0").leads()
    provider.freeze(provider.displaced())
    other = Provider("another", {"endpoints": etcd.endpoints, "election": election})
    assert other.read().frozen is False
    for refused in (other.displaced, lambda: other.freeze({}), lambda: other.tend({})):
        with pytest.raises(Denied) as trouble:
            refused()
        assert "another lease endpoint" in trouble.value.msg
    other.thaw({})
    assert provider.read().frozen is True


def test_key_without_a_lease_needs_no_freeze_and_is_left_alone(etcd, election, provider):
    gateway = Gateway(etcd.endpoints)
    gateway.txn([], [put(election.encode() + b"/byhand", b"db/0")])
    mod = gateway.range(election.encode() + b"/byhand").kvs[0].mod
    displaced = provider.displaced()
    assert provider.freeze(displaced).frozen is True and provider.tend(displaced) == []
    provider.thaw(displaced)
    assert gateway.range(election.encode() + b"/byhand").kvs[0].mod == mod


def test_value_that_is_no_unit_is_not_guessed_at(etcd, election):
    holder = Session(etcd, election, '{"id": "m1", "port": 80}').leads()
    options = {"endpoints": etcd.endpoints, "election": election}
    with pytest.raises(Unreachable) as trouble:
        Provider("db", options).read()
    assert '"m1"' in trouble.value.msg and "option units" in trouble.value.msg
    units = {"db/0": {"matches": '.*"m1".*'}, "db/1": "m2"}
    read = Provider("db", {**options, "units": units}).read()
    assert read.holder == "db/0" and read.members == (Member("db/0", True), Member("db/1", False, "is no candidate"))
    ambiguous = {"db/0": {"matches": '.*"m1".*'}, "db/1": {"matches": ".*80.*"}}
    with pytest.raises(Unreachable):
        Provider("db", {**options, "units": ambiguous}).read()
    holder.end()


def test_handover_goes_to_the_next_in_line_alone_and_the_freeze_goes_along(etcd, election, provider):
    first, second = Session(etcd, election, "db/0").leads(), Session(etcd, election, "db/1", 9)
    third = Session(etcd, election, "db/2")
    displaced = provider.displaced()
    term = provider.freeze(displaced).term
    with pytest.raises(Denied) as denied:
        provider.transfer("db/2", term)
    assert "db/1 is next in line" in denied.value.msg
    with pytest.raises(NoLeader):
        provider.transfer("db/7", term)
    with pytest.raises(Stale):
        provider.transfer("db/1", term - 1)
    assert first.is_owner()
    after = provider.transfer("db/1", term)
    assert (after.holder, after.frozen) == ("db/1", True) and after.term > term
    second.leads()
    assert not first.is_owner() and third.leader is None
    assert provider.tend(displaced) == []
    provider.thaw(displaced)
    assert lease_of(etcd, election) == second.lease


def test_handover_of_what_is_not_frozen_works_too_and_needs_the_operators_word(etcd, election, provider):
    Session(etcd, election, "db/0").leads()
    second = Session(etcd, election, "db/1")
    careful = Provider("db", {"endpoints": etcd.endpoints, "election": election})
    term = careful.read().term
    assert careful.capabilities.transfer is False
    with pytest.raises(Unsupported) as refused:
        careful.transfer("db/1", term)
    assert "transfer: true" in refused.value.msg
    assert provider.transfer("db/1", term).frozen is False
    second.leads()


def test_etcdctl_elect_does_not_notice_a_handover_which_is_why_it_is_off_by_default(etcd, election, provider):
    first = Elect(etcd, election, "db/0").leads()
    second = Session(etcd, election, "db/1")
    provider.transfer("db/1", provider.read().term)
    second.leads()
    assert first.process.poll() is None
    first.end()


def test_etcd_of_the_next_series_holds_a_leader_past_its_session_as_well(tmp_path, monkeypatch):
    try:
        monkeypatch.setenv("PATH", f"{unpacked('trixie', 'etcd-server')}/usr/bin:{os.environ['PATH']}")
    except NotToBeHad as why:
        pytest.skip(str(why))
    with Etcd(tmp_path / "etcd") as newer:
        assert '"3.5' in newer.ctl("endpoint", "status", "-w", "json")
        holder, other = Session(newer, "e", "db/0").leads(), Session(newer, "e", "db/1")
        provider = Provider("db", {"endpoints": newer.endpoints, "election": "e"})
        displaced = provider.displaced()
        term = provider.freeze(displaced).term
        holder.end()
        read = provider.read()
        assert (read.holder, read.term, read.frozen) == ("db/0", term, True) and provider.tend(displaced) == []
        provider.thaw(displaced)
        assert provider.read().frozen is False and other.leader is None


def test_unreachable_etcd_is_never_no_leader(tmp_path):
    provider = Provider("db", {"endpoints": ["http://127.0.0.1:1"], "election": "e", "timeout": 1})
    for ask in (provider.read, provider.displaced, lambda: provider.freeze({}), lambda: provider.thaw({}), lambda: provider.tend({})):
        with pytest.raises(Unreachable):
            ask()


def test_write_of_unknown_outcome_is_read_and_not_repeated_blindly(etcd, election, provider, monkeypatch):
    """The move is done, and then the answer is lost: the next look finds it done."""
    holder = Session(etcd, election, "db/0").leads()
    gateway, lost = provider._gateway, []
    real = gateway.txn

    def txn(*words, **more):
        answer = real(*words, **more)
        if not lost:
            lost.append(answer)
            raise Unsure("cut off")
        return answer

    monkeypatch.setattr(gateway, "txn", txn)
    displaced = provider.displaced()
    assert provider.freeze(displaced).frozen is True and len(lost) == 1
    assert holder.gateway.range(holder.key).kvs[0].version == 2, "one write, not two"


def test_user_of_one_prefix_may_do_all_of_it_over_tls(tmp_path):
    with Etcd(tmp_path / "etcd", members=1, tls=True, client_certs=True) as secured:
        secured.enable_auth()
        secured.user("pins", "pins-secret", "elections/")
        (tmp_path / "password").write_text("pins-secret", encoding="utf-8")
        (tmp_path / "root").write_text(secured.root_password, encoding="utf-8")
        cert, key = secured.certificates.issue("client", named=False)
        files = {"ca_file": str(secured.certificates.ca), "cert_file": str(cert), "key_file": str(key)}
        holder = Gateway(secured.endpoints, "root", str(tmp_path / "root"), **files)
        session = holder.grant(30).lease
        name = b"elections/db/%x" % session
        holder.txn([], [put(name, b"db/0", session), put(b"elsewhere", b"registration of the same program", session)])
        login = {"user": "pins", "password_file": str(tmp_path / "password"), **files}
        provider = Provider("db", {"endpoints": secured.endpoints, "election": "elections/db", **login})
        displaced = provider.displaced()
        assert provider.freeze(displaced).holder == "db/0"
        assert provider.tend(displaced) == [] and provider.read().members == (Member("db/0", True),)
        holder.txn([created(name, displaced["term"])], [move(name, session)])
        assert len(provider.tend(displaced)) == 1
        provider.thaw(displaced)
        assert holder.range(name).kvs[0].lease == session
        holder.revoke(session)
        assert provider.read().holder is None


def test_three_members_one_dies_while_frozen_and_nothing_is_lost(tmp_path):
    with Etcd(tmp_path / "etcd", members=3) as three:
        holder = Session(three, "e", "db/0").leads()
        provider = Provider("db", {"endpoints": three.endpoints, "election": "e"})
        displaced = provider.displaced()
        term = provider.freeze(displaced).term
        three.leader().kill()
        read = until(lambda: _read(provider), 20)
        assert (read.holder, read.term, read.frozen) == ("db/0", term, True)
        until(lambda: _tended(provider, displaced), 20)
        provider.thaw(displaced)
        assert provider.read().frozen is False and holder.leader


def _read(provider):
    try:
        return provider.read()
    except Unreachable:
        return None


def _tended(provider, displaced):
    try:
        return provider.tend(displaced) == []
    except Unreachable:
        return False
