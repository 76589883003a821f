# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook reindex with a real PostgreSQL; that it is a cluster of Debian's on both machines is made up by two small programs in the PATH."""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests.unit.plugins.module_utils._postgres.test_collations import NEEDS, Real
from tests.unit.plugins.modules.test_postgresql_collations import GOES_IN, LISTS

TOP = pathlib.Path(__file__).parents[2]
HOST = "m%d ansible_connection=local ansible_python_interpreter=%s upgrade_watcher_series_file=%s/m%d upgrade_watcher_state_dir=%s/state\n"


@pytest.fixture(name="play", scope="module")
def _play():
    place = pathlib.Path(tempfile.mkdtemp(prefix="ri-", dir="/tmp"))
    place.chmod(0o755)      # The server's user passes through.
    (place / "pg").mkdir()
    real = Real(place / "pg")
    real.sql("CREATE DATABASE app TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
    real.sql("CREATE TABLE people (name text PRIMARY KEY)", "app")
    real.sql("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'app'")
    for program, text in (("pg_lsclusters", LISTS), ("runuser", GOES_IN % shlex.join(real.server.psql))):
        (place / program).write_text(text, encoding="ascii")
        (place / program).chmod(0o755)
    (place / "inventory").write_text("".join(HOST % (number, sys.executable, place, number, place) for number in (1, 2)), encoding="ascii")

    def play(series, *words):
        for number, codename in enumerate(series, 1):
            (place / ("m%d" % number)).write_text("ID=debian\nVERSION_CODENAME=%s\n" % codename, encoding="ascii")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(place / "inventory"), "leasehold.series_upgrade.reindex", *words]
        env = {**os.environ, "ANSIBLE_CONFIG": str(TOP / "ansible.cfg"), "ANSIBLE_HOME": str(place / "home"), "ANSIBLE_NOCOLOR": "1",
               "PATH": "%s:%s" % (place, os.environ["PATH"])}
        return subprocess.run(command, env=env, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False), real

    yield play
    real.stop()
    shutil.rmtree(place)


@NEEDS
def test_rebuilding_is_refused_while_machines_are_on_different_series_and_looking_is_not(play):
    done, real = play(["trixie", "bookworm"], "-e", "series_upgrade_reindex=true")
    assert done.returncode != 0 and "The machines are on different series" in done.stdout
    done, real = play(["trixie", "bookworm"])
    assert done.returncode == 0 and "1 of its indexes is in the old order" in done.stdout
    assert real.look()["databases"]


@NEEDS
def test_rebuilding_is_done_once_it_is_asked_for_on_one_series(play):
    done, real = play(["trixie", "trixie"], "-e", "series_upgrade_reindex=true", "--limit", "m1")
    assert done.returncode == 0, done.stdout
    assert real.look()["databases"] == []
