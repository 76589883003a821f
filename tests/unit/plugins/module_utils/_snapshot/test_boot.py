# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A /boot of its own is a directory in another file system here, reached by a link; tests/integration has a real one."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._snapshot import boot
from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher.steps import StepFailed

OLD, NEW = "6.1.0-37-amd64", "6.12.41+deb13-amd64"


def menu(*versions):
    entry = "menuentry 'Debian' {\n\tlinux\t/@rootfs/boot/vmlinuz-%s root=UUID=1 ro rootflags=subvol=@rootfs quiet\n}\n"
    return "".join(entry % version for version in versions)


def install(root, version):
    (root / "boot" / "grub" / "i386-pc").mkdir(parents=True, exist_ok=True)
    (root / "boot" / ("vmlinuz-" + version)).write_text("kernel " + version, encoding="ascii")
    (root / "boot" / ("initrd.img-" + version)).write_text("initramfs " + version, encoding="ascii")
    (root / "boot" / "grub" / "grub.cfg").write_text(menu(version), encoding="ascii")
    (root / "boot" / "grub" / "i386-pc" / "normal.mod").write_text("loader of " + version, encoding="ascii")
    (root / "lib" / "modules" / version).mkdir(parents=True)


def names(root):
    return sorted(path.name for path in (root / "boot").iterdir())


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def apart(root):
    """The root with /boot in another file system."""
    other = tempfile.mkdtemp(dir="/dev/shm")
    if os.stat(other).st_dev == os.stat(root).st_dev:
        pytest.skip("there is no second file system to write to")
    (root / "boot").symlink_to(other)
    yield root
    shutil.rmtree(other)


def test_boot_of_its_own_goes_back_with_the_root(apart):
    install(apart, OLD)
    (apart / "boot" / "vmlinuz").symlink_to("vmlinuz-" + OLD)
    assert boot.Boot(str(apart)).is_apart and boot.Boot(str(apart)).size_mb() == 1
    boot.Boot(str(apart)).save("x")
    boot.Boot(str(apart)).save("x")
    assert boot.Boot(str(apart)).is_restored("x", str(apart))

    install(apart, NEW)
    (apart / "boot" / ("initrd.img-" + OLD)).write_text("initramfs made anew", encoding="ascii")
    (apart / "boot" / "vmlinuz").unlink()
    (apart / "boot" / "vmlinuz").symlink_to("vmlinuz-" + NEW)
    assert not boot.Boot(str(apart)).is_restored("x", str(apart))
    for _again in range(2):
        boot.Boot(str(apart)).restore("x", str(apart))
        assert boot.Boot(str(apart)).is_restored("x", str(apart))
    assert names(apart) == ["grub", "initrd.img-" + OLD, "vmlinuz", "vmlinuz-" + OLD]
    assert (apart / "boot" / ("initrd.img-" + OLD)).read_text(encoding="ascii") == "initramfs " + OLD
    assert os.readlink(apart / "boot" / "vmlinuz") == "vmlinuz-" + OLD
    assert OLD in (apart / "boot" / "grub" / "grub.cfg").read_text(encoding="ascii")
    assert (apart / "boot" / "grub" / "i386-pc" / "normal.mod").read_text(encoding="ascii") == "loader of " + NEW, "it belongs to the boot sector"
    boot.Boot(str(apart)).drop("x")
    boot.Boot(str(apart)).drop("x")
    assert not (apart / boot.STORE).exists()


def test_menu_is_put_back_after_what_it_names_and_before_anything_is_deleted(apart, monkeypatch):
    install(apart, OLD)
    boot.Boot(str(apart)).save("x")
    install(apart, NEW)
    (apart / "boot" / ("vmlinuz-" + OLD)).unlink()
    replaced, there = [], []
    real = boot._replace  # pylint: disable=protected-access

    def replace(source, target):
        replaced.append(os.path.basename(target))
        there.append("vmlinuz-" + NEW in names(apart))
        real(source, target)

    monkeypatch.setattr(boot, "_replace", replace)
    boot.Boot(str(apart)).restore("x", str(apart))
    assert replaced == ["vmlinuz-" + OLD, "grub.cfg"] and there == [True, True]


def test_saving_that_was_cut_off_begins_anew(apart):
    install(apart, OLD)
    (apart / boot.STORE / "x.fresh").mkdir(parents=True)
    boot.Boot(str(apart)).save("x")
    assert boot.Boot(str(apart)).is_restored("x", str(apart))
    assert os.listdir(apart / boot.STORE) == ["x"]
    assert (apart / boot.STORE / "x").stat().st_mode & 0o777 == 0o700


def test_lost_saved_files_are_told(apart):
    install(apart, OLD)
    with pytest.raises(StepFailed, match="The saved files of .*/boot cannot be read"):
        boot.Boot(str(apart)).restore("x", str(apart))


def test_loader_in_the_old_root_becomes_the_one_that_the_boot_sector_has(root, tmp_path):
    install(root, NEW)
    install(tmp_path / "back", OLD)
    boots = boot.Boot(str(root))
    assert not boots.is_apart and boots.size_mb() == 0
    assert not boots.is_restored("x", str(tmp_path / "back"))
    boots.restore("x", str(tmp_path / "back"))
    assert boots.is_restored("x", str(tmp_path / "back"))
    assert (tmp_path / "back" / "boot" / "grub" / "i386-pc" / "normal.mod").read_text(encoding="ascii") == "loader of " + NEW
    assert OLD in (tmp_path / "back" / "boot" / "grub" / "grub.cfg").read_text(encoding="ascii")


def test_first_boot_entry_has_to_lead_to_the_system(root, tmp_path):
    boots = boot.Boot(str(root))
    assert boots.problem() is None, "a machine whose boot menu is elsewhere"
    install(root, OLD)
    assert boots.problem() is None
    assert boots.problem(subvolume="@rootfs") is None
    assert boots.problem(subvolume="@") == "The boot menu names the subvolume @rootfs, and the system is in @. Run update-grub."
    (tmp_path / "back").mkdir()
    install(tmp_path / "back", NEW)
    (tmp_path / "back" / "lib" / "modules" / NEW).rmdir()
    assert boots.problem(str(tmp_path / "back")) == "The boot menu starts vmlinuz-%s, whose modules are not in /lib/modules. Run update-grub." % NEW
    (root / "boot" / ("vmlinuz-" + OLD)).unlink()
    assert boots.problem() == "The boot menu starts vmlinuz-%s, which is not there. Run update-grub." % OLD
