#!/usr/bin/env bash
# The same steps as upgrade_series takes on a Patroni cluster, in the same order, over plain ssh and with none of the safety: no pin, no
# watcher, no snapshot, no look at anything but the last answer. Run on the control node by patroni.py.
# usage: bare_ssh.sh POLICY CA PASSWORD-FILE LEADER-URL SSH-OPTIONS-FILE MACHINE=URL=MEMBER ...    in the order in which they go; the last one leads
set -eu
policy=$1 ca=$2 password=$3 leader_url=$4 options=$5
shift 5
mapfile -t ssh_options <"$options"
# shellcheck disable=SC2029 # it is meant to be put together here
on() { ssh "${ssh_options[@]}" "root@$1" "$2"; }
rest() { curl -sSf --cacert "$ca" -u "operator:$(cat "$password")" -H 'Content-Type: application/json' "$@"; }
healthy() { curl -sf --cacert "$ca" "$1/health" >/dev/null; }

rest -X PATCH -d '{"pause": true}' "$leader_url/config" >/dev/null
first=
for machine in "$@"; do
    IFS='=' read -r address url member <<<"$machine"
    if [ "$policy" = handover ] && [ "$url" = "$leader_url" ]; then
        rest -X POST -d "{\"leader\": \"$member\", \"candidate\": \"$first\"}" "$url/switchover" >/dev/null
        until healthy "$url"; do sleep 0.5; done        # it starts again as a replica
    fi
    first=${first:-$member}
    on "$address" "runuser -u postgres -- /usr/lib/postgresql/15/bin/psql -qc CHECKPOINT"
    # shellcheck disable=SC2016 # it is the machine's shell that expands it
    on "$address" 'set -eu
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
        # But for ssh: the old daemon cannot start the new one, and nobody would get in to reboot.
        printf "#!/bin/sh\n[ \"\$1\" = --quiet ] && shift\ncase \"\$1\" in ssh*) exit 0 ;; esac\nexit 101\n" >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        sed -i s/bookworm/trixie/g /etc/apt/sources.list /etc/apt/sources.list.d/*
        conf="-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0"
        apt-get -q update; apt-get -qy $conf --download-only full-upgrade
        apt-get -qy $conf upgrade --without-new-pkgs; apt-get -qy $conf full-upgrade
        rm /usr/sbin/policy-rc.d' >/dev/null 2>&1
    before=$(on "$address" 'cat /proc/sys/kernel/random/boot_id')
    on "$address" 'systemctl reboot' || true
    until after=$(on "$address" 'cat /proc/sys/kernel/random/boot_id' 2>/dev/null) && [ "$after" != "$before" ]; do sleep 0.5; done
    until healthy "$url"; do
        rest -X POST -d '{}' "$url/restart" >/dev/null 2>&1 || true
        sleep 0.5
    done
    on "$address" "grep -q trixie /etc/os-release"
done
rest -X PATCH -d '{"pause": null}' "$url/config" >/dev/null
