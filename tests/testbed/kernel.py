"""The few things of Linux that Python 3.9 does not hand out: namespaces, the parent's death, loop devices."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args) -> None:
    if getattr(_LIBC, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _call("unshare", flags)


def die_with_parent() -> None:
    """Ask for SIGKILL when the parent dies; for use as ``preexec_fn``. No trap, no clean-up code can be skipped by it."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)


def loop(path: str) -> tuple:
    """Return (device, descriptor) of a loop device on the file ``path``.

    The kernel takes the device away when the descriptor and every mount are gone, however the process ended.
    """
    with open("/dev/loop-control", "rb") as control, open(path, "r+b") as backing:
        for _try in range(32):
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            device = f"/dev/loop{number}"
            descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            # struct loop_config: fd, block size, struct loop_info64 (flags are its 9th field), eight reserved words
            info = struct.pack("=5Q4I64s64s32s2Q", 0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_AUTOCLEAR, b"", b"", b"", 0, 0)
            try:
                fcntl.ioctl(descriptor, _LOOP_CONFIGURE, struct.pack("=2I", backing.fileno(), 0) + info + bytes(64))
                return device, descriptor
            except OSError as error:
                os.close(descriptor)
                if error.errno != errno.EBUSY:      # somebody else took the free one first: ask again
                    raise
    raise OSError(errno.EBUSY, "no loop device could be had in 32 tries")
