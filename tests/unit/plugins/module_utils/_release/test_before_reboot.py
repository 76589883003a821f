# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._release import before_reboot
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import Result


@pytest.fixture(name="root")
def _root(tmp_path):
    for folder in ("sys/class/net/ens3/device", "sys/class/net/lo", "sys/class/net/br0", "etc/udev/rules.d", "boot", "usr/sbin"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def look(root, told="", rc=0):
    asked = []
    found = before_reboot.problems(lambda argv, timeout: (asked.append(argv[-1]), Result(rc, told, ""))[1], str(root))
    assert asked in (["/sys/class/net/ens3"], [])
    return found


def test_machine_that_comes_back_has_nothing_against_it(root):
    assert look(root, "ID_NET_LINK_FILE=/usr/lib/systemd/network/99-default.link\nID_NET_NAME=ens3\n") == []
    assert look(root, "Failed to open device", 1) == []
    assert look(root, "") == []


def test_interface_that_would_be_renamed_is_told_with_the_file_that_keeps_its_name(root):
    said = look(root, "ID_NET_NAME=enp1s0\n")
    assert len(said) == 1 and said[0].startswith("the reboot would rename the network interface ens3 to enp1s0") and "10-ens3.link" in said[0]


def test_interface_that_a_rule_of_udev_names_keeps_its_name(root):
    (root / "etc/udev/rules.d/70-persistent-net.rules").write_text('SUBSYSTEM=="net", ATTR{address}=="x", NAME="ens3"\n', encoding="ascii")
    assert look(root, "ID_NET_NAME=enp1s0\n") == []


@pytest.mark.parametrize("line, told", [("data UUID=x none luks", True), ("# data UUID=x none", False), ("data UUID=x none luks,noauto", False)])
def test_encrypted_disk_that_nobody_would_open_is_told_and_one_that_waits_for_a_person_is_not(root, line, told):
    (root / "etc/crypttab").write_text(line + "\n", encoding="ascii")
    assert [sentence for sentence in look(root) if "install systemd-cryptsetup" in sentence] == (
        ["data in /etc/crypttab would not be opened at the boot; install systemd-cryptsetup"] if told else [])
    (root / "usr/bin").mkdir()
    (root / "usr/bin/systemd-cryptsetup").touch()
    assert look(root) == []


def test_newest_kernel_needs_a_whole_initramfs_where_initramfs_are_made(root):
    for version in ("6.1.0-40-amd64", "6.12.9-amd64", "6.12.10-amd64"):
        (root / "boot" / ("vmlinuz-" + version)).touch()
    assert look(root) == []
    (root / "usr/sbin/update-initramfs").touch()
    (root / "boot/initrd.img-6.12.9-amd64").write_bytes(b"x" * 70000)
    (root / "boot/initrd.img-6.12.10-amd64").write_bytes(b"cut off")
    assert look(root) == ["the kernel 6.12.10-amd64 has no whole initramfs; run update-initramfs -c -k 6.12.10-amd64, and look at the room in /boot"]
    (root / "boot/initrd.img-6.12.10-amd64").write_bytes(b"x" * 70000)
    assert look(root) == []


def test_boot_menu_that_leads_to_a_kernel_that_is_gone_is_told(root):
    (root / "boot/grub").mkdir()
    (root / "boot/grub/grub.cfg").write_text("linux /boot/vmlinuz-6.12.10-amd64 root=UUID=x\n", encoding="ascii")
    said = look(root)
    assert len(said) == 1 and said[0].startswith("the boot menu does not lead to this system: ")
