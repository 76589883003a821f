"""Which Debian archive this box uses, read from its own apt configuration, and the same as sources for a machine.

The machines never see the archive itself: they see the test bed's mirror (mirror.py), which fetches with the box's
own apt and so inherits its proxies and its transports.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
from dataclasses import dataclass

from .places import CONTROL_NODE, MIRROR_PORT, mirror_url

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASED = ("bullseye", "bookworm", "trixie", "forky")
SUITE = re.compile(r"^(?P<codename>[a-z]+)(?P<pocket>-updates|-security|/updates)?$")


class NoArchive(Exception):
    """This box's apt configuration names no Debian archive."""


@dataclass(frozen=True)
class Archive:
    """One Debian archive: ``label`` on the mirror, ``uri`` upstream, the pockets it carries ("" is the release)."""

    label: str
    uri: str
    pockets: tuple


def _one_line(text: str) -> list:
    found = []
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.split("#", 1)[0]).split()
        if len(words) >= 3 and words[0] == "deb":
            found.append((words[1], words[2]))
    return found


def _deb822(text: str) -> list:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        joined = re.sub(r"\n[ \t]+", " ", "\n".join(lines))
        fields = {key.strip().lower(): value.strip() for key, _colon, value in (line.partition(":") for line in joined.splitlines())}
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            found += [(uri, suite) for uri in fields.get("uris", "").split() for suite in fields.get("suites", "").split()]
    return found


def _configured() -> list:
    """Return every (uri, suite) of the box's binary sources."""
    shell = subprocess.run(
        ["apt-config", "shell", "ONE", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
        check=True, capture_output=True, text=True,
    ).stdout
    paths = dict(re.findall(r"^(\w+)='(.*)'$", shell, re.MULTILINE))
    files = [pathlib.Path(paths["ONE"]), *sorted(pathlib.Path(paths["PARTS"]).glob("*"))]
    found = []
    for path in files:
        if path.is_file() and path.suffix == ".list":
            found += _one_line(path.read_text())
        elif path.is_file() and path.suffix == ".sources":
            found += _deb822(path.read_text())
    return found


def archives() -> list:
    """Return the box's Debian archives as ``[Archive, ...]``, the main one first; raise NoArchive when there is none."""
    main, security = {}, {}
    for uri, suite in _configured():
        match = SUITE.match(suite.rstrip("/"))
        if match and match["codename"] in RELEASED:
            pocket = (match["pocket"] or "").replace("/updates", "-security")
            (security if pocket == "-security" else main).setdefault(uri.rstrip("/"), set()).add(pocket)
    found = [Archive("debian", uri, tuple(sorted(pockets))) for uri, pockets in main.items() if "" in pockets][:1]
    if not found:
        raise NoArchive("this box's apt sources name no Debian release: the test bed needs a Debian archive to build its machines from")
    return found + [Archive("debian-security", uri, tuple(sorted(pockets))) for uri, pockets in security.items()][:1]


def one_line(found: list, codename: str, host: str = CONTROL_NODE, port: int = MIRROR_PORT) -> str:
    """Return the archives for ``codename`` as one-line sources."""
    return "".join(
        f"deb [signed-by={KEYRING}] {mirror_url(archive.label, host, port)} {codename}{pocket} main\n"
        for archive in found for pocket in archive.pockets
    )


def deb822(archive: Archive, codename: str) -> str:
    """Return one archive for ``codename`` as a deb822 stanza."""
    suites = " ".join(codename + pocket for pocket in archive.pockets)
    return f"Types: deb\nURIs: {mirror_url(archive.label)}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
