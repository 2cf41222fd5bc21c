"""Get at the archive on a device: find it, load the module that carries it, stream it, undo.

All in one shell round trip. The device undoes itself (a trap unloads the module), so that nothing
stays even when this host dies in the middle.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from droidheaders.adb import Root
from droidheaders.errors import DeviceLostError, DroidheadersError, HeadersError, UnsupportedError
from droidheaders.headers.limits import ArchiveError
from droidheaders.kernel.probe import ARCHIVES, MODULE_ROOTS, Probe
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, ShellStream

_NO_SOURCE, _NO_LOAD, _NO_ARCHIVE, _NO_READ, _NO_UNLOAD = 40, 41, 42, 43, 44

# toybox and busybox alike; `cat` because kernfs hands out a page at a time whoever asks.
_SCRIPT = rf"""
loaded=0
find_archive() {{
  for a in @ARCHIVES; do [ -e $a ] && return 0; done
  return 1
}}
undo() {{
  s=$?
  trap - EXIT
  [ $loaded = 1 ] && {{ rmmod kheaders || [ $s != 0 ] || s={_NO_UNLOAD}; }}
  exit $s
}}
trap undo EXIT
trap 'exit 129' HUP INT PIPE TERM
if ! find_archive; then
  found=0
  for f in $(find @ROOTS -name 'kheaders.ko*' 2>/dev/null); do
    found=1
    loaded=1; insmod "$f" && break
    loaded=0
  done
  [ $found = 1 ] || exit {_NO_SOURCE}
  find_archive || {{ [ $loaded = 1 ] && exit {_NO_ARCHIVE}; exit {_NO_LOAD}; }}
fi
[ -r $a ] || exit {_NO_READ}
echo "@NONCE $(stat -c %s $a) $loaded $a"
cat $a || exit {_NO_READ}
"""

_UNLOAD = "[ ! -d /sys/module/kheaders ] || rmmod kheaders"


@dataclass
class ArchiveStream:
    """The archive as it comes: where it lies, the bytes it says it has, the chunks.

    `size` is None when the device states none. `loaded` tells whether its module was loaded for
    this and is unloaded again.
    """

    path: str
    size: int | None
    loaded: bool
    how: str
    chunks: Iterator[bytes] = field(repr=False)


@contextmanager
def open_archive(device: Device, probe: Probe) -> Iterator[ArchiveStream]:
    """Open the archive of the device's kernel for one pass over its chunks.

    Root is taken only when the archive cannot be read without. Raises UnsupportedError when the
    kernel has none, HeadersError when it cannot be had, DeviceLostError when the device goes away.
    """
    archive = probe.archive
    if archive is not None and archive.state == "readable":
        with _stream(device, probe, device) as stream:
            yield stream
        return
    with device.privileged(uid=probe.uid) as root:
        try:
            with _stream(device, probe, root) as stream:
                yield stream
        except BaseException:
            if not probe.kheaders_loaded:
                _unload(root)
            raise


@contextmanager
def _stream(device: Device, probe: Probe, user: Device | Root) -> Iterator[ArchiveStream]:
    nonce = secrets.token_hex(16)
    with user.stream(_script(nonce)) as shell:
        chunks = iter(shell)
        path, size, loaded, first = _header(device, probe, shell, chunks, nonce)

        def rest() -> Iterator[bytes]:
            if first:
                yield first
            yield from chunks
            if shell.status not in (0, _NO_UNLOAD):
                raise ArchiveError(f"could not be read: {_last_line(shell.stderr)}")

        how = user.how if isinstance(user, Root) else "shell"
        yield ArchiveStream(path, size, loaded, how, _guarded(device, path, rest()))
        if shell.status == _NO_UNLOAD:
            raise HeadersError(
                f"{device.name} could not unload the kheaders module that was loaded for this:"
                f" {_last_line(shell.stderr)}",
                f"adb -s {device.serial} shell su 0 rmmod kheaders",
            )


def _header(
    device: Device, probe: Probe, shell: ShellStream, chunks: Iterator[bytes], nonce: str
) -> tuple[str, int | None, bool, bytes]:
    head = b""
    while b"\n" not in head:
        chunk = next(chunks, None)
        if chunk is None:
            raise _refusal(device, probe, shell)
        head += bytes(chunk)
        if len(head) > 4096 and b"\n" not in head[:4096]:
            break
    line, _, first = head.partition(b"\n")
    words = line.decode("ascii", "replace").split(" ", 3)
    if len(words) != 4 or words[0] != f"@{nonce}" or words[3] not in ARCHIVES:
        raise DeviceLostError(
            f"{device.name} answered {printable(line.decode('utf-8', 'replace'), 80)!r}"
            f" when asked for the archive of {probe.kernel}",
            f"adb -s {device.serial} shell",
        )
    size = int(words[1]) if words[1].isdigit() and words[1] != "0" else None
    return words[3], size, words[2] == "1", first


def _guarded(device: Device, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except DeviceLostError as e:
        if type(e) is DeviceLostError:
            # Until "kheaders: Use array declaration instead of char" (6.3), FORTIFY_SOURCE saw
            # one byte there, and reading the file was a BUG.
            e.hint = (
                f"if {device.name} rebooted just now, its kernel may be one that cannot survive"
                f" reading {path}: look for 'fortify' in the log of `adb logcat -b kernel -d`"
            )
        raise


def _refusal(device: Device, probe: Probe, shell: ShellStream) -> DroidheadersError:
    reason = _last_line(shell.stderr)
    name, kernel = device.name, probe.kernel
    if shell.status == _NO_SOURCE:
        return UnsupportedError(
            f"{kernel} on {name} carries no headers: no archive in /sys/kernel or /proc,"
            " and no kheaders module on the device",
            "build the kernel with CONFIG_IKHEADERS=y or =m",
        )
    if shell.status in (_NO_LOAD, _NO_ARCHIVE):
        return HeadersError(
            f"{name} has a kheaders module that {kernel} did not load: {reason}",
            f"adb -s {device.serial} shell dmesg | tail",
        )
    if shell.status == _NO_READ:
        archive = probe.archive.path if probe.archive else ARCHIVES[0]
        return HeadersError(
            f"{archive} on {name} ({kernel}) cannot be read: {reason}",
            f"adb -s {device.serial} shell ls -lZ {archive}",
        )
    return HeadersError(
        f"{name} ({kernel}) ended the search for its archive with status {shell.status}: {reason}",
        f"adb -s {device.serial} shell",
    )


def _unload(root: Root) -> None:
    """Make sure, after a failure, that the module is gone; the device may be gone too."""
    with suppress(DroidheadersError):
        root.shell(_UNLOAD, timeout=10.0)


def _script(nonce: str) -> str:
    return (
        _SCRIPT.replace("@NONCE", "@" + nonce)
        .replace("@ARCHIVES", " ".join(ARCHIVES))
        .replace("@ROOTS", " ".join(MODULE_ROOTS))
    )


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1]) if lines else "no reason given"
