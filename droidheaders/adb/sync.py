"""Files to and from a device, by adb's sync protocol (AOSP file_sync_protocol.h)."""

from __future__ import annotations

import io
import select
import shlex
import stat
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from droidheaders.adb._errors import mapped
from droidheaders.errors import DeviceLostError, DroidheadersError
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb._connection import Connection
    from droidheaders.adb.device import Device

_IDLE = 30.0
# SYNC_DATA_MAX
_CHUNK = 64 * 1024


def receive(device: Device, path: str, size: int | None, idle_timeout: float) -> Iterator[bytes]:
    """Yield the contents of `path`; see `Device.read_file`."""
    from droidheaders.adb._adbutils import AdbError, Sync

    doing = f"reading {printable(path)}"
    # adbutils' Sync reads well, given a connection that reads exactly and has a timeout.
    content = Sync(_Transport(device, idle_timeout)).iter_content(path)
    received = 0
    with closing(content):
        while True:
            with mapped(device, doing):
                try:
                    chunk = next(content, None)
                except AdbError as error:
                    # Its FAIL, and only that, comes with the path.
                    if error.args[1:] != (path,):
                        raise
                    raise _refusal(device, "read", path, error.args[0]) from None
            if chunk is None:
                break
            received += len(chunk)
            yield chunk
    if size is not None and received != size:
        raise DeviceLostError(
            f"{device.name} sent {received} bytes of {printable(path)} instead of {size}",
            "run the same command again",
        )


class _Transport:
    """The part of adbutils' device that its Sync uses."""

    def __init__(self, device: Device, timeout: float) -> None:
        self._device = device
        self._timeout = timeout

    def open_transport(self, timeout: object = None) -> Connection:
        return self._device.open_transport(self._timeout)


def send(
    device: Device,
    files: Sequence[tuple[bytes | BinaryIO | Path, str, int]],
    progress: Callable[[int], object] | None,
) -> None:
    """Write each source to its remote file, with its mode; see `Device.push`."""
    with ExitStack() as stack:
        readers = [stack.enter_context(_opened(source)) for source, _, _ in files]
        upload = stack.enter_context(closing(_Upload(device)))
        for reader, (_, remote, mode) in zip(readers, files, strict=True):
            upload.begin(remote, mode)
            while chunk := reader.read(_CHUNK):
                upload.write(b"DATA", chunk)
                if progress:
                    progress(len(chunk))
            upload.finish()


@contextmanager
def _opened(source: bytes | BinaryIO | Path) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        try:
            reader = source.open("rb")
        except OSError as error:
            raise DroidheadersError(
                f"cannot read {source}: {error.strerror}", f"look with `ls -l {source}`"
            ) from error
        with reader:
            yield reader
    else:
        yield source


class _Upload:
    """SENDs: knows that a device refuses in the middle, by speaking or by hanging up."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._remote = ""
        self._doing = "writing files"
        with mapped(device, self._doing):
            self._connection = device.open_service("sync:", _IDLE)
        self._poll = select.poll()
        self._poll.register(self._connection.conn, select.POLLIN)

    def close(self) -> None:
        self._connection.close()

    def begin(self, remote: str, mode: int) -> None:
        self._remote = remote
        self._doing = f"writing {printable(remote)}"
        self.write(b"SEND", f"{remote},{stat.S_IFREG | mode}".encode("utf-8", "surrogateescape"))

    def write(self, packet: bytes, payload: bytes) -> None:
        self._write(packet + struct.pack("<I", len(payload)) + payload)

    def finish(self) -> None:
        self._write(b"DONE" + struct.pack("<I", int(time.time())))
        with mapped(self._device, self._doing):
            self._answer()

    def _write(self, data: bytes) -> None:
        with mapped(self._device, self._doing):
            if self._poll.poll(0):  # it speaks before the end only to refuse
                self._answer()
            try:
                self._connection.conn.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                # The reason came before the connection broke, and can still be read.
                self._answer()
                raise

    def _answer(self) -> None:
        word = self._connection.read(4)
        length = self._connection.read_uint32()
        if word == b"OKAY":
            return
        if word != b"FAIL":
            raise ValueError(f"sync answer {word!r}")
        reason = self._connection.read(length).decode("utf-8", "replace")
        raise _refusal(self._device, "write", self._remote, reason)


def _refusal(device: Device, verb: str, path: str, reason: str) -> DroidheadersError:
    return DroidheadersError(
        f"{device.name} refuses to {verb} {printable(path)}: {printable(reason)}",
        f"look with `{device.adb} shell ls -ldZ {shlex.quote(printable(path))}`",
    )
