# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What the machine boots from has to go back with its root: kernels, initramfs and the menu. Private room of the collection.

A /boot inside the root is in the snapshot. One on its own file system is not: its files are saved beside the snapshot and put back.
What the boot loader put there for itself (grub/i386-pc and the like, EFI/) stays the newest in both cases: it belongs to the part of
the loader in the boot sector or in the firmware's partition, which no snapshot of ours holds.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import re
import shutil
import stat
from typing import Any, Dict, List, Optional

from .._watcher import files
from .._watcher.steps import StepFailed

# Inside the root, so that it is in the snapshot as well.
STORE = "var/lib/series-upgrade-boot"
MANIFEST = "manifest.json"

LOADERS_OWN = ("grub/*-*", "grub/grubenv", "lost+found", "EFI")
# An image with kernel and initramfs in one is no part of the loader.
NOT_LOADERS_OWN = ("EFI/Linux",)
# They name the kernels, so they go last: until then the menu leads to files that are there.
MENUS = ("grub/*.cfg", "loader/*", "extlinux/*", "syslinux/*")

MENU = "boot/grub/grub.cfg"

Manifest = Dict[str, Dict[str, Any]]


class Boot:
    """The boot files of the system at root."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._boot = os.path.join(root, "boot")

    @property
    def is_apart(self) -> bool:
        """Whether /boot is no part of the root's own file system."""
        return os.path.isdir(self._boot) and os.stat(self._boot).st_dev != os.stat(self._root).st_dev

    def size_mb(self) -> int:
        """What saving them takes."""
        if not self.is_apart:
            return 0
        return sum(os.lstat(os.path.join(self._boot, name)).st_size for name in _names(self._boot)) // (1024 * 1024) + 1

    def save(self, name: str) -> None:
        """Returns when the boot files are durable under this name. Saved ones are taken as they are."""
        if not self.is_apart or os.path.exists(os.path.join(self._store(name), MANIFEST)):
            return
        fresh = self._store(name) + ".fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(fresh, mode=0o700)
        manifest = _manifest(self._boot)
        for path in manifest:
            target = os.path.join(fresh, "files", path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(self._boot, path), target, follow_symlinks=False)
            _sync(target)
        with open(os.path.join(fresh, MANIFEST), "w", encoding="utf-8") as file:
            json.dump(manifest, file)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(self._store(name), ignore_errors=True)
        os.rename(fresh, self._store(name))
        files.sync_directory(os.path.dirname(self._store(name)))

    def is_restored(self, name: str, back: str) -> bool:
        """Whether the system at back would find its own boot files."""
        if self.is_apart:
            return _manifest(self._boot) == self._saved(name)
        return all(_manifest(there, whole=True) == _manifest(here, whole=True) for here, there in self._loaders(back))

    def restore(self, name: str, back: str) -> None:
        """Make the boot files fit the system at back. Repeating it changes nothing; cut off anywhere, the menu leads to what is there."""
        if not self.is_apart:
            for here, there in self._loaders(back):
                shutil.rmtree(there + ".fresh", ignore_errors=True)
                shutil.copytree(here, there + ".fresh", symlinks=True)
                shutil.rmtree(there)
                os.rename(there + ".fresh", there)
            return
        saved = self._saved(name)
        for path in sorted(saved, key=_is_menu):
            if _look(os.path.join(self._boot, path)) != saved[path]:
                _replace(os.path.join(self._store(name), "files", path), os.path.join(self._boot, path))
        for path in _names(self._boot):
            if path not in saved:
                os.unlink(os.path.join(self._boot, path))
        files.sync_directory(self._boot)

    def problem(self, back: Optional[str] = None, subvolume: Optional[str] = None) -> Optional[str]:
        """
        Why the first entry of GRUB's menu would not boot the system at back (the live one when None); None when it would, or when there
        is no such menu to read. subvolume: the path of the btrfs subvolume that has to be booted.
        """
        system = back or self._root
        folder = self._root if self.is_apart else system
        menu = os.path.join(folder, MENU)
        if not os.path.isfile(menu):
            return None
        with open(menu, encoding="utf-8", errors="replace") as file:
            entry = re.search(r"^\s*linux(?:16|efi)?\s+(\S+)(.*)$", file.read(), re.MULTILINE)
        if entry is None:
            return None
        kernel = os.path.basename(entry.group(1))
        version = kernel.partition("-")[2]
        if not os.path.isfile(os.path.join(folder, "boot", kernel)):
            return "The boot menu starts {0}, which is not there. Run update-grub.".format(kernel)
        if version and not any(os.path.isdir(os.path.join(system, lib, "modules", version)) for lib in ("lib", "usr/lib")):
            return "The boot menu starts {0}, whose modules are not in /lib/modules. Run update-grub.".format(kernel)
        named = re.search(r"\srootflags=(?:\S*,)?subvol=([^\s,]+)", entry.group(2))
        if subvolume is not None and named is not None and named.group(1).strip("/") != subvolume:
            return "The boot menu names the subvolume {0}, and the system is in {1}. Run update-grub.".format(named.group(1), subvolume)
        return None

    def drop(self, name: str) -> None:
        """Give the saved files up. Repeating it changes nothing."""
        shutil.rmtree(self._store(name), ignore_errors=True)
        shutil.rmtree(self._store(name) + ".fresh", ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self._store(name)))

    def _store(self, name: str) -> str:
        return os.path.join(self._root, STORE, name)

    def _saved(self, name: str) -> Manifest:
        try:
            with open(os.path.join(self._store(name), MANIFEST), encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError) as problem:
            raise StepFailed("The saved files of {0} cannot be read: {1}".format(self._boot, problem)) from problem

    def _loaders(self, back: str) -> List[Any]:
        """GRUB's own folders, as (here, there), that both systems have."""
        grub = os.path.join(self._boot, "grub")
        names = sorted(os.listdir(grub)) if os.path.isdir(grub) else []
        pairs = [(os.path.join(grub, name), os.path.join(back, "boot", "grub", name)) for name in names if fnmatch.fnmatchcase(name, "*-*")]
        return [(here, there) for here, there in pairs if os.path.isdir(here) and os.path.isdir(there)]


def _names(folder: str, whole: bool = False) -> List[str]:
    """The files and links below folder on its file system, by their path in it; without what is the loader's own unless whole."""
    device, found = os.stat(folder).st_dev, []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if os.lstat(os.path.join(place, name)).st_dev == device)
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in names + links:
            path = os.path.relpath(os.path.join(place, name), folder)
            if whole or not _is_loaders_own(path):
                found.append(path)
    return sorted(found)


def _is_loaders_own(path: str) -> bool:
    return _is_below(path, LOADERS_OWN) and not _is_below(path, NOT_LOADERS_OWN)


def _is_below(path: str, globs: Any) -> bool:
    return any(fnmatch.fnmatchcase(path, glob) or fnmatch.fnmatchcase(path, glob + "/*") for glob in globs)


def _is_menu(path: str) -> bool:
    return _is_below(path, MENUS)


def _manifest(folder: str, whole: bool = False) -> Manifest:
    return {path: _look(os.path.join(folder, path)) for path in _names(folder, whole)}


def _look(path: str) -> Dict[str, Any]:
    """What tells whether a file has changed. Without its mode: on the firmware's own file system there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return {}
    if stat.S_ISLNK(found.st_mode):
        return {"link": os.readlink(path)}
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {"sha256": digest.hexdigest()}


def _replace(source: str, target: str) -> None:
    fresh = target + ".series-upgrade"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(fresh):
        os.unlink(fresh)
    try:
        shutil.copy2(source, fresh, follow_symlinks=False)
        _sync(fresh)
        os.replace(fresh, target)
    except OSError as problem:
        raise StepFailed("{0} cannot be put back: {1}".format(target, problem.strerror or problem)) from problem


def _sync(path: str) -> None:
    if not os.path.islink(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
