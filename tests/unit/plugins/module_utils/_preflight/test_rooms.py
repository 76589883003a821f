# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every room finds what it is there for, on a file tree of the test and with programs that are doubles here, and is silent on a machine in good order."""

from __future__ import annotations

import os
import re

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight import (
    databases, disk, finding, network, packages, rooms, services, sources, users,
)
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.finding import Wanted
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._preflight.system import Installed, System
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result

TRIXIE = Wanted(start="bookworm", target="trixie")
NOBLE = Wanted(start="jammy", target="noble")
CALM_PACKAGES = packages.Facts("amd64", [Installed("bash", "amd64", "5.2")], [], [], "", [], True, [])
CALM_DISK = disk.Facts(None, "tmpfs", 0, 4096, [], None, [], [])
CALM_SERVICES = services.Facts({}, [], False, False, False, False)
CALM_USERS = users.Facts([], [], [], "Europe/Madrid")
CALM_NETWORK = network.Facts([network.Interface("enp1s0", "enp1s0", "virtio_net", False)], [], False, False)
CALM_DATABASES = databases.Facts([], {})
RENAMED = network.Interface("eth0", "enp1s0", "e1000", False)
I40E = network.Interface("ens1f0", "", "i40e", False)


def only(room, facts, wanted=TRIXIE):
    """The one finding of a room."""
    (found,) = room.findings(facts, wanted)
    return found


@pytest.mark.parametrize("room, facts", [
    (packages, CALM_PACKAGES), (sources, sources.Facts([])), (disk, CALM_DISK), (services, CALM_SERVICES), (users, CALM_USERS), (network, CALM_NETWORK),
    (databases, CALM_DATABASES),
])
@pytest.mark.parametrize("wanted", [TRIXIE, NOBLE])
def test_machine_in_good_order_gives_no_finding(room, facts, wanted):
    assert list(room.findings(facts, wanted)) == []


@pytest.mark.parametrize("id_, severity, room, facts, wanted, words", [
    ("backports", "warning", packages, CALM_PACKAGES._replace(packages=[Installed("git", "amd64", "1~bpo12+1")]), TRIXIE, "git"),
    ("updates_pending", "warning", packages, CALM_PACKAGES._replace(pending=["libc6"]), TRIXIE, "1 packages are behind bookworm: libc6."),
    ("default_release", "inhibitor", packages, CALM_PACKAGES._replace(default_release="bookworm"), TRIXIE, "Default-Release is bookworm"),
    ("left_beside", "info", packages, CALM_PACKAGES._replace(beside=["/etc/x.dpkg-dist"]), TRIXIE, "/etc/x.dpkg-dist"),
    ("residual", "info", packages, CALM_PACKAGES._replace(residual=["nginx"]), TRIXIE, "nginx"),
    ("foreign_architectures", "warning", packages, CALM_PACKAGES._replace(packages=[Installed("wine32", "i386", "8")]), TRIXIE, "wine32:i386"),
    ("time_t", "warning", packages, CALM_PACKAGES._replace(architecture="armhf", packages=[]), TRIXIE, "armhf"),
    ("usr_unmerged", "inhibitor", packages, CALM_PACKAGES._replace(merged=False), NOBLE, "no link into /usr"),
    ("python_applications", "warning", packages, CALM_PACKAGES._replace(pythons=["/opt/app"]), TRIXIE, "/opt/app"),
    ("boot_small", "warning", disk, CALM_DISK._replace(boot_mb=488), TRIXIE, "488 MB"),
    ("tmp_on_ram", "info", disk, CALM_DISK._replace(tmp="disk", tmp_mb=3), TRIXIE, "at most 2048 MB, and 3 MB"),
    ("tmp_on_ram", "warning", disk, CALM_DISK._replace(tmp="disk", tmp_mb=600), TRIXIE, "600 MB"),
    ("crypt_plain", "inhibitor", disk, CALM_DISK._replace(plain=["swap"]), TRIXIE, "swap"),
    ("grub_device", "warning", disk, CALM_DISK._replace(grub=[]), TRIXIE, "does not know a disk"),
    ("grub_device", "warning", disk, CALM_DISK._replace(grub=["/dev/sda"], grub_lost=["/dev/sda"]), TRIXIE, "/dev/sda is not there"),
    ("initrd_missing", "inhibitor", disk, CALM_DISK._replace(kernels_without_initrd=["6.1.0-1"]), TRIXIE, "6.1.0-1"),
    ("dovecot", "warning", services, CALM_SERVICES._replace(versions={"dovecot-core": "2.3"}), TRIXIE, "dovecot-core 2.3"),
    ("openldap_tls", "warning", services, CALM_SERVICES._replace(versions={"slapd": "2.5"}), TRIXIE, "slapd"),
    ("strongswan", "warning", services, CALM_SERVICES._replace(versions={"strongswan": "5.9"}), TRIXIE, "strongswan"),
    ("libvirt_split", "warning", services, CALM_SERVICES._replace(versions={"libvirt-daemon-system": "9"}), TRIXIE, "libvirt"),
    ("bacula", "warning", services, CALM_SERVICES._replace(versions={"bacula-director": "9"}), TRIXIE, "bacula"),
    ("samba_ad", "info", services, CALM_SERVICES._replace(versions={"samba": "4.17"}), TRIXIE, "samba"),
    ("samba_ad", "warning", services, CALM_SERVICES._replace(versions={"samba": "4.17"}, ad=True), TRIXIE, "samba"),
    ("samba_apparmor", "warning", services, CALM_SERVICES._replace(versions={"samba": "4.15"}), NOBLE, "samba"),
    ("containers", "warning", services, CALM_SERVICES._replace(versions={"docker.io": "24"}), NOBLE, "docker.io"),
    ("sysctl_conf", "warning", services, CALM_SERVICES._replace(sysctl=["vm.swappiness=10"]), TRIXIE, "vm.swappiness=10"),
    ("cgroup_v1", "warning", services, CALM_SERVICES._replace(cgroup_v1=True), TRIXIE, "about to drop"),
    ("cgroup_v1", "inhibitor", services, CALM_SERVICES._replace(cgroup_v1=True), Wanted("noble", "resolute"), "no support"),
    ("needrestart", "info", services, CALM_SERVICES._replace(versions={"needrestart": "3.6"}), TRIXIE, "needrestart"),
    ("policy_rc_d", "info", services, CALM_SERVICES._replace(policy_rc_d=True), TRIXIE, "policy-rc.d"),
    ("molly_guard", "info", services, CALM_SERVICES._replace(versions={"molly-guard": "1"}), TRIXIE, "molly-guard"),
    ("monitoring", "info", services, CALM_SERVICES._replace(versions={"zabbix-agent2": "6"}), TRIXIE, "zabbix-agent2"),
    ("ubuntu_services", "warning", services, CALM_SERVICES._replace(ubuntu_pro=True), NOBLE, "Ubuntu Pro"),
    ("ssh_dsa", "warning", users, CALM_USERS._replace(dsa=["/root/.ssh/authorized_keys"]), TRIXIE, "/root/.ssh/authorized_keys"),
    ("pam_environment", "warning", users, CALM_USERS._replace(pam=["/root/.pam_environment"]), TRIXIE, ".pam_environment"),
    ("last_commands", "warning", users, CALM_USERS._replace(last=["/etc/cron.d/who"]), TRIXIE, "/etc/cron.d/who"),
    ("tzdata_legacy", "warning", users, CALM_USERS._replace(zone="US/Eastern"), TRIXIE, "US/Eastern"),
    ("interface_renamed", "warning", network, CALM_NETWORK._replace(interfaces=[RENAMED]), TRIXIE, "eth0 to enp1s0"),
    ("interface_may_rename", "warning", network, CALM_NETWORK._replace(interfaces=[I40E]), TRIXIE, "ens1f0 (i40e)"),
    ("resolver_stub", "info", network, CALM_NETWORK._replace(stub=True), NOBLE, "systemd-resolved"),
    ("postgresql_jump", "warning", databases, databases.Facts(["15/main"], {"postgresql-15": "15.9"}), TRIXIE, "15 is here with 15/main, and trixie brings 17"),
    ("mariadb_major", "warning", databases, databases.Facts([], {"mariadb-server": "1:10.11.6"}), TRIXIE, "10.11.6 is here, and trixie brings 11.8"),
    ("rabbitmq_hop", "inhibitor", databases, databases.Facts([], {"rabbitmq-server": "3.10.8"}), TRIXIE, "3.10.8"),
])
def test_finding_says_what_it_has_found_and_what_to_do(id_, severity, room, facts, wanted, words):
    found = only(room, facts, wanted)
    assert (found.id, found.severity) == (id_, severity)
    assert words in found.sentence() + found.why
    assert found.remedy and found.source


@pytest.mark.parametrize("room, facts, wanted", [
    (disk, CALM_DISK._replace(tmp="own"), TRIXIE),
    (disk, CALM_DISK._replace(tmp="disk"), Wanted("bullseye", "bookworm")),
    (databases, databases.Facts([], {"postgresql-17": "17.2"}), TRIXIE),
    (network, CALM_NETWORK._replace(interfaces=[I40E], pinned=["ens1f0"]), TRIXIE),
    (network, CALM_NETWORK._replace(interfaces=[I40E], ifnames_off=True), TRIXIE),
    (services, CALM_SERVICES._replace(versions={"dovecot-core": "2.3"}), NOBLE),
    (packages, CALM_PACKAGES._replace(default_release="trixie"), TRIXIE),
])
def test_what_does_not_concern_this_way_is_not_told(room, facts, wanted):
    assert list(room.findings(facts, wanted)) == []


def test_every_kind_has_a_source_a_test_and_items_that_exist():
    text = open(__file__, encoding="utf-8").read() + "".join(
        open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8").read() for name in ("test_state.py", "test_foreseen.py", "test_survey.py"))
    untested = [id_ for id_ in rooms.KINDS if '"%s"' % id_ not in text]
    assert not untested
    assert all(1 <= item <= 42 for kind in rooms.KINDS.values() for item in kind.items)
    assert not [id_ for id_, kind in rooms.KINDS.items() if kind.severity != finding.INFO and not kind.source and id_ != "not_looked"]


def test_no_password_of_an_address_gets_into_a_finding():
    found = finding.finder({"x": finding.Kind("info")})("x", "The source https://ann:s3cret@x.example.com/a is off.", uris=["https://tok3n@x.example.com/a"])
    assert "s3cret" not in repr(found) and "tok3n" not in repr(found)
    assert found.what == "The source https://x.example.com/a is off."


@pytest.fixture(name="tree")
def _tree(tmp_path):
    """A machine's file tree: tree(path, text) writes a file."""
    def write(path, text=""):
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        return place

    write("/proc/self/mounts", "/dev/vda1 / ext4 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    write("/proc/meminfo", "MemTotal:        2048000 kB\n")
    write("/proc/cmdline", "root=/dev/vda1")
    (tmp_path / "tmp").mkdir()
    write.root = tmp_path
    return write


def doubles(**programs):
    """A run() whose programs answer by a word of theirs; everything else says nothing and ends well."""
    def run(argv, timeout=60, env=None):
        return next((Result(0, text, "") for word, text in programs.items() if word.replace("_", "-") in " ".join(argv)), Result(0, "", ""))

    return run


def look(room, tree, **programs):
    return room.look(System(str(tree.root), doubles(**programs)))


def test_packages_are_seen_with_what_lies_beside_them_with_doubles_of_dpkg(tree):
    tree("/etc/app/x.conf.dpkg-dist")
    tree("/opt/app/venv/pyvenv.cfg")
    tree("/usr/local/lib/python3.11/dist-packages/requests/__init__.py")
    (tree.root / "bin").mkdir()
    facts = look(packages, tree, Status_Status="bash\tamd64\t5\tinstalled\nold\tall\t1\tconfig-files\nhalf\tall\t1\thalf-configured\n",
                 print_architecture="amd64\n", Default_Release="FOUND='bookworm'\n", simulate="Inst bash [5] (5.1 Debian)\n")
    assert [package.name for package in facts.packages] == ["bash", "half"]
    assert facts._replace(packages=[]) == packages.Facts(
        "amd64", [], ["old"], ["bash"], "bookworm", ["/etc/app/x.conf.dpkg-dist"], False, ["/opt/app/venv", "/usr/local/lib/python3.11/dist-packages"])


def test_disks_are_seen_with_doubles_of_debconf(tree):
    tree("/etc/crypttab", "# name\nswap /dev/vda2 /dev/urandom plain,swap\ndata /dev/vda3 none luks\nfine /dev/vda4 k plain,cipher=x,hash=y\n")
    tree("/tmp/large", "x" * 3 * 1024 * 1024)
    for version in ("6.1.0-1", "6.1.0-2"):
        tree("/boot/vmlinuz-" + version)
    tree("/boot/initrd.img-6.1.0-2")
    facts = look(disk, tree, Status_Status="grub-pc\tamd64\t2\tinstalled\ninitramfs-tools\tall\t0\tinstalled\n",
                 debconf="* grub-pc/install_devices: /dev/nowhere, /tmp/large\n")
    assert (facts.tmp, facts.tmp_mb, facts.ram_mb, facts.plain) == ("disk", 3, 2000, ["swap"])
    assert (facts.grub, facts.grub_lost, facts.kernels_without_initrd) == (["/dev/nowhere", "/tmp/large"], ["/dev/nowhere"], ["6.1.0-1"])
    tree("/etc/fstab", "tmpfs /tmp tmpfs size=1G 0 0\n")
    assert look(disk, tree).tmp == "own"


def test_services_are_seen_with_doubles_of_dpkg(tree):
    tree("/etc/sysctl.conf", "# none\nvm.swappiness = 10\nnet.ipv4.ip_forward=1\n")
    tree("/etc/sysctl.d/50-own.conf", "net.ipv4.ip_forward = 1\n")
    (tree.root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    tree("/etc/samba/smb.conf", "[global]\nserver role = active directory domain controller\n")
    facts = look(services, tree)
    assert (facts.sysctl, facts.cgroup_v1, facts.ad, facts.policy_rc_d) == (["vm.swappiness=10"], False, True, False)
    tree("/proc/self/mounts", "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n")
    assert look(services, tree).cgroup_v1 is True


def test_users_are_seen(tree):
    tree("/etc/passwd", "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n")
    tree("/home/ann/.ssh/authorized_keys", "ssh-ed25519 AAAA\nfrom=\"*\" ssh-dss AAAAB3 old\n")
    tree("/root/.pam_environment", "EDITOR=vi\n")
    tree("/etc/timezone", "US/Eastern\n")
    for name, text in (("a", "lastlog | head"), ("b", "# last\necho the last one"), ("c", "0 3 * * * root last -n 1"), ("d", "n=$(lastb|wc -l)")):
        tree("/etc/cron.d/" + name, text + "\n")
    assert look(users, tree) == users.Facts(
        ["/home/ann/.ssh/authorized_keys"], ["/root/.pam_environment"], ["/etc/cron.d/a", "/etc/cron.d/c", "/etc/cron.d/d"], "US/Eastern")


def test_interfaces_are_seen_with_a_double_of_udevadm(tree):
    tree("/sys/class/net/eth0/device/uevent")
    (tree.root / "sys/class/net/eth0/device/driver").symlink_to("../../drivers/i40e")
    tree("/sys/class/net/eth0/device/firmware_node/sun", "3")
    tree("/sys/class/net/lo/address")
    tree("/etc/systemd/network/10-lan.link", "[Link]\nName=lan0\n")
    facts = look(network, tree, udevadm="ID_NET_DRIVER=i40e\nID_NET_NAME=ens3\n")
    assert facts == network.Facts([network.Interface("eth0", "ens3", "i40e", True)], ["lan0"], False, False)


def test_sources_and_databases_are_seen(tree):
    tree("/etc/apt/sources.list", "deb http://ftp.debian.org/debian buster main\ndeb http://mirror.example.com/x buster main\n")
    found = only(sources, look(sources, tree))
    assert found.id == "suite_archived" and found.data["sources"] == ["http://ftp.debian.org/debian buster"]
    tree("/etc/postgresql/15/main/postgresql.conf")
    assert look(databases, tree).clusters == ["15/main"]


def test_room_that_cannot_look_is_a_finding_and_keeps_no_other_from_looking(tree):
    (tree.root / "proc/meminfo").unlink()
    found = list(rooms.findings(System(str(tree.root), doubles(print_architecture="amd64")), TRIXIE))
    (blind,) = [one for one in found if one.id == "not_looked"]
    assert "The disks could not be looked at: /proc/meminfo" in blind.what
    assert blind.severity == "warning" and re.search("Nobody knows", blind.why)
