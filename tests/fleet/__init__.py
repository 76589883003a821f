"""Native applications on a fleet of real machines: their units hold their leases through an endpoint, over TLS."""

from __future__ import annotations

from .applications import NativeFleet
from .endpoint import Endpoint
from .patroni import PatroniFleet
from .samples import Sampler, changes

__all__ = ["Endpoint", "NativeFleet", "PatroniFleet", "Sampler", "changes"]
