# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watcher as one file, made of the sources of these rooms wherever they were loaded from: a checkout or a module's own payload.

The file lies beside the marker on the machine, needs nothing but Python, and is the daemon and the command in one.
"""

from __future__ import annotations

import io
import sys
import zipfile
from typing import Dict, List, Mapping

from . import command

NAME = "watcher.pyz"
ROOMS = ("_watcher", "_release", "_snapshot", "_postgres")
PACKAGE = "series_upgrade"
MAIN = """# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import sys

from {0}._watcher import command

sys.exit(command.main())
""".format(PACKAGE)
# The same sources give the same bytes, so that a program that is there already is seen to be the same.
EPOCH = (1980, 1, 1, 0, 0, 0)


def build() -> bytes:
    """The program, as a zip file that Python runs."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(_files(sys.modules).items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode("utf-8"))
    return data.getvalue()


def _files(modules: Mapping[str, object]) -> Dict[str, str]:
    """Path in the archive -> source, of every loaded module of our rooms. The command imports all that a watcher needs."""
    above = command.__name__.rsplit(".", 2)[0]
    files = {"__main__.py": MAIN, PACKAGE + "/__init__.py": ""}
    for name in list(modules):
        path = name[len(above) + 1:].split(".") if name.startswith(above + ".") else [""]
        if path[0] in ROOMS:
            spec = modules[name].__spec__  # type: ignore[attr-defined]
            _add(files, path, spec.submodule_search_locations is not None, _source(spec, name))
    return files


def _source(spec: object, name: str) -> str:
    loader = getattr(spec, "loader", None)
    # A folder without __init__.py has a loader without sources; it is an empty package.
    source = loader.get_source(name) if hasattr(loader, "get_source") else ""
    return source or ""


def _add(files: Dict[str, str], path: List[str], is_package: bool, source: str) -> None:
    for depth in range(1, len(path)):
        files.setdefault("/".join([PACKAGE] + path[:depth] + ["__init__.py"]), "")
    files["/".join([PACKAGE] + path) + ("/__init__.py" if is_package else ".py")] = source
