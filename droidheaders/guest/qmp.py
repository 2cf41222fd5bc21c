"""QEMU's monitor protocol over a unix socket: as much of it as ends a machine politely."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

SOCKET = "qmp"
"""The monitor's name in an instance's directory."""


class Qmp:
    """One connection to the monitor in `directory`; use as a context manager.

    Raises OSError when the machine is gone or does not answer within `timeout` seconds, and
    ValueError when it refuses a command. The protocol is docs/interop/qmp-spec of QEMU.
    """

    def __init__(self, directory: Path, timeout: float = 5.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        # through /proc, as the path of a socket has 108 bytes only (unix(7))
        where = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.connect(f"/proc/self/fd/{where}/{SOCKET}")
            self._lines = self._socket.makefile("rb")
            self._next()  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise
        finally:
            os.close(where)

    def __enter__(self) -> Qmp:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Return what `command` returns; events that come in between are dropped."""
        request = {"execute": command} | ({"arguments": arguments} if arguments else {})
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._next()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise ValueError(f"QEMU refused {command}: {answer['error'].get('desc')}")

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("the machine closed its monitor")
        answer = json.loads(line)
        return answer if isinstance(answer, dict) else {}
