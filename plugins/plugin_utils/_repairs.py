# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A playbook that repairs what the preflight found and a program may repair. It is written for an operator to read, and run.

Private room of the collection, pure: a report in (`_preflight_report.of_fleet`), the text of a playbook out.
"""

from __future__ import annotations

import re
import textwrap
import typing as t

import yaml

from ..module_utils._preflight.finding import INFO
from ._applications import natural

Facts = t.Mapping[str, t.Any]
Task = dict[str, t.Any]
HEAD = """---
# Repairs for {machines}, made by the preflight to {target} at {finished}. Read it before you run it:
#
#   ansible-playbook -i INVENTORY {name}
#
# It goes from machine to machine, restarts services where packages are upgraded, and pins no leadership.
"""


def playbook(report: Facts, name: str) -> str | None:
    """The text of the playbook that will be called NAME; None when nothing can be repaired. Accepted findings are left alone."""
    open_ = [finding for finding in report["findings"] if not finding.get("accepted")]
    by_host: dict[str, list[Facts]] = {}
    for finding in open_:
        by_host.setdefault(finding["machine"], []).append(finding)
    plays: dict[str, tuple[list[str], list[Task]]] = {}
    for host in sorted(by_host, key=natural):
        tasks = [task for repair in REPAIRS for finding in by_host[host] if finding["id"] == repair for task in REPAIRS[repair](finding.get("data") or {})]
        if tasks:
            plays.setdefault(repr(tasks), ([], tasks))[0].append(host)
    if not plays:
        return None
    content = [{"name": "Repair %s" % ", ".join(hosts), "hosts": ":".join(hosts), "gather_facts": False, "become": True, "serial": 1,
                "any_errors_fatal": True, "tasks": tasks} for hosts, tasks in plays.values()]
    machines = ", ".join(host for hosts, dummy in plays.values() for host in hosts)
    left = sorted({"%s: %s" % (finding["id"], finding["remedy"]) for finding in open_
                   if finding["id"] not in REPAIRS and finding["severity"] != INFO and finding["remedy"]})
    text = HEAD.format(machines=machines, target=report["target"], finished=report["finished"], name=name)
    if left:
        text += "#\n# For you to do:\n" + "".join(_comment(line) for line in left)
    return text + yaml.dump(content, Dumper=_Dumper, default_flow_style=False, sort_keys=False, width=140, allow_unicode=True)


def _comment(line: str) -> str:
    return "".join("#   %s\n" % part for part in textwrap.wrap(line, 140, subsequent_indent="  "))


class _Dumper(yaml.SafeDumper):
    """As yamllint likes it: lists are indented, and nothing is an alias of anything."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: t.Any) -> bool:
        return True


def _task(id_: str, name: str, module: str, arguments: t.Any, **more: t.Any) -> Task:
    return {"name": name, "ansible.builtin." + module: arguments, "tags": [id_], **more}


def _command(id_: str, name: str, *argv: str) -> Task:
    return _task(id_, name, "command", {"argv": list(argv)}, changed_when=True)


def _apt(id_: str, name: str, *words: str) -> Task:
    """apt-get itself: the module apt would install python3-apt first, which a machine to be repaired may not be able to."""
    kept = [word for option in ("--force-confdef", "--force-confold") for word in ("-o", "Dpkg::Options::=" + option)]
    return _command(id_, name, "env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "apt-get", "--yes", "--quiet", *kept, *words)


def _dpkg(data: Facts) -> list[Task]:
    return [_command("dpkg_broken", "Finish what dpkg has begun", "dpkg", "--force-confdef", "--force-confold", "--configure", "-a"),
            _apt("dpkg_broken", "Mend dependencies", "--fix-broken", "install")]


def _unhold(data: Facts) -> list[Task]:
    return [_task("held", "Release held packages", "dpkg_selections", {"name": "{{ item }}", "selection": "install"}, loop=list(data["packages"]))]


def _purge(data: Facts) -> list[Task]:
    return [_command("residual", "Purge what is gone but for its configuration", "dpkg", "--purge", *data["packages"])]


def _disable(data: Facts) -> list[Task]:
    path = data["file"]
    # A password in the address is in the file and not in the report.
    scheme, colon, rest = data["uri"].split()[0].partition("://")
    uri = re.escape(scheme + colon) + "(?:[^/@\\s]*@)?" + re.escape(rest) if colon else re.escape(scheme)
    if path.endswith(".sources"):
        arguments = {"path": path, "regexp": "^(URIs:.*%s.*)$" % uri, "replace": "Enabled: no\n\\1", "backup": True}
        return [_task("source_disabled", "Disable %s" % data["uri"], "replace", arguments)]
    arguments = {"path": path, "regexp": "^(deb.*\\s%s\\s+%s(\\s.*)?)$" % (uri, re.escape(data["suites"][0])), "replace": "# disabled: \\1", "backup": True}
    return [_task("source_disabled", "Disable %s %s" % (data["uri"], data["suites"][0]), "replace", arguments)]


def _keyring(data: Facts) -> list[Task]:
    return [_apt("archive_key_missing", "Fetch the newest lists", "update"),
            _apt("archive_key_missing", "Fetch the newest keys of the archive", "--only-upgrade", "install", "debian-archive-keyring")]


def _updates(data: Facts) -> list[Task]:
    return [_apt("updates_pending", "Fetch the lists of this series", "update"), _apt("updates_pending", "Go to the latest point release", "dist-upgrade")]


def _ssh(data: Facts) -> list[Task]:
    return [_apt("old_ssh", "Upgrade the SSH server within its series", "--only-upgrade", "install", "openssh-server")]


def _sysctl(data: Facts) -> list[Task]:
    return [_task("sysctl_conf", "Keep the settings of sysctl.conf where they are read", "copy", {
        "src": "/etc/sysctl.conf", "dest": "/etc/sysctl.d/98-from-sysctl-conf.conf", "remote_src": True, "force": False, "mode": "0644"})]


def _initrd(data: Facts) -> list[Task]:
    return [_command("initrd_missing", "Make the initramfs of %s" % version, "update-initramfs", "-c", "-k", version) for version in data["versions"]]


def _merge(data: Facts) -> list[Task]:
    return [_apt("usr_unmerged", "Merge /usr", "install", "usrmerge")]


def _reboot(data: Facts) -> list[Task]:
    return [_task("reboot_required", "Reboot into what is installed", "reboot", {"reboot_timeout": 900})]


# By finding, in the order in which a machine is repaired. Sources come first: one that does not answer keeps apt from everything else.
REPAIRS: dict[str, t.Callable[[Facts], list[Task]]] = {
    "source_disabled": _disable,
    "dpkg_broken": _dpkg,
    "held": _unhold,
    "residual": _purge,
    "archive_key_missing": _keyring,
    "usr_unmerged": _merge,
    "updates_pending": _updates,
    "old_ssh": _ssh,
    "sysctl_conf": _sysctl,
    "initrd_missing": _initrd,
    "reboot_required": _reboot,
}
