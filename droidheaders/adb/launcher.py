"""Starting the adb server at exactly the endpoint that is meant."""

from __future__ import annotations

import os
import subprocess
import threading

from droidheaders.adb.endpoint import Endpoint
from droidheaders.errors import DeviceTimeoutError, NoDeviceError
from droidheaders.ui import printable, ui

# -P leaves these in force for the other half of the address.
_SERVER_VARIABLES = frozenset(
    {"ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"}
)
_one_at_a_time = threading.Lock()


def can_start(endpoint: Endpoint) -> bool:
    """Tell whether `adb -P PORT start-server` would listen at this very endpoint.

    A server started without a host listens on 127.0.0.1, and adb refuses to start one for any host
    but "localhost" (AOSP socket_spec.cpp, tcp_host_is_local()).
    """
    return endpoint.host in {"127.0.0.1", "localhost"}


def start_server(endpoint: Endpoint, timeout: float = 20.0) -> None:
    """Start the adb server at `endpoint` and return when it listens.

    The binary is ADBUTILS_ADB_PATH, else the one in PATH, else the one bundled with adbutils.
    Raises NoDeviceError when there is none or it fails, DeviceTimeoutError after `timeout` seconds.
    """
    from droidheaders.adb._adbutils import AdbError, adb_path

    with _one_at_a_time:
        try:
            command = [str(adb_path()), "-P", str(endpoint.port), "start-server"]
        except AdbError as error:
            raise NoDeviceError(
                f"no adb server listens at {endpoint} and there is no adb program to start one",
                "install adb (Android platform tools), or set ADBUTILS_ADB_PATH to it",
            ) from error
        ui.say(f"starting the adb server: {' '.join(command)}", level=1)
        done = _run(command, endpoint, timeout)
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise NoDeviceError(
            f"the adb server at {endpoint} did not start: {printable(said) or 'adb said nothing'}",
            f"see what `{' '.join(command)}` says",
        )


def _run(
    command: list[str], endpoint: Endpoint, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    env = {name: value for name, value in os.environ.items() if name not in _SERVER_VARIABLES}
    try:
        return subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceTimeoutError(
            f"the adb server at {endpoint} did not start within {timeout:g} seconds",
            f"see what `{' '.join(command)}` says",
        ) from error
    except OSError as error:
        raise NoDeviceError(
            f"the adb program {command[0]} cannot be run: {error.strerror}",
            "set ADBUTILS_ADB_PATH to a working adb",
        ) from error
