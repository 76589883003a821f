# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The way from the controller to a Unix socket on a machine: lines there, lines back.

Private room of the collection. A *link* is a connection to a machine, a *channel* one conversation with the socket over it.
Three links carry the same channel: the socket itself, an SSH channel by paramiko, and OpenSSH's own `-L`.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t

try:
    import paramiko
except ImportError as problem:
    HAS_PARAMIKO: ImportError | None = problem
    Transport: t.Any = object
else:
    HAS_PARAMIKO = None
    Transport = paramiko.Transport
    # Whatever is wrong is raised and told in a sentence; without a handler Python would print paramiko's own words beside it.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())

# sun_path holds 108 bytes with the terminating zero.
MAX_SOCKET_PATH = 107
STREAMLOCAL = "direct-streamlocal@openssh.com"
# What paramiko cannot follow: OpenSSH itself is asked when the configuration of the host says one of these.
BEYOND_PARAMIKO = ("proxyjump", "proxycommand", "certificatefile", "pkcs11provider", "securitykeyprovider")


class ChannelError(Exception):
    """The conversation could not be held. `kind` is one word to decide by, `msg` one sentence with the next step."""

    kind = "unreachable"
    passing = True  # trying again may help

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


class Unreachable(ChannelError):
    """The machine does not answer, or stopped answering. Conclude nothing."""


class NoWatcher(ChannelError):
    """The machine answers, its socket does not."""

    kind = "no_watcher"


class Untrusted(ChannelError):
    """The machine's host key is not the one we know."""

    kind = "untrusted"
    passing = False


class Denied(ChannelError):
    """The machine, or the socket, does not let this user in."""

    kind = "denied"
    passing = False


class Invalid(ChannelError):
    """The caller asked for something that cannot be."""

    kind = "invalid"
    passing = False


@dataclasses.dataclass(frozen=True)
class Target:
    """A machine as Ansible's connection variables describe it. `name` is its inventory name, for sentences."""

    name: str
    host: str
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    ssh_args: tuple[str, ...] = ()
    ssh_executable: str = "ssh"
    host_key_checking: bool = True
    timeout: float = 10.0  # seconds for connecting, and for logging in


class Channel:
    """Lines over anything that looks like a socket."""

    def __init__(self, sock: t.Any, name: str) -> None:
        self._sock = sock
        self._name = name
        self._rest = b""
        self._heard = False

    def send(self, line: bytes) -> None:
        """LINE, newline included, is on its way. Raises Unreachable."""
        try:
            self._sock.settimeout(30)
            self._sock.sendall(line)
        except (ConnectionResetError, BrokenPipeError) as problem:
            raise self._ended() from problem
        except (OSError, EOFError) as problem:
            raise Unreachable("%s: the connection to the watcher was cut (%s)." % (self._name, problem or "closed")) from problem

    def readline(self, timeout: float) -> bytes | None:
        """The next line without its newline, None when there was none for TIMEOUT seconds. Raises Unreachable or NoWatcher at the end of the stream."""
        until = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0:
                return None
            try:
                self._sock.settimeout(left)
                data = self._sock.recv(65536)
            except socket.timeout:
                return None
            except ConnectionResetError as problem:
                raise self._ended() from problem
            except OSError as problem:
                raise Unreachable("%s: the connection to the watcher was cut (%s)." % (self._name, problem)) from problem
            if not data:
                raise self._ended()
            self._rest += data
            self._heard = True
        line, newline, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        """The conversation is over; the watcher does not mind."""
        try:
            self._sock.close()
        except (OSError, EOFError):
            pass

    def _ended(self) -> ChannelError:
        if self._heard:
            return Unreachable("%s: the watcher closed the connection." % self._name)
        # OpenSSH's forwarding accepts first and finds nobody at the far end later.
        return NoWatcher("%s: nobody answers at the watcher's socket." % self._name)


class LocalLink:
    """The socket of this very machine."""

    def __init__(self, target: Target) -> None:
        self._name = target.name

    def open(self, path: str) -> Channel:
        check_path(self._name, path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(10)
            sock.connect(path)
        except PermissionError as problem:
            sock.close()
            raise Denied("%s: this user may not use %s; run as the watcher's user." % (self._name, path)) from problem
        except OSError as problem:
            sock.close()
            raise NoWatcher(nobody_at(self._name, path)) from problem
        return Channel(sock, self._name)

    def close(self) -> None:
        """Nothing is held."""


class _StreamlocalTransport(Transport):
    """
    A transport that can open a channel to a Unix socket.

    paramiko knows no such kind and would send the request without its own fields (PROTOCOL of OpenSSH, section 2.4): path, a reserved
    string, a reserved number. They are appended to that one message on its way out.
    """

    socket_path = ""

    def _send_user_message(self, message: t.Any) -> None:
        raw = message.asbytes()
        if raw[:1] == paramiko.common.cMSG_CHANNEL_OPEN and paramiko.Message(raw[1:]).get_text() == STREAMLOCAL:
            message.add_string(self.socket_path)
            message.add_string("")
            message.add_int(0)
        super()._send_user_message(message)


class ParamikoLink:
    """An SSH connection by paramiko. CONFIG is what `ssh -G` says of the machine; ALIAS another name under which its host key is known."""

    def __init__(self, target: Target, config: t.Mapping[str, list[str]], alias: str = "") -> None:
        if HAS_PARAMIKO:
            raise Invalid("the Python library paramiko is missing on the controller; install it, or use the transport openssh.")
        self._name = target.name
        self._client = paramiko.SSHClient()
        strict = config.get("stricthostkeychecking", ["true" if target.host_key_checking else "false"])[0]
        welcome = strict in ("no", "false", "off", "accept-new")
        known_keys = paramiko.HostKeys()
        self._client.set_missing_host_key_policy(paramiko.AutoAddPolicy() if welcome else _Reject(target.name, known_keys, alias))
        if not welcome or strict == "accept-new":
            for known in " ".join(config.get("userknownhostsfile", ["~/.ssh/known_hosts"]) + config.get("globalknownhostsfile", [])).split():
                if os.path.isfile(os.path.expanduser(known)):
                    self._client.load_system_host_keys(os.path.expanduser(known))
                    if alias:
                        known_keys.load(os.path.expanduser(known))
        keys = [target.key_file] if target.key_file else config.get("identityfile", [])
        try:
            self._client.connect(
                hostname=config.get("hostname", [target.host])[0],
                port=int(config.get("port", [str(target.port or 22)])[0]),
                username=config.get("user", [target.user])[0],
                password=target.password,
                key_filename=[path for path in map(os.path.expanduser, keys) if os.path.isfile(path)],
                look_for_keys=False,
                timeout=target.timeout,
                banner_timeout=target.timeout,
                auth_timeout=target.timeout,
                transport_factory=_StreamlocalTransport,
            )
        except ChannelError:
            self._client.close()
            raise
        except paramiko.BadHostKeyException as problem:
            self._client.close()
            raise Untrusted("%s: the host key is not the known one; find out why before you replace it in known_hosts." % target.name) from problem
        except paramiko.AuthenticationException as problem:
            self._client.close()
            raise Denied("%s: the login as %s was refused (%s); check ansible_user and its key." % (
                target.name, config.get("user", [target.user])[0], problem)) from problem
        except (paramiko.SSHException, OSError, EOFError, ValueError) as problem:
            self._client.close()
            raise Unreachable("%s does not answer by SSH: %s" % (target.name, problem)) from problem
        # Notices a machine that vanished without a word, and keeps firewalls from forgetting a quiet connection.
        self._client.get_transport().set_keepalive(15)

    def open(self, path: str) -> Channel:
        check_path(self._name, path)
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise Unreachable("%s: the SSH connection is gone." % self._name)
        transport.socket_path = path
        try:
            return Channel(transport.open_channel(STREAMLOCAL, timeout=10), self._name)
        except paramiko.ChannelException as problem:
            raise NoWatcher(nobody_at(self._name, path)) from problem
        except (paramiko.SSHException, OSError, EOFError) as problem:
            raise Unreachable("%s: the SSH connection was cut (%s)." % (self._name, problem)) from problem

    def close(self) -> None:
        self._client.close()


class _Reject:
    """Refuses a host key nobody has seen yet, in a sentence; one that is known under ALIAS is no stranger's."""

    def __init__(self, name: str, known: t.Any, alias: str) -> None:
        self._name, self._known, self._alias = name, known, alias

    def missing_host_key(self, client: t.Any, hostname: str, key: t.Any) -> None:
        if self._alias and self._known.check(self._alias, key):
            return
        raise Untrusted("%s: the host key of %s is not known; add it to known_hosts (ssh-keyscan, compare the fingerprint)." % (self._name, hostname))


class OpensshLink:
    """OpenSSH forwards a socket of ours to the machine's. Follows whatever the user's SSH configuration says."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._directory: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._path = ""

    def open(self, path: str) -> Channel:
        check_path(self._target.name, path)
        if self._process is None or self._process.poll() is not None or path != self._path:
            self._forward(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self._local)
        except OSError as problem:
            sock.close()
            raise Unreachable("%s: the SSH connection is gone (%s)." % (self._target.name, problem)) from problem
        return Channel(sock, self._target.name)

    def close(self) -> None:
        self._stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    @property
    def _local(self) -> str:
        if self._directory is None:
            # The default directory for temporary files may be too deep for the path of a socket.
            self._directory = tempfile.mkdtemp(prefix="su-", dir="/tmp" if os.path.isdir("/tmp") else None)
        return os.path.join(self._directory, "s")

    def _forward(self, path: str) -> None:
        self._stop()
        if os.path.exists(self._local):
            os.unlink(self._local)
        target, self._path = self._target, path
        # It ends with us, also when we are killed: nobody else knows of it.
        command = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        command += [target.ssh_executable, "-N", "-T", "-L", "%s:%s" % (self._local, path)]
        # A shared master connection would outlive us; a question at the terminal would never be answered.
        for option in ("ControlMaster=no", "ControlPath=none", "BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=15"):
            command += ["-o", option]
        command += ["-o", "ConnectTimeout=%d" % max(1, int(target.timeout))] + ssh_options(target) + [target.host]
        with tempfile.TemporaryFile() as said:
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            except OSError as problem:
                raise Invalid("%s cannot be run (%s); install the OpenSSH client on the controller." % (target.ssh_executable, problem)) from problem
            until = time.monotonic() + 2 * target.timeout
            while not os.path.exists(self._local):
                if self._process.poll() is None and time.monotonic() < until:
                    select.select([], [], [], 0.02)
                    continue
                self.close()
                said.seek(0)
                raise self._refusal(said.read().decode("utf-8", "replace").strip())

    def _refusal(self, said: str) -> ChannelError:
        last, name = (said.splitlines() or ["no answer in time"])[-1], self._target.name
        if "Host key verification failed" in said:
            return Untrusted("%s: the host key is not the known one; compare it before you change known_hosts." % name)
        if "Permission denied" in said or "Too many authentication failures" in said:
            return Denied("%s: the login was refused (%s); check ansible_user and its key." % (name, last))
        return Unreachable("%s does not answer by SSH: %s" % (name, last))

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def connect(target: Target, transport: str) -> LocalLink | ParamikoLink | OpensshLink:
    """
    A link to TARGET over TRANSPORT (local, paramiko, openssh, or auto: whichever of the last two fits the user's SSH configuration).

    Raises ChannelError. An OpenSSH link connects when its first channel is opened.
    """
    if transport == "local":
        return LocalLink(target)
    if transport == "openssh":
        return OpensshLink(target)
    config = effective_config(target)
    beyond = [word for word in BEYOND_PARAMIKO if config.get(word, ["none"])[0] not in ("none", "internal")]
    if transport == "auto" and (HAS_PARAMIKO or beyond):
        return OpensshLink(target)
    try:
        return ParamikoLink(target, config)
    except Denied:
        # A hardware key or an agent's certificate is beyond paramiko; OpenSSH has the last word.
        if transport == "paramiko" or target.password is not None:
            raise
        return OpensshLink(target)


def ssh_options(target: Target) -> list[str]:
    """What Ansible would tell `ssh` about TARGET. What comes first wins."""
    options = []
    if target.port:
        options += ["-o", "Port=%d" % target.port]
    if target.user:
        options += ["-o", "User=%s" % target.user]
    if target.key_file:
        options += ["-o", "IdentityFile=%s" % target.key_file]
    if not target.host_key_checking:
        options += ["-o", "StrictHostKeyChecking=no"]
    return options + list(target.ssh_args)


def effective_config(target: Target) -> dict[str, list[str]]:
    """What OpenSSH makes of the user's configuration and Ansible's arguments for TARGET; {} where there is no OpenSSH to ask."""
    command = [target.ssh_executable, "-G"] + ssh_options(target) + [target.host]
    try:
        told = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if told.returncode:
        raise Invalid("%s: ssh does not accept the arguments of this host: %s" % (target.name, told.stderr.decode("utf-8", "replace").strip()))
    config: dict[str, list[str]] = {}
    for line in told.stdout.decode("utf-8", "replace").splitlines():
        word, space, value = line.partition(" ")
        config.setdefault(word, []).append(value)
    return config


def check_path(name: str, path: str) -> None:
    """Raises Invalid when PATH cannot be the path of a socket."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise Invalid("%s: the socket path %s has %d bytes, %d are possible; choose a shorter upgrade_watcher_runtime_dir." % (
            name, path, length, MAX_SOCKET_PATH))


def nobody_at(name: str, path: str) -> str:
    """The sentence for a socket that does not answer."""
    return (
        "%s: no watcher answers at %s. Either the machine is not armed, or the watcher is not running there "
        "(systemctl status series-upgrade-watcher), or this user is not let in (upgrade_watcher_allowed_group)." % (name, path)
    )
