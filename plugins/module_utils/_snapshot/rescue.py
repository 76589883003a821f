# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The way back without Python: a shell script that the watcher's unit runs before each start of the watcher. Private room of the collection.

It acts only after a boot, in an upgrade that is not over, when the watcher cannot run. Then it makes the snapshot what boots next, leaves a
request in the spool and reboots; the watcher of the old system, which has its Python, hears the request and brings the rollback to its end.
"""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, Callable, Dict, Optional

from .boot import Boot
from .._watcher.steps import Record

NAME = "rescue.sh"
REASON = "Python was gone after the reboot"
# Where the watcher would go back by itself, and where that was promised already.
WATCHED = ("UPGRADING", "REBOOTING", "WATCHING")
PROMISED = ("ROLLBACK_REQUESTED", "ROLLING_BACK")

SCRIPT = """\
#!/bin/sh
# Written by leasehold.series_upgrade when the snapshot was taken; run before each start of the watcher.
# Does nothing unless the machine has booted, in the middle of this upgrade, without a Python that can run the watcher.
state={state}
marker=$state/marker.json
say() {{ echo "rescue: $*" >&2; }}
has() {{ grep -qxF -e "$1" "$marker"; }}
is() {{ for name; do has " \\"state\\": \\"$name\\"," && return; done; return 1; }}

[ -r "$marker" ] && has {upgrade} || exit 0
is {states} || exit 0
# In the boot that the watcher knows, an upgrade may just be putting Python back.
has " \\"boot_id\\": \\"$(cat /proc/sys/kernel/random/boot_id)\\"," && exit 0
timeout 60 {python} {program} --help >/dev/null 2>&1 && exit 0

passed() {{
    timeout 10 /bin/sh -c "$1" >/dev/null 2>&1
    case $? in 0|124|126|127|137) return 0;; *) return 1;; esac
}}
if ! is {promised}; then
    :
{no_return}
fi

say "the watcher cannot run: this machine goes back by itself"
(
    set -eu
    [ -d "$state/spool" ] || mkdir -m 700 "$state/spool"
    printf '%s\\n' {request} >"$state/spool/rescue.tmp"
    mv "$state/spool/rescue.tmp" "$state/spool/rescue.json"
    sync
{revert}
    sync
)
if [ $? -ne 0 ]; then
    say "it could not be taken back; tried again in a minute"
    sleep 60
    exit 1
fi
{end}
"""
REBOOT = """\
say "the machine reboots into the old system"
systemctl --no-block reboot
exec sleep 300"""
RESTART = """\
say "the old system is back\""""

BTRFS = """\
    path={path} name={name} uuid={uuid}
    device=$(findmnt -vno SOURCE /)
    top=$(findmnt -rvn -t btrfs -o SOURCE,FSROOT,TARGET | while read -r source root target; do
        if [ "$source $root" = "$device /" ] && [ "$target" != / ]; then echo "$target"; break; fi
    done)
    if [ -z "$top" ]; then
        top=/run/series-upgrade-rescue
        mkdir -p "$top"
        mount -t btrfs -o subvolid=5 "$device" "$top"
    fi
    copied() {{ btrfs subvolume show "$1" | grep -q "Parent UUID:[[:space:]]*$uuid"; }}
    if copied /; then
        say "this is the old system already, and it has no Python either"
        exit 1
    fi
    # Once they have changed places, only what follows is left to do.
    if [ "$(findmnt -vno FSROOT /)" = "/$path" ]; then
        [ -e "$top/$name-root" ] || btrfs subvolume snapshot "$top/$name" "$top/$name-root"
        copied "$top/$name-root"
{carry}
        btrfs filesystem sync "$top"
        # Two renames where mv cannot exchange: both go into one transaction of the file system, unless power is cut just there.
        mv --exchange --no-copy -T "$top/$name-root" "$top/$path" 2>/dev/null || mv -T "$top/$path" "$top/$name-failed"
    fi
    [ -e "$top/$path" ] || mv -T "$top/$name-root" "$top/$path"
    [ ! -e "$top/$name-root" ] || mv -T "$top/$name-root" "$top/$name-failed"
    copied "$top/$path"
{default}
    btrfs filesystem sync "$top"
"""
CARRY = """\
        into=$top/$name-root$state
        rm -rf "$into.fresh" "$into.old"
        cp -a "$state" "$into.fresh"
        rm -f "$into.fresh/lock"
        printf %s "$uuid" >"$into.fresh/carried"
        [ ! -e "$into" ] || mv -T "$into" "$into.old"
        mv -T "$into.fresh" "$into"
        rm -rf "$into.old\""""
DEFAULT = """\
    btrfs subvolume set-default "$top/$path\""""


def script(spec: Dict[str, Any], taken: Record, state_dir: str, python: str, program: str) -> Optional[str]:
    """
    The text of rescue.sh for the upgrade with this spec (the watcher's), whose snapshot phase has recorded taken. None for a kind of snapshot
    that plain programs cannot revert.
    """
    kind = KINDS.get(spec["snapshot"].get("kind") or "none")
    revert = kind(spec["snapshot"], taken, state_dir) if kind else None
    if revert is None:
        return None
    promised = " ".join(PROMISED)
    request = {"v": 1, "do": "rollback", "request_id": "rescue-" + spec["upgrade_id"][:100], "reason": REASON,
               # They were asked before anything was done; the old system may answer otherwise, and is what runs by then.
               "force": sorted({item["application"] for item in spec["no_return"]})}
    asked = ["    passed {0} && {{ say {1}; exit 0; }}".format(
        shlex.quote(item["command"]), shlex.quote(item["application"] + " is past its point of no return: " + item["reason"])) for item in spec["no_return"]]
    by_itself = " ".join(WATCHED) + " " if spec["on_failure"] == "rollback" else ""
    reboots = spec["snapshot"]["kind"] != "command" or spec["snapshot"].get("needs_reboot")
    return SCRIPT.format(
        state=shlex.quote(os.path.realpath(state_dir)), upgrade=shlex.quote(' "upgrade_id": {0},'.format(json.dumps(spec["upgrade_id"]))),
        states=by_itself + promised, promised=promised, python=shlex.quote(python), program=shlex.quote(program),
        no_return="\n".join(asked), request=shlex.quote(json.dumps(request)), revert=revert, end=REBOOT if reboots else RESTART)


def _btrfs(spec: Dict[str, Any], taken: Record, state_dir: str) -> Optional[str]:
    """A /boot of its own would have to be put back as well, with a menu that leads to it: too much for a script."""
    if (spec.get("root") or "/") != "/" or not taken.get("path") or Boot("/").is_apart:
        return None
    inside = os.stat(state_dir).st_dev == os.stat("/").st_dev
    return BTRFS.format(path=shlex.quote(taken["path"]), name=shlex.quote(taken["name"]), uuid=shlex.quote(taken["uuid"]),
                        carry=CARRY if inside else "        :", default=DEFAULT if taken.get("default", True) else "    :")


def _command(spec: Dict[str, Any], taken: Record, _state_dir: str) -> Optional[str]:
    return "    SERIES_UPGRADE_SNAPSHOT={0} /bin/sh -c {1}".format(shlex.quote(taken["name"]), shlex.quote(spec["revert"]))


KINDS: Dict[str, Callable[[Dict[str, Any], Record, str], Optional[str]]] = {"btrfs": _btrfs, "command": _command}
