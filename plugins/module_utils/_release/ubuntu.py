# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The way of Ubuntu from one long-term release to the next: do-release-upgrade, with its front end that asks nothing.

It never ran against Ubuntu's archive here; docs/ubuntu.md says what it was tried against. What it has to be kept from doing was read in its source
(ubuntu-release-upgrader, 2021 to 2024). Private room of the collection.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Any, Callable, Dict, List, Mapping, Optional

from . import apt, kept, preseed, report, series, sources
from .._watcher.steps import Context, Phase, StepFailed
from .debian import LOG, Debian
from .machine import boot_id
from .said import said

UPGRADER = "do-release-upgrade"
PROMPT = "etc/update-manager/release-upgrades"
# Read after its own settings, all files with this ending, in no order; so it says nothing that an administrator's would say too.
OVERRIDE = "etc/update-manager/release-upgrades.d/series-upgrade.cfg"
# It reboots by itself where this says so, and removes what it takes for obsolete, which is a person's decision. Silence is ended by a ctrl-C to dpkg.
SETTINGS = """# Written by series-upgrade for the time of an upgrade.
[NonInteractive]
RealReboot=no
TerminalTimeout={silence}
[Distro]
RemoveObsoletes={obsolete}
"""
# The upgrader ends with 1 for all of these and says why in words; LC_ALL makes them English.
REFUSALS = (
    # First, because without its list it then says that nothing is offered.
    ("Failed to connect to", "{target} could not be asked for: Ubuntu's server (changelogs.ubuntu.com) is not reached."),
    ("Please install all available updates", "Updates of this release wait to be installed. Install them (apt-get dist-upgrade), reboot, then run again."),
    ("You have not rebooted after updating", "An update wants a reboot first. Reboot this machine, then run again."),
    ("is set to never", "Prompt is set to never in /etc/update-manager/release-upgrades, although it was set to lts for this upgrade. Who sets it back?"),
    ("no longer supported", "This release is past its end, and its upgrader is not offered any more; see docs/ubuntu.md."),
    ("There is no development version of an LTS available", "{target} is not offered yet: long-term releases follow with their first point release. Wait for "
     "it, or set series_upgrade_ubuntu.development if you know what you do."),
    ("Release upgrade not possible right now", "Ubuntu's server does not offer {target} just now; try again later."),
    ("No new release found", "{target} is not offered to this machine. Is Ubuntu's server reached (changelogs.ubuntu.com)?"),
)
FETCHED = re.compile(r"^fetched .* \((\d+(?:\.\d+)?)/100\)")
WAITING = re.compile(r"^Inst (\S+) \[", re.MULTILINE)
PROMPT_LINE = re.compile(r"(?m)^\s*Prompt\s*=.*$")
OFFER = re.compile(r"New release '([^'\s]+)")
SILENCE = 2400


class Ubuntu(Debian):
    """
    options, documented in docs/ubuntu.md: those of the method debian but for pins and archived; sources says what becomes of sources of others
    once the upgrade is through, as the upgrader has switched all of them off. development, third_party, remove_obsolete: true or false; silence: seconds.
    """

    name = "ubuntu"
    known = (Debian.known - {"pins", "archived"}) | {"development", "third_party", "remove_obsolete", "silence"}
    own_pins = False

    def __init__(self, spec: Mapping[str, Any], tools: Optional[Context] = None, run_boot_id: Callable[[], str] = boot_id, **more: Any) -> None:
        super().__init__(spec, tools, **more)
        options = spec.get(self.name) or {}
        self._development = bool(options.get("development"))
        self._third_party = bool(options.get("third_party"))
        self._settings = SETTINGS.format(silence=int(options.get("silence") or SILENCE), obsolete="yes" if options.get("remove_obsolete") else "no")
        self._root = os.path.dirname(self._etc)
        self._boot_id = run_boot_id
        for name in ("development", "third_party", "remove_obsolete"):
            if not isinstance(options.get(name, False), bool):
                raise StepFailed("series_upgrade_ubuntu.{0} is true or false, not {1!r}.".format(name, options[name]))

    @property
    def ahead(self) -> List[Phase]:
        # The upgrader fetches by itself, and only once it has changed the sources.
        return []

    @property
    def phases(self) -> List[Phase]:
        return [
            *self._opening(),
            Phase("settings", "Tell the upgrader what it may do", self._set_up, undo=self._put_back),
            Phase("current", "See that this release is up to date", self._see_current),
            Phase("offered", "See that {0} is offered".format(self._target), self._see_offer),
            Phase("preseed", "Answer debconf's questions beforehand", self._preseed, undo=preseed.take_back),
            Phase("release-upgrade", "Upgrade by do-release-upgrade", self._upgrade, irreversible=True),
            Phase("finish", "Upgrade what it has left", self._finish, irreversible=True),
            Phase("conffiles", "Settle changed configuration files", self._settle, irreversible=True),
            Phase("others", "See what became of other sources", self._others, irreversible=True),
            Phase("release", "Put timers, settings and restarts back as they were", self._release, irreversible=True),
            Phase("prove", "Prove that the machine is {0} and whole".format(self._target), self._prove, irreversible=True),
        ]

    def thaw(self, context: Context) -> None:
        """As for the method debian, and the upgrader's settings."""
        self._put_back(context)
        super().thaw(context)

    def _look_before(self, context: Context) -> None:
        super()._look_before(context)
        if context.recall("sources") is None:
            paths = kept.sources(os.path.join(self._etc, "apt"))
            context.remember("sources", {path: kept.look(path) for path in paths})
        if context.recall("protected") is None:
            context.remember("protected", self._protected_now(context))

    def _set_up(self, context: Context) -> None:
        prompt, override = self._path(PROMPT), self._path(OVERRIDE)
        if context.recall("upgrader") is None:
            context.remember("upgrader", {path: kept.look(path) for path in (prompt, override)})
        before = context.recall("upgrader")[prompt]
        text = kept.text(before) if before["kind"] == "file" else "[DEFAULT]\nPrompt=lts\n"
        fresh = PROMPT_LINE.sub("Prompt=lts", text)
        os.makedirs(os.path.dirname(override), exist_ok=True)
        kept.write(prompt, (fresh if "Prompt=lts" in fresh else fresh + "\n[DEFAULT]\nPrompt=lts\n").encode("utf-8", "surrogateescape"),
                   before.get("mode", 0o644), before.get("uid"), before.get("gid"))
        kept.write(override, self._settings.encode(), 0o644)

    def _put_back(self, context: Context) -> None:
        before = context.recall("upgrader") or {}
        ours = self._path(OVERRIDE)
        for path, found in before.items():
            now = kept.look(path)
            # The new release may have brought a file of its own; only what still says what we wrote is put back.
            same = found["kind"] == now["kind"] == "file" and PROMPT_LINE.sub("Prompt=lts", kept.text(found)) == kept.text(now)
            if path == ours or same:
                kept.put_back(path, found)
        if before:
            context.remember("upgrader", None)

    def _see_current(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "update")
        simulated = context.run(self._apt.command("--simulate", "dist-upgrade"), timeout=300)
        if simulated.rc != 0:
            raise StepFailed("apt cannot tell what is out of date: {0}".format(said(simulated)))
        waiting = WAITING.findall(simulated.out)
        if waiting:
            raise StepFailed("{0} updates of this release wait to be installed ({1}). Install them (apt-get dist-upgrade), reboot, then run again.".format(
                len(waiting), ", ".join(waiting[:5]) + (" ..." if len(waiting) > 5 else "")))

    def _see_offer(self, context: Context) -> None:
        # "New release available" is 0 and everything else is 1, also a server that is not reached.
        asked = context.run([UPGRADER, "--check-dist-upgrade-only"] + self._words(), timeout=180, env=dict(apt.ENVIRONMENT))
        if asked.rc == 127:
            raise StepFailed("do-release-upgrade is not installed; install ubuntu-release-upgrader-core.")
        if asked.rc != 0:
            raise StepFailed(self._refusal(asked.out + asked.err))
        offered, wanted = OFFER.search(asked.out), series.VERSIONS.get(self._target)
        if offered is None or wanted is None or not re.match(re.escape(wanted) + r"(?:\.|$)", offered.group(1)):
            raise StepFailed("The upgrader offers {0} and not {1}. Is Prompt=lts heeded, and is {1} what follows here?".format(
                offered.group(1) if offered else "nothing that it names", "{0} ({1})".format(self._target, wanted)))

    def _upgrade(self, context: Context) -> None:
        """
        Returns when the upgrader has ended and moved the sources. Its end alone proves nothing: it ends with 0 when it could not fetch or verify
        itself, and with 1 when a single package failed at the end of a long way; what it left is finished in the next phase.
        """
        self._quiet.hold(context)
        here, begun = self._boot_id(), context.recall("upgrader_boot")
        if begun not in (None, here) and self._moved():
            # A reboot has cut it off. It would not begin again from there: its sources lead to the target already.
            context.progress(None, "do-release-upgrade was cut off by a reboot; going on with what it has left")
            return
        self._apt.wait_for_locks(context)
        context.remember("upgrader_boot", here)
        heard: List[str] = []

        def on_line(line: str) -> None:
            heard.append(line)
            del heard[:-200]
            seen = FETCHED.match(line)
            if seen:
                context.progress(float(seen.group(1)), "fetching")

        words = [UPGRADER, "-f", "DistUpgradeViewNonInteractive", "-m", "server"] + self._words()
        code = context.call(words, LOG, on_line=on_line, env=self._environment(context))
        if not self._moved():
            raise StepFailed("{0} Nothing was upgraded (exit status {1}); see {2} and /var/log/dist-upgrade/main.log.".format(
                self._refusal("\n".join(heard)), code, LOG))
        if code != 0:
            context.progress(None, "do-release-upgrade ended with status {0}; going on with what it has left".format(code))

    def _finish(self, context: Context) -> None:
        self._quiet.hold(context)
        self._apt.get(context, LOG, "update", repair=True)
        self._apt.get(context, LOG, "full-upgrade", repair=True)

    def _others(self, context: Context) -> None:
        """Switch on again, for the target, what the rules say; report all that is off now and was on before."""
        before: Dict[str, Any] = context.recall("sources") or {}
        texts = {path: kept.text(before[path]) for path in before if before[path]["kind"] == "file"}
        start = self._start or "none"
        made, changes = sources.plan(texts, start, self._target, self._rules)
        told = []
        for path in sorted(texts):
            mine = [change for change in changes if change.file == path and not self._official(texts[path], change)]
            if not mine:
                continue
            alone = len(mine) == len([change for change in changes if change.file == path])
            wanted = alone and any(change.action != "disabled" for change in mine)
            if wanted and kept.look(path)["kind"] in ("file", "absent"):
                kept.write(path, made[path].encode("utf-8", "surrogateescape"), before[path]["mode"], before[path]["uid"], before[path]["gid"])
            for change in mine:
                on = wanted and change.action != "disabled"
                why = "your rule says so" if on else "the upgrader switches off what is not Ubuntu's" + (
                    "; its file holds Ubuntu's own as well, so switch it on by hand" if change.action != "disabled" and not alone else "")
                told.append({"file": path, "uri": sources.public(change.uri), "action": change.action if on else "disabled", "why": why})
        report.tell(context, sources=told)
        for entry in told:
            context.progress(None, "source {0}: {1} ({2})".format(entry["action"], entry["uri"], entry["why"]))
        if any(entry["action"] != "disabled" for entry in told):
            self._apt.get(context, LOG, "update")

    def _release(self, context: Context) -> None:
        self._put_back(context)
        super()._release(context)

    def _prove(self, context: Context) -> None:
        # It decides by itself what it removes, so what must stay is looked for afterwards; the snapshot leads back.
        lost = [name for name in context.recall("protected") or [] if name not in self._protected_now(context)]
        if lost:
            raise StepFailed("The upgrade has removed {0}, which must stay.".format(", ".join(lost)))
        super()._prove(context)

    def _protected_now(self, context: Context) -> List[str]:
        shown = context.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n"])
        if shown.rc != 0:
            raise StepFailed("dpkg does not tell which packages are installed: {0}".format(said(shown)))
        names = re.findall(r"^installed (\S+)$", shown.out, re.MULTILINE)
        return sorted(name for name in names if any(fnmatch.fnmatchcase(name, glob) for glob in self._protected))

    def _moved(self) -> bool:
        """Whether apt's sources lead to the target now."""
        paths = kept.sources(os.path.join(self._etc, "apt"))
        found = [source for path in paths for source in sources.parse(path, kept.text(kept.look(os.path.realpath(path))))]
        return any(source.enabled and any(suite.split("-")[0] == self._target for suite in source.suites) for source in found)

    def _official(self, text: str, change: sources.Change) -> bool:
        return any(source.line == change.line and sources.is_official(source) for source in sources.parse(change.file, text))

    def _words(self) -> List[str]:
        return (["--devel-release"] if self._development else []) + (["--allow-third-party"] if self._third_party else [])

    def _environment(self, context: Context) -> Dict[str, str]:
        # Without a terminal there is nothing for screen to be attached to.
        return dict(apt.ENVIRONMENT, RELEASE_UPGRADER_NO_SCREEN="1", **{apt.MARK: context.run_id})

    def _refusal(self, text: str) -> str:
        known = next((sentence for words, sentence in REFUSALS if words in text), None)
        if known:
            return known.format(target=self._target)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "do-release-upgrade has refused: {0}.".format(lines[-1].rstrip(".") if lines else "it said nothing")

    def _path(self, name: str) -> str:
        return os.path.join(self._root or "/", name)
