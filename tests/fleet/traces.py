"""What an upgrade must leave as it was, or say of itself: set up on a machine of the two-series image, and read from it again."""

from __future__ import annotations

import json

# A timer that runs but is never due, a policy of somebody's own with a mode of its own, pins that would hold the old series.
SET_UP = r"""set -e
mkdir -p /etc/systemd/system/apt-daily.timer.d
printf '[Timer]\nOnCalendar=\nOnCalendar=2199-01-01\nPersistent=false\nRandomizedDelaySec=0\n' >/etc/systemd/system/apt-daily.timer.d/never.conf
rm -f /etc/systemd/system/apt-daily.timer
systemctl daemon-reload
systemctl enable --quiet --now apt-daily.timer
printf '#!/bin/sh\n# of the owner\nexit 0\n' >/usr/sbin/policy-rc.d
chmod 751 /usr/sbin/policy-rc.d
printf 'Package: *\nPin: release n=bookworm\nPin-Priority: 1001\n' >/etc/apt/preferences.d/old.pref
"""
READ = r"""
systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service ssh.service
stat -c '%n %a %U:%G' /usr/sbin/policy-rc.d; cat /usr/sbin/policy-rc.d
find /run/systemd/system /etc/systemd/system -name '*series-upgrade*' ! -name series-upgrade-watcher.service | sort
find /etc/apt -type f -exec sha256sum {} + | sort
find /var/cache/debconf -name '*.dat' -exec sha256sum {} + | sort
python3 -c 'import socket; print("spare port", socket.socket().connect_ex(("127.0.0.1", 1022)))'
ls -d /var/lib/series-upgrade/spare-sshd /var/lib/series-upgrade/pins /var/lib/series-upgrade/debconf 2>/dev/null
true
"""


def set_up(machine) -> None:
    machine.ssh(SET_UP)


def read(machine, sources: bool = True) -> list:
    """Everything in READ as lines; without what a new series changes when ``sources`` is false."""
    lines = machine.ssh(READ).stdout.splitlines()
    return [line for line in lines if sources or not (".sources" in line or "/debconf/" in line or "sources.list" in line)]


def report(machine) -> dict:
    """What the machine's watcher tells of its last upgrade."""
    marker = json.loads(machine.ssh("cat /var/lib/series-upgrade/marker.json").stdout)
    return {"state": marker["state"], "reason": marker["reason"], "done": marker["done"], **marker["memory"].get("report", {})}


# The spare sshd's own room, out of the watcher that is on the machine, without an upgrade around it.
SPARE = """
import sys, time
sys.path.insert(0, "/var/lib/series-upgrade/watcher.pyz")
from series_upgrade._release import spare_ssh
from series_upgrade._watcher import programs
class Here:
    state_dir, run, memory = "/var/lib/series-upgrade", staticmethod(programs.run), {}
    wait = staticmethod(time.sleep)
    progress = staticmethod(lambda percent, msg: None)
    recall = memory.get
    remember = memory.__setitem__
here, spare = Here(), spare_ssh.Spare(spare_ssh.checked({"required": True}))
getattr(spare, sys.argv[1])(here)
print(here.memory)
"""


def spare_sshd(machine, verb: str) -> str:
    """``start`` or ``stop`` the spare sshd of a machine that has a watcher; return what it reported."""
    return machine.ssh(f"python3 - {verb}", stdin=SPARE).stdout


def at_spare_port(machine, command: str):
    """Run a command over the spare sshd."""
    words = ["ssh", *machine.fleet.ssh_options, "-p", "1022", "-o", f"HostKeyAlias={machine.ip}", f"root@{machine.ip}", command]
    return machine.fleet.run(words, check=False, timeout=30, capture_output=True)
