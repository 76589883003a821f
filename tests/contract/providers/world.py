# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contract suite needs to know of a system to hold its provider to the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Optional


class World(ABC):
    """One system with one application in it that has a leader. Started once for all tests of a worker; each test finds it thawed and led.

    `double`: set when it is not the real program; it is then part of the tests' names.
    """

    double = False
    can_be_silenced = False  # `silence` and `speak`
    others_can_freeze = False  # `freeze_as_somebody_else` and `thaw_as_somebody_else`
    units: tuple[str, ...]

    @abstractmethod
    def __init__(self, directory: Path) -> None:
        """Starts nothing."""

    @staticmethod
    def missing() -> Optional[str]:
        """Why it cannot be started here, or None."""
        return None

    @abstractmethod
    def start(self) -> None:
        """Returns when the application has a leader."""

    @abstractmethod
    def stop(self) -> None:
        """Nothing of it is left."""

    @abstractmethod
    def options(self) -> Optional[dict[str, Any]]:
        """Of the application in the applications file; None: it is native, and not in there."""

    @abstractmethod
    def settle(self, endpoint: Any, application: str) -> None:
        """Until there is a leader and nothing is frozen: before each test."""

    @abstractmethod
    def leader(self, endpoint: Any, application: str) -> Optional[str]:
        """The unit that leads, as the system itself tells it."""

    @abstractmethod
    def frozen(self, endpoint: Any, application: str) -> Optional[bool]:
        """Whether it is frozen, as the system itself tells it; None where it does not tell."""

    def silence(self) -> None:
        """From now on the system answers nobody, and goes on all the same."""
        raise NotImplementedError

    def speak(self) -> None:
        raise NotImplementedError

    def freeze_as_somebody_else(self) -> None:
        """Past the endpoint, as an operator would."""
        raise NotImplementedError

    def thaw_as_somebody_else(self) -> None:
        raise NotImplementedError
