"""A lease endpoint on the fleet's control node: TLS with a certificate authority of its own, tokens per job."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

from tests.testbed import Fleet
from tests.testbed.places import CONTROL_NODE

from .authority import Authority

PACKAGE = pathlib.Path(__file__).parents[2] / "roles/lease_endpoint/files"
ASK = pathlib.Path(__file__).with_name("ask.py")
PORT = 8470
TOKENS = {"operator": ("read", "pin"), "boss": ("read", "pin", "admin"), "units": ("read", "hold")}


class Endpoint:
    """Started by ``start``; ends with the fleet at the latest, for it lives in the fleet's network."""

    def __init__(self, fleet: Fleet, applications: pathlib.Path | None = None) -> None:
        """``applications`` is the file that says whose leadership lives elsewhere."""
        self.fleet = fleet
        self.applications = applications
        self.home = fleet.state / "endpoint"
        self.url = f"https://{CONTROL_NODE}:{PORT}"
        self.ca = self.home / "ca.pem"
        self._process = None

    def start(self) -> "Endpoint":
        """Return when the endpoint answers and every token of TOKENS is in its file."""
        if not self.home.exists():
            Authority(self.home).issue("cert", CONTROL_NODE)
        with open(self.home / "log", "ab") as log, open(self.home / "address", "w", encoding="utf-8") as address:
            self._process = self.fleet.popen(
                [sys.executable, "-m", "lease_endpoint", "serve", "--data-dir", str(self.home / "data"), "--listen", f"{CONTROL_NODE}:{PORT}",
                 "--tls-cert", str(self.home / "cert.pem"), "--tls-key", str(self.home / "cert.key"),
                 *(("--applications", str(self.applications)) if self.applications else ())],
                stdin=subprocess.DEVNULL, stdout=address, stderr=log, env=self._env(), start_new_session=True,
            )
        while not (self.home / "address").read_text().endswith("\n"):       # it says where it listens as soon as it does
            if self._process.poll() is not None:
                raise RuntimeError("the endpoint did not start:\n" + (self.home / "log").read_text())
            time.sleep(0.05)
        for name, scopes in TOKENS.items():
            if not self.token_file(name).exists():
                words = [word for scope in scopes for word in ("--scope", scope)]
                self._lease_endpoint("token", "create", name, "--data-dir", str(self.home / "data"), *words, "--output", str(self.token_file(name)))
        return self

    def stop(self) -> None:
        """End the endpoint as systemd would."""
        self._process.terminate()
        self._process.wait()

    def kill(self) -> None:
        """End the endpoint without a word."""
        self._process.kill()
        self._process.wait()

    def token_file(self, name: str) -> pathlib.Path:
        """Return the file holding the token called ``name`` (see TOKENS)."""
        return self.home / f"{name}.token"

    def ask(self, path: str) -> dict:
        """Return what the endpoint answers to GET ``path``, asked from the control node."""
        return json.loads(self.fleet.run(self.question(path), check=True, stdout=subprocess.PIPE, timeout=60).stdout)

    def question(self, path: str, *more: str) -> list:
        """Return the command that asks the endpoint: see ask.py."""
        return [sys.executable, str(ASK), self.url, str(self.ca), str(self.token_file("operator")), path, *more]

    def leases(self) -> dict:
        """Return {application: lease}."""
        return {lease["application"]: lease for lease in self.ask("/v1/leases")["leases"]}

    def _env(self) -> dict:
        return {**os.environ, "PYTHONPATH": str(PACKAGE)}

    def _lease_endpoint(self, *words: str) -> None:
        self.fleet.run([sys.executable, "-m", "lease_endpoint", *words], check=True, env=self._env(), stdout=subprocess.DEVNULL)
