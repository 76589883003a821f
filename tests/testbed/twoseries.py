"""A signed archive with tiny series, bookworm, trixie and forky, so that a real series upgrade takes seconds.

Four packages: one that owns os-release (as base-files does), a library, a service that depends on it, and one with a
configuration file that every series changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import shutil
import subprocess
import tempfile

from .places import IMAGES

SERIES = {"bookworm": "12", "trixie": "13", "forky": "14"}
OS_RELEASE = """PRETTY_NAME="Debian GNU/Linux {version} ({codename})"
NAME="Debian GNU/Linux"
VERSION_ID="{version}"
VERSION="{version} ({codename})"
VERSION_CODENAME={codename}
ID=debian
"""
# The real base-files is on the machine too: its os-release is diverted, so that this one's says which series is live.
SETTLE = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
    cp /usr/share/two-series/os-release /usr/lib/os-release
    echo {version}.0 >/etc/debian_version
fi
"""
RESTART = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
    systemctl --quiet enable two-series-app || true
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; deb-systemd-invoke restart two-series-app; fi
fi
"""
SERVICE = """[Service]
ExecStart=/usr/bin/two-series-app
[Install]
WantedBy=multi-user.target
"""


def archive() -> pathlib.Path:
    """Return the archive's directory, building it (with a key of its own) when it is not there yet."""
    key = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:16]
    place = IMAGES / f"archive-{key}"
    IMAGES.mkdir(parents=True, exist_ok=True)
    with open(IMAGES / ".lock-archive", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for left in [*IMAGES.glob(".building-archive-*"), *IMAGES.glob("archive-*")]:
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(dir=IMAGES, prefix=".building-archive-") as work:
                _build(pathlib.Path(work))
                pathlib.Path(work, "archive").rename(place)
    return place


def _build(work: pathlib.Path) -> None:
    out = work / "archive"
    (out / "pool").mkdir(parents=True)
    home = work / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--yes", "--passphrase", ""]
    try:
        subprocess.run([*gpg, "--quick-gen-key", "Two series <two-series@localhost>", "ed25519", "sign", "never"], check=True)
        subprocess.run([*gpg, "--output", str(out / "archive.gpg"), "--export"], check=True)
        for codename, version in SERIES.items():
            _packages(work, out, codename, version)
            _release(work, out, gpg, codename, version)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def _packages(work: pathlib.Path, out: pathlib.Path, codename: str, version: str) -> None:
    words = {"codename": codename, "version": version}
    _package(work, out, "two-series-base", f"{version}.0", "", {"usr/share/two-series/os-release": OS_RELEASE.format(**words)},
             SETTLE.format(**words))
    _package(work, out, "two-series-lib", f"{version}.1", f"two-series-base (>= {version})", {"usr/share/two-series/lib": version})
    _package(work, out, "two-series-conf", f"{version}.1", "", {"etc/two-series/app.conf": f"series={version}\n"})
    _package(work, out, "two-series-app", f"{version}.1", f"two-series-lib (>= {version})", {
        "usr/bin/two-series-app": f"#!/bin/sh\n# of series {version}\nexec sleep infinity\n",
        "usr/lib/systemd/system/two-series-app.service": SERVICE,
    }, RESTART)


def _package(work: pathlib.Path, out: pathlib.Path, name: str, version: str, depends: str, files: dict, postinst: str = "") -> None:
    with tempfile.TemporaryDirectory(dir=work) as root:
        tree = pathlib.Path(root, "tree")
        control = tree / "DEBIAN"
        control.mkdir(parents=True)
        fields = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "Test bed <two-series@localhost>",
                  "Depends": depends, "Description": f"test bed: {name}"}
        (control / "control").write_text("".join(f"{field}: {value}\n" for field, value in fields.items() if value))
        if postinst:
            (control / "postinst").write_text(postinst)
            (control / "postinst").chmod(0o755)
        for path, text in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
            (tree / path).chmod(0o755 if path.startswith("usr/bin/") else 0o644)
        settings = [f"/{path}\n" for path in files if path.startswith("etc/")]
        if settings:
            (control / "conffiles").write_text("".join(settings))
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(out / f"pool/{name}_{version}_all.deb")],
                       check=True, stdout=subprocess.DEVNULL)


def _release(work: pathlib.Path, out: pathlib.Path, gpg: list, codename: str, version: str) -> None:
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    index = subprocess.run(["apt-ftparchive", "packages", "pool"], check=True, capture_output=True, text=True, cwd=out).stdout
    mine = "".join(stanza + "\n\n" for stanza in index.strip().split("\n\n") if f"\nVersion: {version}." in stanza)
    dist = out / "dists" / codename
    place = dist / "main" / f"binary-{architecture}"
    place.mkdir(parents=True)
    (place / "Packages").write_text(mine)
    fields = {"Origin": "Two series", "Suite": codename, "Codename": codename, "Version": version,
              "Architectures": f"{architecture} all", "Components": "main"}
    options = [word for field, value in fields.items() for word in ("-o", f"APT::FTPArchive::Release::{field}={value}")]
    text = subprocess.run(["apt-ftparchive", *options, "release", str(dist)], check=True, capture_output=True, text=True).stdout
    release = work / "Release"
    release.write_text(text)
    subprocess.run([*gpg, "--output", str(dist / "InRelease"), "--clearsign", str(release)], check=True)
    shutil.move(str(release), dist / "Release")
