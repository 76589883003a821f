# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services whose next version wants something of their owner, and what watches or restarts them. Private room of the collection."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, NamedTuple, Tuple

from .finding import INFO, INHIBITOR, ISSUES, NOBLE, RESOLUTE, UBUNTU_UPGRADE, UPGRADING, WARNING, Finding, Kind, Wanted, finder, some
from .system import System

KINDS = {
    "dovecot": Kind(WARNING, ISSUES, (34,)),
    "samba_ad": Kind(WARNING, ISSUES, (34,)),
    "openldap_tls": Kind(WARNING, ISSUES, (34,)),
    "strongswan": Kind(WARNING, ISSUES, (34,)),
    "libvirt_split": Kind(WARNING, ISSUES, (34,)),
    "bacula": Kind(WARNING, ISSUES, (34,)),
    "samba_apparmor": Kind(WARNING, NOBLE, (34,)),
    "sysctl_conf": Kind(WARNING, ISSUES, (23,)),
    "cgroup_v1": Kind(INHIBITOR, RESOLUTE, (23,)),
    "containers": Kind(WARNING, NOBLE, (38,)),
    "needrestart": Kind(INFO, NOBLE, (10,)),
    "policy_rc_d": Kind(INFO, "https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt", (11,)),
    "molly_guard": Kind(INFO, "molly-guard(8)", (41,)),
    "monitoring": Kind(INFO, UPGRADING, (40,)),
    "ubuntu_services": Kind(WARNING, UBUNTU_UPGRADE, (39,)),
}
find = finder(KINDS)

DEBIAN, UBUNTU = ("trixie",), ("noble",)
# id: (any of these packages, targets that change it, why, remedy).
CHANGES: Dict[str, Tuple[Tuple[str, ...], Tuple[str, ...], str, str]] = {
    "dovecot": (("dovecot-core",), DEBIAN, "Dovecot 2.4 does not take the configuration of 2.3, and its replicator is gone.",
                "Write and try the new configuration before the upgrade."),
    "samba_ad": (("samba",), DEBIAN, "The domain controller and some modules have left the package samba.",
                 "Install samba-ad-dc after the upgrade on a domain controller, samba-vfs-ceph or -glusterfs where they are used."),
    "openldap_tls": (("slapd",), DEBIAN, "OpenLDAP uses OpenSSL instead of GnuTLS: other TLS options, and the system's authorities when none are given.",
                     "Read the TLS settings against the new manual before the upgrade."),
    "strongswan": (("strongswan", "strongswan-starter"), DEBIAN, "The package strongswan now brings charon-systemd and swanctl.",
                   "Keep charon-daemon and strongswan-starter, or move ipsec.conf to swanctl first."),
    "libvirt_split": (("libvirt-daemon-system",), DEBIAN, "Drivers and storage backends of libvirt are packages of their own.",
                      "Look after the upgrade that each driver in use is installed."),
    "bacula": (("bacula-director",), DEBIAN, "The catalogue is converted, which takes hours and twice its room.",
               "Make room for it and for its dump below /var/cache/dbconfig-common/backups."),
    "samba_apparmor": (("samba",), UBUNTU, "The AppArmor profile of smbd may deny shares (LP 2063079).", "Try a share after the upgrade."),
    "containers": (("docker-ce", "docker.io", "containerd", "containerd.io", "podman", "lxc"), UBUNTU,
                   "AppArmor restricts unprivileged user namespaces, and runc's profile keeps signals from containers: stops become kills.",
                   "Try to stop a container on one machine of that series first."),
}
AGENTS = ("zabbix-agent", "zabbix-agent2", "prometheus-node-exporter", "nagios-nrpe-server", "icinga2", "munin-node", "check-mk-agent", "telegraf",
          "netdata", "monit", "datadog-agent")
UBUNTUS = ("landscape-client", "canonical-livepatch", "ubuntu-advantage-tools", "ubuntu-pro-client")


class Facts(NamedTuple):
    """versions: of all packages. sysctl: settings of /etc/sysctl.conf. cgroup_v1: whether the old hierarchy is mounted. ad: a domain controller."""

    versions: Dict[str, str]
    sysctl: List[str]
    cgroup_v1: bool
    policy_rc_d: bool
    ad: bool
    ubuntu_pro: bool


def look(system: System) -> Facts:
    """Raises OSError for what cannot be told."""
    own = os.path.realpath(system.path("/etc/sysctl.d/99-sysctl.conf")) == os.path.realpath(system.path("/etc/sysctl.conf"))
    kept = {line for path in system.glob("/etc/sysctl.d/*.conf") if not (own and path.endswith("/99-sysctl.conf")) for line in _settings(system, path)}
    return Facts(
        versions=system.versions(),
        sysctl=[line for line in _settings(system, "/etc/sysctl.conf") if line not in kept],
        cgroup_v1=" cgroup " in (system.text("/proc/self/mounts") or "").replace("cgroup2", ""),
        policy_rc_d=system.exists("/usr/sbin/policy-rc.d"),
        ad="server role" in " ".join(system.lines("/etc/samba/smb.conf")) and "domain controller" in " ".join(system.lines("/etc/samba/smb.conf")).lower(),
        ubuntu_pro=system.exists("/var/lib/ubuntu-advantage/private/machine-token.json"),
    )


def findings(facts: Facts, wanted: Wanted) -> Iterator[Finding]:
    for id_, (packages, targets, why, remedy) in CHANGES.items():
        here = [name for name in packages if name in facts.versions]
        if here and wanted.target in targets:
            severity = INFO if id_ == "samba_ad" and not facts.ad else ""
            yield find(id_, "Installed: {0}.".format(", ".join("{0} {1}".format(name, facts.versions[name]) for name in here)), why, remedy, severity)
    if facts.sysctl and wanted.target in ("trixie", "forky", "duke"):
        yield find("sysctl_conf", "/etc/sysctl.conf sets {0}.".format(some(facts.sysctl)), "systemd-sysctl no longer reads that file.",
                   "Move them to a file in /etc/sysctl.d.", settings=facts.sysctl)
    if facts.cgroup_v1:
        hard = wanted.target == "resolute"
        yield find("cgroup_v1", "cgroup v1 is mounted.",
                   "systemd of {0} {1}.".format(wanted.target, "has no support for it" if hard else "is about to drop it"),
                   "Take systemd.unified_cgroup_hierarchy=0 off the kernel's command line, and reboot.", "" if hard else WARNING)
    yield from _handled(facts)


def _handled(facts: Facts) -> Iterator[Finding]:
    """What the upgrade deals with by itself, or what its owner may want to tell somebody."""
    if "needrestart" in facts.versions:
        yield find("needrestart", "needrestart is installed.", "It restarts services, or asks.", "It is suspended during the upgrade.")
    if facts.policy_rc_d:
        yield find("policy_rc_d", "/usr/sbin/policy-rc.d is there already.", "It decides who may restart services.",
                   "The upgrade sets its own for a while and puts this one back.")
    if "molly-guard" in facts.versions:
        yield find("molly_guard", "molly-guard is installed.", "It asks before a reboot.", "The watcher reboots past it.")
    agents = [name for name in AGENTS if name in facts.versions]
    if agents:
        yield find("monitoring", "Watched by {0}.".format(some(agents)), "A machine that is upgraded looks ill.",
                   "Silence its alarms for the time.", agents=agents)
    pro = [name for name in UBUNTUS[:2] if name in facts.versions] + (["Ubuntu Pro"] if facts.ubuntu_pro else [])
    if pro:
        yield find("ubuntu_services", "Attached: {0}.".format(some(pro)), "It may hold packages, kernels or sources.",
                   "Look what it holds; `pro status` tells for the most.", services=pro)


def _settings(system: System, path: str) -> List[str]:
    return ["=".join(part.strip() for part in line.split("=", 1)) for line in system.lines(path) if "=" in line]
