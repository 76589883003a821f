#!/bin/sh
# Power on: run as PID 1 of a machine's fresh namespaces; ends by being its systemd.
# NAME: host name. DISK: block device, btrfs, whose default subvolume is what boots (as with GRUB). ROOT: an empty directory.
set -eu

mount -t btrfs "$DISK" "$ROOT"          # no subvol=: a rollback is a new default subvolume and a reboot
cd "$ROOT"

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mknod dev/machine-disk b "$(printf '%d' "0x$(stat -c %t "$DISK")")" "$(printf '%d' "0x$(stat -c %T "$DISK")")"
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run

# The kernel's boot id is the box's and never changes: give every boot its own, or nobody can tell that it rebooted.
cat proc/sys/kernel/random/uuid >run/.boot_id
chmod 444 run/.boot_id
mount --bind run/.boot_id proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys/kernel/random/boot_id

mkdir -p run/host run/old
echo testbed >run/host/container-manager
hostname "$NAME"
pivot_root . run/old
# shellcheck disable=SC2093 # nothing comes after systemd
exec chroot . sh -c "umount -l /run/old; rmdir /run/old; exec /lib/systemd/systemd --log-target=console --show-status=yes" </dev/null
