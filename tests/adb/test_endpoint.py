from __future__ import annotations

import pytest

from droidheaders.adb import Endpoint, resolve_endpoint
from droidheaders.errors import UsageError

ALL = {
    "ADB_SERVER_SOCKET": "tcp:somewhere:6001",
    "ANDROID_ADB_SERVER_ADDRESS": "elsewhere",
    "ANDROID_ADB_SERVER_PORT": "6002",
}


def test_default() -> None:
    assert resolve_endpoint(env={}) == Endpoint("127.0.0.1", 5037, "default")


def test_socket_variable_beats_address_and_port() -> None:
    assert resolve_endpoint(env=ALL) == Endpoint("somewhere", 6001, "ADB_SERVER_SOCKET")


def test_address_and_port_variables() -> None:
    env = {**ALL, "ADB_SERVER_SOCKET": ""}
    found = resolve_endpoint(env=env)
    assert (found.host, found.port) == ("elsewhere", 6002)
    assert found.source == "ANDROID_ADB_SERVER_ADDRESS and ANDROID_ADB_SERVER_PORT"


def test_flags_beat_the_socket_variable_and_leave_the_other_half() -> None:
    found = resolve_endpoint(host="h", env=ALL)
    assert (found.host, found.port, found.source) == ("h", 6002, "-H and ANDROID_ADB_SERVER_PORT")
    found = resolve_endpoint(port=6003, env=ALL)
    assert (found.host, found.port) == ("elsewhere", 6003)
    assert resolve_endpoint("h", 1, env=ALL) == Endpoint("h", 1, "-H and -P")


@pytest.mark.parametrize(
    ("spec", "host", "port"),
    [
        ("tcp:6000", "127.0.0.1", 6000),
        ("tcp:localhost:6000", "localhost", 6000),
        ("tcp:10.0.0.9:6000", "10.0.0.9", 6000),
        ("tcp:[::1]:6000", "::1", 6000),
    ],
)
def test_socket_specs(spec: str, host: str, port: int) -> None:
    assert resolve_endpoint(socket=spec, env=ALL) == Endpoint(host, port, "-L")


@pytest.mark.parametrize("spec", ["localfilesystem:/tmp/adb", "localabstract:adb", "vsock:1:2"])
def test_other_sockets_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match=r"ADB_SERVER_SOCKET=.* is not a TCP socket"):
        resolve_endpoint(env={"ADB_SERVER_SOCKET": spec})


@pytest.mark.parametrize("spec", ["tcp:", "tcp:host", "tcp:host:", "tcp::5", "tcp:65536", "tcp:-1"])
def test_bad_specs(spec: str) -> None:
    with pytest.raises(UsageError, match="-L"):
        resolve_endpoint(socket=spec, env={})


@pytest.mark.parametrize("port", ["nonsense", "0", "65536", "-5", "50 37", "²"])
def test_bad_port_variable_is_named(port: str) -> None:
    with pytest.raises(UsageError, match="ANDROID_ADB_SERVER_PORT must hold a port"):
        resolve_endpoint(env={"ANDROID_ADB_SERVER_PORT": port})


def test_bad_port_variable_does_not_matter_behind_a_flag() -> None:
    assert resolve_endpoint(port=6000, env={"ANDROID_ADB_SERVER_PORT": "nonsense"}).port == 6000


def test_bad_port_flag_is_named() -> None:
    with pytest.raises(UsageError, match="-P must hold"):
        resolve_endpoint(port=70000, env={})


@pytest.mark.parametrize(("host", "port"), [("h", None), (None, 1), ("h", 1)])
def test_socket_flag_excludes_the_others(host: str | None, port: int | None) -> None:
    with pytest.raises(UsageError, match="-L is incompatible"):
        resolve_endpoint(host, port, "tcp:1", env={})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("localhost", True),
        ("::1", True),
        ("192.168.1.5", False),
        ("farm.example", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert Endpoint(host, 5037).is_loopback is loopback


def test_text_has_brackets_around_ipv6() -> None:
    assert str(Endpoint("::1", 5037)) == "[::1]:5037"
    assert str(Endpoint("h", 5037)) == "h:5037"
