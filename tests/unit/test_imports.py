# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports run one way: modules and actions, then _module, then the rooms named with an underscore; the rooms never import Ansible."""

from __future__ import annotations

import ast
import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = TOP / "plugins"
ENDPOINT = TOP / "roles" / "lease_endpoint" / "files" / "lease_endpoint"
COLLECTION = "ansible_collections.leasehold.series_upgrade.plugins"
ROOMS = sorted(path for path in (PLUGINS / "module_utils").rglob("*.py") if path.name != "_module.py")


def imports(path):
    """Absolute names of all that `path` imports, relative ones resolved below the collection."""
    package = (COLLECTION + "." + ".".join(path.relative_to(PLUGINS).with_suffix("").parts)).split(".")[:-1] if PLUGINS in path.parents else []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield ".".join(base + ([node.module] if node.module else []))


def name(path):
    return str(path.relative_to(TOP))


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_rooms_need_the_standard_library_and_each_other_alone(path):
    foreign = [
        module
        for module in imports(path)
        if module.split(".")[0] not in sys.stdlib_module_names and not module.startswith(COLLECTION + ".module_utils")
    ]
    assert not foreign, "a room that runs on a managed machine imports %s" % foreign


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_rooms_do_not_know_the_doors(path):
    assert not [module for module in imports(path) if module.endswith("._module") or ".plugin_utils" in module or ".plugins.modules" in module]


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("*.py")), ids=name)
def test_modules_import_module_utils_and_never_plugin_utils(path):
    assert not [module for module in imports(path) if ".plugin_utils" in module or ".plugins.action" in module]


@pytest.mark.parametrize("path", sorted(ENDPOINT.rglob("*.py")), ids=name)
def test_endpoint_and_collection_share_no_code(path):
    assert not [module for module in imports(path) if module.startswith("ansible")]


def test_the_walk_sees_an_arrow_that_points_up(tmp_path):
    room = tmp_path / "room.py"
    room.write_text("from ansible.module_utils.basic import AnsibleModule\n", encoding="utf-8")
    assert list(imports(room)) == ["ansible.module_utils.basic"]
