"""Where the adb server listens, found by adb's own rules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from droidheaders.errors import UsageError

_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_PORT = 5037


def is_loopback(host: str) -> bool:
    """Tell whether `host` (a name or an address, without brackets) is this machine's loopback."""
    if host == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Endpoint:
    """A TCP address of an adb server; `source` is the flag or variable that named it."""

    host: str
    port: int
    source: str = "default"

    @property
    def is_loopback(self) -> bool:
        """True when the server is on this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve_endpoint(
    host: str | None = None,
    port: int | None = None,
    socket: str | None = None,
    env: Mapping[str, str] = os.environ,
) -> Endpoint:
    """Return the server that adb itself would talk to, given its -H, -P and -L flags.

    The flags come first, then ADB_SERVER_SOCKET, then ANDROID_ADB_SERVER_ADDRESS and
    ANDROID_ADB_SERVER_PORT, then 127.0.0.1:5037; one of -H and -P leaves the other to its
    variable. An empty variable counts as unset. Source: AOSP packages/modules/adb,
    client/commandline.cpp, adb_commandline(). Raises UsageError naming the flag or variable.
    """
    if socket and (host or port is not None):
        raise UsageError("-L is incompatible with -H and -P", "keep -L, or -H and -P")
    if socket:
        return _from_spec(socket, "-L")
    if not host and port is None and env.get("ADB_SERVER_SOCKET"):
        return _from_spec(env["ADB_SERVER_SOCKET"], "ADB_SERVER_SOCKET")
    sources = []
    if host:
        sources.append("-H")
    elif env.get("ANDROID_ADB_SERVER_ADDRESS"):
        host = env["ANDROID_ADB_SERVER_ADDRESS"]
        sources.append("ANDROID_ADB_SERVER_ADDRESS")
    if port is not None:
        port = _port(str(port), "-P")
        sources.append("-P")
    elif env.get("ANDROID_ADB_SERVER_PORT"):
        port = _port(env["ANDROID_ADB_SERVER_PORT"], "ANDROID_ADB_SERVER_PORT")
        sources.append("ANDROID_ADB_SERVER_PORT")
    return Endpoint(
        (host or _DEFAULT_HOST).strip("[]"),
        _DEFAULT_PORT if port is None else port,
        " and ".join(sources) or "default",
    )


def _from_spec(spec: str, source: str) -> Endpoint:
    # AOSP socket_spec.cpp, parse_tcp_socket_spec(): tcp:PORT or tcp:HOST:PORT, never tcp:HOST.
    kind, _, address = spec.partition(":")
    if kind != "tcp":
        raise UsageError(
            f"{source}={spec!r} is not a TCP socket, and no other kind is supported",
            f"use {source} with tcp:PORT or tcp:HOST:PORT",
        )
    host, colon, port = address.rpartition(":")
    if colon and not host.strip("[]"):
        raise UsageError(f"{source}={spec!r} has no host", f"use {source} with tcp:HOST:PORT")
    return Endpoint(host.strip("[]") or _DEFAULT_HOST, _port(port, source), source)


def _port(text: str, source: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= port <= 65535:
        raise UsageError(
            f"{source} must hold a port between 1 and 65535, and holds {text!r}",
            f"correct {source}, or leave it out for port {_DEFAULT_PORT}",
        )
    return port
