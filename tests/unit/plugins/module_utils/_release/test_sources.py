# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import sources

LIST = "/etc/apt/sources.list"
DEB822 = "/etc/apt/sources.list.d/debian.sources"


def planned(path, text, rules=None, start="bookworm", target="trixie"):
    made, changes = sources.plan({path: text}, start, target, rules)
    return made[path], changes


def test_one_line_sources_move_with_their_pockets_and_keep_their_layout():
    made, changes = planned(LIST, """# the archive
deb http://mirror.debian.org/debian  bookworm main contrib  # ours
deb-src [arch=amd64] http://mirror.debian.org/debian bookworm-updates main

deb http://mirror.debian.org/debian-security bookworm-security main
""")
    assert made == """# the archive
deb http://mirror.debian.org/debian  trixie main contrib  # ours
deb-src [arch=amd64] http://mirror.debian.org/debian trixie-updates main

deb http://mirror.debian.org/debian-security trixie-security main
"""
    assert [(change.line, change.action) for change in changes] == [(2, "moved"), (3, "moved"), (5, "moved")]


def test_deb822_stanzas_move_and_keep_comments_and_other_fields():
    made, changes = planned(DEB822, """# Modernised
Types: deb deb-src
URIs: http://mirror.debian.org/debian
Suites: bookworm
 bookworm-updates
# pockets end
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.debian.org/debian-security
suites: bookworm-security
Components: main
""")
    assert made == """# Modernised
Types: deb deb-src
URIs: http://mirror.debian.org/debian
Suites: trixie trixie-updates
# pockets end
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.debian.org/debian-security
Suites: trixie-security
Components: main
"""
    assert [change.becomes for change in changes] == [("trixie", "trixie-updates"), ("trixie-security",)]


@pytest.mark.parametrize("path, text", [
    (LIST, "deb https://apt.example.com/x bookworm main\n"),
    (DEB822, "Types: deb\nURIs: https://apt.example.com/x\nSuites: bookworm\nComponents: main\n"),
])
def test_foreign_source_is_disabled_and_listed_unless_a_rule_says_otherwise(path, text):
    made, (change,) = planned(path, text)
    assert change.action == "disabled" and "no rule says" in change.why
    assert not [source for source in sources.parse(path, made) if source.enabled]
    assert "disabled for the upgrade to trixie" in made
    assert planned(path, text, {"https://apt.example.com/*": "keep"})[0] == text
    assert planned(path, text, {"https://apt.example.com/*": "disable"})[0] == made
    assert planned(path, text, {"*": "follow"})[0] == text.replace("bookworm", "trixie")
    assert planned(path, text, {"*example*": "stable-24"})[0] == text.replace("bookworm", "stable-24")


def test_first_rule_that_matches_counts():
    rules = {"*pgdg*": "follow", "*": "keep"}
    assert planned(LIST, "deb http://x/pgdg bookworm-pgdg main\n", rules)[0] == "deb http://x/pgdg trixie-pgdg main\n"
    assert planned(LIST, "deb http://x/other bookworm main\n", rules)[0] == "deb http://x/other bookworm main\n"


def test_disabled_stanza_becomes_enabled_no_in_place():
    made, _changes = planned(DEB822, "Types: deb\nURIs: http://x/\nSuites: bookworm\nEnabled: yes\nComponents: main\n")
    assert made == "# disabled for the upgrade to trixie\nTypes: deb\nURIs: http://x/\nSuites: bookworm\nEnabled: no\nComponents: main\n"


def test_what_its_owner_has_switched_off_is_neither_touched_nor_listed():
    for path, text in ((LIST, "# deb http://mirror.debian.org/debian bookworm main\n"),
                       (DEB822, "Enabled: no\nTypes: deb\nURIs: http://mirror.debian.org/debian\nSuites: bookworm\nComponents: main\n")):
        assert planned(path, text) == (text, [])


@pytest.mark.parametrize("text", [
    "deb http://mirror.debian.org/debian bookworm main\ndeb http://x/y bookworm main\ndeb cdrom:[Debian 12 _Bookworm_ - x]/ bookworm main\n",
])
def test_planning_over_the_result_changes_nothing(text):
    made, changes = planned(LIST, text)
    assert [change.action for change in changes] == ["moved", "disabled", "disabled"]
    again, changes = planned(LIST, made)
    assert again == made
    assert [change.action for change in changes] == ["kept"]


def test_mirror_is_official_by_its_key_and_a_look_alike_host_is_not():
    def official(line):
        return sources.is_official(sources.parse(LIST, line)[0])

    assert official("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.lan/debian bookworm main")
    assert official("deb http://user@ftp.de.debian.org:80/debian bookworm main")
    assert official("deb http://mirror.ubuntu.com/ubuntu jammy main")
    assert not official("deb http://notdebian.org/debian bookworm main")
    assert not official("deb http://debian.org.evil.example/debian bookworm main")
    assert not official("deb [signed-by=/usr/share/keyrings/docker-archive-keyring.gpg] http://x/debian bookworm main")


@pytest.mark.parametrize("suite, start, target, becomes", [
    ("buster/updates", "buster", "bullseye", "bullseye-security"),
    ("bookworm-backports", "bookworm", "trixie", "trixie-backports"),
    ("oldstable-updates", "bookworm", "trixie", "trixie-updates"),
    ("stable", "bookworm", "trixie", "trixie"),
    ("jammy-proposed", "jammy", "noble", "noble-proposed"),
    ("bookwormish", "bookworm", "trixie", "bookwormish"),
    ("sid", "bookworm", "trixie", "sid"),
])
def test_suite_of_the_target(suite, start, target, becomes):
    assert sources.moved(suite, start, target) == becomes


def test_official_source_of_a_third_series_is_disabled():
    _made, (change,) = planned(LIST, "deb http://mirror.debian.org/debian sid main\n")
    assert (change.action, change.why) == ("disabled", "its suite belongs neither to bookworm nor to trixie")


def test_firmware_component_is_added_when_leaving_bullseye():
    made, _changes = planned(LIST, "deb http://mirror.debian.org/debian bullseye main non-free\n", start="bullseye", target="bookworm")
    assert made == "deb http://mirror.debian.org/debian bookworm main non-free non-free-firmware\n"
    stanza = "Types: deb\nURIs: http://mirror.debian.org/debian\nSuites: bullseye\nComponents: main non-free\n"
    made, _changes = planned(DEB822, stanza, start="bullseye", target="bookworm")
    assert made.endswith("Suites: bookworm\nComponents: main non-free non-free-firmware\n")


def test_sources_lead_to_the_target_only_when_one_that_stays_is_of_it():
    assert sources.leads_to(planned(LIST, "deb http://mirror.debian.org/debian bookworm main\n")[1], "trixie")
    assert not sources.leads_to(planned(LIST, "deb http://x/ bookworm main\n")[1], "trixie")
    assert not sources.leads_to(planned(LIST, "deb http://x/ bookworm main\n", {"*": "keep"})[1], "trixie")
    assert not sources.leads_to([], "trixie")


def test_change_tells_itself_as_a_sentence():
    _made, changes = planned(LIST, "deb http://mirror.debian.org/debian bookworm main\n")
    assert sources.tell(changes[0]) == "source moved: http://mirror.debian.org/debian bookworm -> trixie (it is the distribution's own)"


def test_backports_and_proposed_updates_do_not_come_along():
    made, changes = planned(LIST, "deb http://mirror.debian.org/debian bookworm-backports main\n")
    assert made.startswith("# disabled for the upgrade to trixie: deb") and "when you want it there" in changes[0].why
    made, changes = planned(DEB822, """Types: deb
URIs: http://mirror.debian.org/debian
Suites: bookworm bookworm-updates bookworm-backports bookworm-proposed-updates
Components: main
""")
    assert "Suites: trixie trixie-updates\n" in made
    assert changes[0].why == "it is the distribution's own, without trixie-backports and trixie-proposed-updates"
    again, changes = planned(DEB822, made)
    assert again == made and changes[0].action == "kept"


def test_rule_of_the_user_may_take_backports_along():
    made = planned(LIST, "deb http://mirror.debian.org/debian bookworm-backports main\n", {"*mirror.debian.org*": "follow"})[0]
    assert made == "deb http://mirror.debian.org/debian trixie-backports main\n"


def test_series_past_its_end_is_fetched_from_the_archive_of_old_releases_whose_signatures_are_old():
    made, changes = planned(LIST, """deb [arch=amd64] http://ftp.de.debian.org/debian stretch main
deb http://security.debian.org/debian-security stretch/updates main
deb http://ftp.de.debian.org/debian stretch-updates main
deb http://mirror.example.com/debian stretch main
""", {"*example.com*": "follow"}, start="stretch", target="buster")
    assert made == """deb [arch=amd64 check-valid-until=no] http://archive.debian.org/debian/ buster main
deb [check-valid-until=no] http://archive.debian.org/debian-security/ buster/updates main
# disabled for the upgrade to buster: deb http://ftp.de.debian.org/debian stretch-updates main
deb http://mirror.example.com/debian buster main
""".replace("buster/updates", changes[1].becomes[0])
    assert planned(LIST, made, {"*example.com*": "follow"}, start="stretch", target="buster")[0] == made


def test_archived_series_of_the_user_is_heeded_in_deb822_too():
    text = """Types: deb
URIs: http://mirror.debian.org/debian/
Suites: buster buster-updates
Components: main
"""
    made = sources.plan({DEB822: text}, "buster", "bullseye", None, ("bullseye",))[0][DEB822]
    assert sorted(made.split("\n")) == sorted("""Types: deb
URIs: http://archive.debian.org/debian/
Check-Valid-Until: no
Suites: bullseye
Components: main
""".split("\n"))
    assert sources.plan({DEB822: made}, "buster", "bullseye", None, ("bullseye",))[0][DEB822] == made
    assert sources.plan({DEB822: text}, "buster", "bullseye", None, ())[0][DEB822] == text.replace("buster", "bullseye")


def test_old_release_of_ubuntu_keeps_its_updates_in_the_archive():
    made = planned(LIST, "deb http://de.archive.ubuntu.com/ubuntu xenial-updates main\n", start="xenial", target="bionic")[0]
    assert made == "deb [check-valid-until=no] http://old-releases.ubuntu.com/ubuntu/ bionic-updates main\n"


def test_password_in_an_address_is_kept_in_the_file_and_told_nobody():
    made, changes = planned(LIST, "deb https://me:secret@apt.example.org/x bookworm main\n", {"*": "follow"})
    assert made == "deb https://me:secret@apt.example.org/x trixie main\n"
    assert sources.tell(changes[0]).startswith("source moved: https://apt.example.org/x bookworm -> trixie")
