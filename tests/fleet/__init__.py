"""Applications on a fleet of real machines: native ones, which hold their leases through an endpoint over TLS, and a Patroni cluster."""

from __future__ import annotations

from .applications import NativeFleet
from .clustered import ClusteredFleet
from .controller import Controller, ending
from .endpoint import Endpoint
from .patroni import PatroniFleet
from .samples import Sampler, changes
from .writes import Writer

__all__ = ["ClusteredFleet", "Controller", "Endpoint", "NativeFleet", "PatroniFleet", "Sampler", "Writer", "changes", "ending"]
