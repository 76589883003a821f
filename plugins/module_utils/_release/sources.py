# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What becomes of each apt source when the machine goes to the next series. Private room of the collection.

Pure, from texts to texts: parse() sees what is there, plan() decides and rewrites. Only the fields that must change are
touched, so that comments and layout stay as their owner wrote them.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import archived
from .series import distribution

# A rule of the user says what becomes of a source that is not the distribution's own; any other word is the suite to move to.
FOLLOW, KEEP, DISABLE = "follow", "keep", "disable"

OFFICIAL_HOSTS = re.compile(r"^[a-z+-]+:(?:[^/]*//)?(?:[^/@]*@)?(?:[^/:]+\.)?(?:debian\.org|ubuntu\.com)(?::\d+)?(?:/|$)")
OFFICIAL_KEYRINGS = re.compile(r"/(?:debian|ubuntu)-archive-[a-z0-9.-]*(?:gpg|asc|pgp)\b")
ALIASES = "stable|oldstable|oldoldstable"
# They hold packages that are newer than their release; the release notes want none of them while the series changes.
AHEAD = re.compile(r"-(?:backports(?:-sloppy)?|proposed-updates|proposed)$")

ONE_LINE = re.compile(r"^(?P<type>deb(?:-src)?)\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>cdrom:\[[^\]]*\]\S*|\S+)\s+(?P<suite>\S+)(?P<rest>.*)$")
FIELD = re.compile(r"^(?P<name>[A-Za-z0-9-]+)\s*:(?P<value>.*)$")


class Source(NamedTuple):
    """One source as apt sees it. line: where it begins in its file, from 1. enabled: False when its owner had switched it off."""

    line: int
    uris: Tuple[str, ...]
    suites: Tuple[str, ...]
    components: Tuple[str, ...]
    signed_by: str
    enabled: bool


class Change(NamedTuple):
    """What becomes of one source. action: moved, kept or disabled; why: a sentence for people. uris: new ones, for an archived series."""

    file: str
    line: int
    uri: str
    suites: Tuple[str, ...]
    becomes: Tuple[str, ...]
    action: str
    why: str
    uris: Tuple[str, ...] = ()


def plan(
    texts: Mapping[str, str],
    start: str,
    target: str,
    rules: Optional[Mapping[str, str]] = None,
    past: Sequence[str] = archived.SERIES,
) -> Tuple[Dict[str, str], List[Change]]:
    """
    The new texts of the files in texts (path -> text), and a Change for every source that is switched on.

    start, target: codenames. rules: glob over a URI -> "follow" (the same suite of the target), "keep", "disable" or a suite. The
    distribution's own sources move by themselves, but for backports and proposed updates; others are disabled unless a rule says
    otherwise. past: series that are only in the archive of old releases. Planning anew over the result changes nothing.
    """
    made, changes = {}, []
    for path in sorted(texts):
        lines = texts[path].split("\n")
        found = _stanzas(lines) if path.endswith(".sources") else _one_liners(lines)
        for source, place in reversed(found):
            if not source.enabled:
                continue
            rule = _rule(source, rules or {})
            change = _decide(path, source, start, target, rule)
            if target in past and rule is None and change.action != "disabled" and is_official(source):
                change = _archived(change, source, target)
            changes.append(change)
            _rewrite(lines, place, source, change, start, target)
        made[path] = "\n".join(lines)
    return made, sorted(changes)


def parse(path: str, text: str) -> List[Source]:
    """The sources in a file, in order; path tells the format by its ending."""
    lines = text.split("\n")
    return [source for source, place in (_stanzas(lines) if path.endswith(".sources") else _one_liners(lines))]


def is_official(source: Source) -> bool:
    """Whether this is Debian's or Ubuntu's own archive: by the host, or, for a mirror, by the key that it is signed with."""
    return bool(OFFICIAL_KEYRINGS.search(source.signed_by)) or all(OFFICIAL_HOSTS.match(uri.lower()) for uri in source.uris)


def moved(suite: str, start: str, target: str) -> str:
    """
    The suite of the target that stands for suite: bookworm-security -> trixie-security. One of neither series comes back as it is.

    Debian's security suite was called buster/updates up to 10 and bullseye-security from 11 on.
    """
    match = re.match(r"^(?:{0}|{1})(?=$|[-/])(.*)$".format(re.escape(start), ALIASES), suite)
    if not match:
        return suite
    return target + ("-security" if match.group(1) == "/updates" and distribution(target) == "debian" else match.group(1))


def leads_to(changes: Sequence[Change], target: str) -> bool:
    """Whether at least one of the sources that stay is one of the target's."""
    return any(suite == target or suite.startswith((target + "-", target + "/")) for change in changes for suite in change.becomes)


def public(uri: str) -> str:
    """An address without the name and password that may stand in it."""
    return re.sub(r"://[^/@\s]*@", "://", uri)


def tell(change: Change) -> str:
    """A change of a source as a sentence for the log."""
    what = "{0} {1}".format(public(change.uri), " ".join(change.suites))
    if change.action == "moved":
        what += " -> " + " ".join(tuple(map(public, change.uris)) + change.becomes)
    return "source {0}: {1} ({2})".format(change.action, what, change.why)


def _rule(source: Source, rules: Mapping[str, str]) -> Optional[str]:
    return next((rules[glob] for glob in rules if any(fnmatch.fnmatchcase(uri, glob) for uri in source.uris)), None)


def _decide(path: str, source: Source, start: str, target: str, rule: Optional[str]) -> Change:
    def change(action: str, suites: Tuple[str, ...], why: str) -> Change:
        return Change(path, source.line, " ".join(source.uris), source.suites, suites, action, why)

    follows = tuple(dict.fromkeys(moved(suite, start, target) for suite in source.suites))
    ahead = tuple(suite for suite in follows if AHEAD.search(suite)) if rule is None and is_official(source) else ()
    if ahead and len(ahead) == len(follows):
        return change("disabled", (), "it holds packages from after the release; switch it on again, for {0}, when you want it there".format(target))
    follows = tuple(suite for suite in follows if suite not in ahead)
    if rule == DISABLE or any(uri.startswith("cdrom:") for uri in source.uris):
        return change("disabled", (), "your rule says so" if rule else "a disc does not follow to another series")
    if rule == KEEP:
        return change("kept", source.suites, "your rule says so")
    if rule not in (None, FOLLOW):
        return change("kept" if source.suites == (rule,) else "moved", (rule,), "your rule says so")
    if rule == FOLLOW or is_official(source):
        if follows != source.suites:
            without = ", without " + " and ".join(ahead) if ahead else ""
            return change("moved", follows, "your rule says so" if rule else "it is the distribution's own" + without)
        if rule == FOLLOW or all(re.match(r"{0}(?=$|[-/])".format(re.escape(target)), suite) for suite in follows):
            return change("kept", follows, "it has no suite of {0}".format(start))
        return change("disabled", (), "its suite belongs neither to {0} nor to {1}".format(start, target))
    return change("disabled", (), "it is not the distribution's own, and no rule says what becomes of it on {0}".format(target))


def _archived(change: Change, source: Source, target: str) -> Change:
    """The same, at the archive of old releases, where it is not there yet."""
    uris = tuple(archived.uri(uri) for uri in source.uris)
    suites = tuple(suite for suite in change.becomes if not (distribution(target) == "debian" and archived.is_gone(suite)))
    if not suites:
        return change._replace(action="disabled", becomes=(), why="{0} is past its end, and this suite is not in the archive".format(target))
    if uris == source.uris and suites == source.suites:
        return change
    return change._replace(action="moved", becomes=suites, uris=uris if uris != source.uris else (),
                           why="{0} is past its end and lies in the archive of old releases".format(target))


def _one_liners(lines: List[str]) -> List[Tuple[Source, Tuple[int, object]]]:
    found = []
    for index, line in enumerate(lines):
        match = ONE_LINE.match(line.split("#", 1)[0].strip())
        if match:
            options = dict(word.split("=", 1) for word in (match.group("options") or "").split() if "=" in word)
            components = tuple(match.group("rest").split())
            source = Source(index + 1, (match.group("uri"),), (match.group("suite"),), components, options.get("signed-by", ""), True)
            found.append((source, (index, None)))
    return found


def _stanzas(lines: List[str]) -> List[Tuple[Source, Tuple[int, object]]]:
    """Each stanza with (index of its first line, {field in small letters: (first line, line after the last)})."""
    found, fields, values, name = [], {}, {}, None
    for index, line in enumerate(lines + [""]):
        if line.startswith("#"):
            continue
        match = FIELD.match(line)
        if match and not line[0].isspace():
            name = match.group("name").lower()
            fields[name], values[name] = (index, index + 1), match.group("value").strip()
        elif line.strip() and name:
            fields[name], values[name] = (fields[name][0], index + 1), values[name] + "\n" + line.strip()
        elif not line.strip():
            if "uris" in values and "suites" in values:
                first = min(begin for begin, end in fields.values())
                enabled = values.get("enabled", "yes").lower() not in ("no", "false", "0", "off", "without", "disable")
                words = [tuple(values.get(key, "").split()) for key in ("uris", "suites", "components")]
                found.append((Source(first + 1, words[0], words[1], words[2], values.get("signed-by", ""), enabled), (first, fields)))
            fields, values, name = {}, {}, None
    return found


def _rewrite(lines: List[str], place: Tuple[int, object], source: Source, change: Change, start: str, target: str) -> None:
    """Change lines in place. Called from the last source to the first, so that the places of those before stay true."""
    index, fields = place
    components = _components(source.components, start)
    if change.action == "kept":
        return
    if fields is None:
        if change.action == "disabled":
            lines[index] = "# disabled for the upgrade to {0}: {1}".format(target, lines[index].lstrip())
        else:
            lines[index] = _other_suite(lines[index], source, change, components)
        return
    fresh = {"enabled": "Enabled: no"} if change.action == "disabled" else {"suites": "Suites: " + " ".join(change.becomes)}
    if change.action == "moved" and components != source.components:
        fresh["components"] = "Components: " + " ".join(components)
    if change.uris:
        fresh["uris"] = "URIs: " + " ".join(change.uris)
        fresh["check-valid-until"] = "Check-Valid-Until: no"
    for name, text in sorted(fresh.items(), key=lambda item: -fields.get(item[0], (index, index))[0]):
        begin, end = fields.get(name, (index, index))
        lines[begin:end] = [text]
    if change.action == "disabled":
        lines.insert(index, "# disabled for the upgrade to {0}".format(target))


def _other_suite(line: str, source: Source, change: Change, components: Tuple[str, ...]) -> str:
    code, mark, comment = line.partition("#")
    uri, suite = re.escape(source.uris[0]), re.escape(source.suites[0])
    code = re.sub(r"({0}\s+){1}(?=\s|$)".format(uri, suite), lambda match: match.group(1) + change.becomes[0], code, count=1)
    if change.uris:
        code = archived.one_line(code, source.uris[0], change.uris[0])
    extra = components[len(source.components):]
    return code.rstrip() + "".join(" " + word for word in extra) + (" " * (len(code) - len(code.rstrip())) if mark else "") + mark + comment


def _components(components: Tuple[str, ...], start: str) -> Tuple[str, ...]:
    """Firmware left non-free for a component of its own with bookworm; without it a machine may lose its network card."""
    if start == "bullseye" and "non-free" in components and "non-free-firmware" not in components:
        return components + ("non-free-firmware",)
    return components
