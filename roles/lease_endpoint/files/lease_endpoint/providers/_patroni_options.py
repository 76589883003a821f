# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a provider, checked whole before anything is opened. Every refusal names the key."""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Any, Mapping, Optional
from urllib.parse import urlsplit

from lease_endpoint import names
from lease_endpoint.errors import Invalid


class Options:
    """Each method takes one key; `done` refuses what nobody took."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._left = dict(found)

    def text(self, key: str, default: Optional[str] = None) -> Optional[str]:
        value = self._left.pop(key, default)
        if value is not None and (not isinstance(value, str) or not value):
            raise Invalid(f"{key} must be a text, not {value!r}")
        return value

    def file(self, key: str) -> Optional[Path]:
        """The path of a file that can be read now."""
        value = self.text(key)
        if value is None:
            return None
        try:
            Path(value).read_bytes()
        except OSError as trouble:
            raise Invalid(f"{key}: {value} cannot be read: {trouble.strerror}") from trouble
        return Path(value)

    def seconds(self, key: str, default: float, shortest: float, longest: float) -> float:
        value = self._left.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not shortest <= value <= longest:
            raise Invalid(f"{key} must be {shortest:g} to {longest:g} seconds, not {value!r}")
        return float(value)

    def units(self, key: str, example: str) -> dict[str, Any]:
        """An object with units for keys, at least one."""
        value = self._left.pop(key, None)
        if not isinstance(value, dict) or not value:
            raise Invalid(f"{key} is missing; give an object of units, as {example}")
        for unit in value:
            if not re.fullmatch(names.UNIT, unit):
                raise Invalid(f"{key}: {unit!r} is no name of a unit")
        return value

    def done(self) -> None:
        if self._left:
            raise Invalid(f"{', '.join(sorted(self._left))}: no such option")


def web_address(key: str, value: Any) -> str:
    """An http or https address without path, query or user."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query or "@" in parts.netloc:
        raise Invalid(f"{key}: {value!r} is no address; give it as https://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


def loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls(ca_file: Optional[Path], cert_file: Optional[Path], key_file: Optional[Path]) -> ssl.SSLContext:
    """Certificates are always verified: by `ca_file`, else by what the system trusts."""
    if (cert_file is None) != (key_file is None):
        raise Invalid("cert_file and key_file belong together: give both or none")
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if cert_file:
            context.load_cert_chain(str(cert_file), str(key_file))
    except (OSError, ssl.SSLError) as trouble:
        raise Invalid(f"ca_file, cert_file, key_file: these are not certificates and their key, PEM: {trouble}") from trouble
    return context
