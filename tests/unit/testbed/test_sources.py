"""The box's Debian archive is found in both kinds of apt sources, and written down again for machines."""

from __future__ import annotations

import pytest

from tests.testbed import sources

DEB822 = """# the archive
Types: deb deb-src
URIs: http://archive.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm

Types: deb
URIs: http://archive.example/debian-security
Suites: bookworm-security
# a comment between the fields
Components: main
"""
ONE_LINE = """# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/key.gpg] http://archive.example/debian bookworm main   # the archive
deb http://archive.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security main
deb-src http://archive.example/debian bookworm main
deb https://vendor.example/apt stable main
"""


@pytest.fixture(name="configured")
def _configured(tmp_path, monkeypatch):
    def configure(name, text):
        (tmp_path / name).write_text(text)
        said = f"ONE='{tmp_path}/sources.list'\nPARTS='{tmp_path}'\n"
        monkeypatch.setattr(sources.subprocess, "run", lambda *args, **options: sources.subprocess.CompletedProcess(args, 0, said, ""))
        return sources.archives()
    return configure


@pytest.mark.parametrize("name, text, security", (
    ("debian.sources", DEB822, "http://archive.example/debian-security"),
    ("sources.list", ONE_LINE, "http://security.example/debian-security"),
))
def test_the_release_its_updates_and_security_are_found(configured, name, text, security):
    assert configured(name, text) == [
        sources.Archive("debian", "http://archive.example/debian", ("", "-updates")),
        sources.Archive("debian-security", security, ("-security",)),
    ]


def test_a_box_without_a_debian_archive_is_said_so(configured):
    with pytest.raises(sources.NoArchive, match="apt sources name no Debian release"):
        configured("sources.list", "deb https://vendor.example/apt stable main\n")


def test_machines_see_the_mirror_and_never_the_archive():
    archive = sources.Archive("debian", "http://archive.example/debian", ("", "-updates"))
    for text in (sources.one_line([archive], "trixie"), sources.deb822(archive, "trixie")):
        assert "archive.example" not in text
        assert "trixie-updates" in text and "http://10.77.0.1:3142/debian" in text
