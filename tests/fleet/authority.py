"""Certificates for a fleet: an authority of its own, made with openssl, and what it signs."""

from __future__ import annotations

import pathlib
import subprocess

NEW = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30"]


class Authority:
    """Lives in ``home``: ca.pem is what clients trust."""

    def __init__(self, home: pathlib.Path) -> None:
        self.home = home
        self.ca = home / "ca.pem"
        if not self.ca.exists():
            home.mkdir(mode=0o700, exist_ok=True)
            self._make("-subj", "/CN=testbed authority", "-keyout", f"{home}/ca.key", "-out", str(self.ca), "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name: str, *addresses: str) -> tuple:
        """Return (certificate, key), two files, of a server under these IP addresses and host names."""
        certificate, key = self.home / f"{name}.pem", self.home / f"{name}.key"
        if not certificate.exists():
            names = ",".join(("IP:" if address[0].isdigit() else "DNS:") + address for address in addresses)
            self._make("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate), "-CA", str(self.ca), "-CAkey", f"{self.home}/ca.key",
                       "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE")
        return certificate, key

    def _make(self, *words: str) -> None:
        subprocess.run([*NEW, *words], check=True, capture_output=True, cwd=self.home)
