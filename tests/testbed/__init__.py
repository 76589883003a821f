"""Real Debian machines on one box, for tests: systemd as PID 1, sshd, btrfs roots that can be rolled back from inside.

``Fleet.up("name")`` gives running machines, ``Fleet.down()`` takes them away. docs/testbed.md has the whole story.
"""

from __future__ import annotations

from .fleet import Fleet, Machine, TestbedError

__all__ = ["Fleet", "Machine", "TestbedError"]
