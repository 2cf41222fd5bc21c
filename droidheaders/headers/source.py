"""Get at the archive on a device: as it is in the kernel, in its module's file, or by loading that.

All in one shell round trip, IKCONFIG and BTF behind the archive. A device that had to load the
module undoes it itself (a trap unloads it), so that nothing stays even when this host dies; what
even that cannot undo is in the journal.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.adb import NoRootError, Root
from droidheaders.adb.shell import last_line
from droidheaders.errors import DeviceLostError, DroidheadersError, HeadersError, UnsupportedError
from droidheaders.headers.limits import MIB, ArchiveError, NotInFileError
from droidheaders.headers.loading import changing
from droidheaders.kernel.probe import ARCHIVES, BTF, CONFIG, MODULE_ROOTS, Probe
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, ShellStream
    from droidheaders.headers.module import ModuleFile

_NO_SOURCE, _NO_LOAD, _NO_ARCHIVE, _NO_READ, _NO_UNLOAD, _NO_FILE = 40, 41, 42, 43, 44, 45

# `find` only when the usual places have none, and one `stat` for all: each process costs a slow
# device tens of milliseconds. `dd` with unequal sizes gathers what it reads (POSIX dd), while `cat`
# passes each page on that kernfs hands out, and wakes adbd for it: 0.22 s instead of 0.28 for 4 MB.
_SCRIPT = rf"""
loaded=0 found=0
find_archive() {{
  for a in @ARCHIVES; do [ -r $a ] && return 0; done
  return 1
}}
module() {{
  for f in "$@"; do
    [ -e "$f" ] && found=1 && case $f in *.ko) [ -r "$f" ] && return 0;; esac
  done
  return 1
}}
load() {{
  for f in "$@"; do
    [ -e "$f" ] || continue
    found=1 loaded=1
    insmod "$f" && return 0
    loaded=0
  done
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
if find_archive; then :
elif [ @LOAD = 0 ]; then
  module @USUAL || module $(find @ROOTS -name 'kheaders.ko*' 2>/dev/null) ||
    {{ [ $found = 1 ] && exit {_NO_FILE}; exit {_NO_SOURCE}; }}
  a=$f
else
  load @USUAL || load $(find @ROOTS -name 'kheaders.ko*' 2>/dev/null) ||
    {{ [ $found = 1 ] && exit {_NO_LOAD}; exit {_NO_SOURCE}; }}
  find_archive || exit {_NO_ARCHIVE}
fi
set -- $a
for f in @EXTRAS; do [ -r $f ] && set -- "$@" $f; done
echo @NONCE $loaded $(stat -c '%s %n' "$@")
for f in "$@"; do dd ibs=64k obs=256k if="$f" 2>/dev/null || exit {_NO_READ}; done
"""

_LINE = 4096  # bytes of the first line; how much of it one read brings is chance
_EXTRAS = {CONFIG: 2 * MIB, BTF: 64 * MIB}  # real ones are 60 KB and 8 MiB at most


@dataclass
class ArchiveStream:
    """The archive, or the module that it lies in, as it comes.

    `size` is that of the file at `path`, and `module` set when that is a module. `loaded` tells
    whether its module was loaded for this and is unloaded again, `how` who read it ("shell", or
    how root was had). After the chunks' end, `extras` holds by path what came behind the
    archive: CONFIG and BTF, where they may be read.
    """

    path: str
    size: int
    loaded: bool
    how: str
    chunks: Iterator[bytes]
    extras: dict[str, bytes]
    module: ModuleFile | None


@contextmanager
def open_archive(device: Device, probe: Probe, *, load: bool = False) -> Iterator[ArchiveStream]:
    """Open the archive of the device's kernel for one pass over its chunks.

    `load` has the module loaded where its file would be read, for one that keeps the archive
    otherwise; without, nothing is changed on the device. Root is taken only when the archive cannot
    be read without. Raises UnsupportedError when the kernel has none, NotInFileError when only
    loading may help, HeadersError when it cannot be had, DeviceLostError when the device goes away.
    """
    if not _needs_root(probe, load):
        with _stream(device, probe, device, load) as stream:
            yield stream
        return
    with device.privileged() as root:
        try:
            with (
                changing(device, root) if load and not probe.kheaders_loaded else nullcontext(),
                _stream(device, probe, root, load) as stream,
            ):
                yield stream
        except NoRootError as e:
            archive = probe.archive
            what = f"{archive.path} may not be read" if archive else "no archive is to be seen"
            e.message = f"the headers of {probe.kernel} need root ({what}), but {e.message}"
            raise


def _needs_root(probe: Probe, load: bool) -> bool:
    files = (*probe.archives, *(() if load else probe.modules))
    return not any(f.state == "readable" and f.path.endswith((".xz", ".txz", ".ko")) for f in files)


@contextmanager
def _stream(
    device: Device, probe: Probe, user: Device | Root, load: bool
) -> Iterator[ArchiveStream]:
    nonce = os.urandom(16).hex()
    with user.stream(_script(nonce, probe, load)) as shell:
        from droidheaders.headers.module import ModuleFile

        line, first = _first_line(shell)
        if not line:
            if shell.status == _NO_FILE:
                raise NotInFileError
            raise _refusal(device, probe, shell)
        loaded, sizes = _sizes(device, probe, line, nonce)
        path, size = sizes.pop(0)
        pieces = _Pieces(shell, first)
        extras: dict[str, bytes] = {}

        def chunks() -> Iterator[bytes]:
            yield from pieces.take(size)
            for name, length in sizes:
                extras[name] = b"".join(pieces.take(length))
            pieces.end()

        how = user.how if isinstance(user, Root) else "shell"
        module = None if path in ARCHIVES else ModuleFile()
        pieces_of_it = _explained(device, path, chunks())
        yield ArchiveStream(path, size, loaded, how, pieces_of_it, extras, module)
        if shell.status == _NO_UNLOAD:
            raise HeadersError(
                f"{device.name} could not unload the kheaders module that was loaded for this:"
                f" {last_line(shell.stderr)}",
                f"{device.adb} shell su 0 rmmod kheaders",
            )


class _Pieces:
    """The bytes behind the first line, handed out by stated lengths."""

    def __init__(self, shell: ShellStream, first: bytes) -> None:
        self._shell = shell
        self._kept = first

    def take(self, size: int) -> Iterator[bytes]:
        """Yield `size` bytes in pieces; fewer when the device ends before."""
        while size > 0:
            piece = self._kept or self._shell.read(1 << 18)
            self._kept = piece[size:]
            if not piece:
                self._check_status()
                return
            yield piece[:size]
            size -= min(size, len(piece))

    def end(self) -> None:
        """Raise ArchiveError unless the device has nothing more to say, and says it went well."""
        if self._kept or self._shell.read(1):
            raise ArchiveError("is longer than the device says")
        self._check_status()

    def _check_status(self) -> None:
        if self._shell.status not in (0, _NO_UNLOAD):
            raise ArchiveError(f"could not be read: {last_line(self._shell.stderr)}")


def _first_line(shell: ShellStream) -> tuple[bytes, bytes]:
    head = b""
    while b"\n" not in head and len(head) <= _LINE:
        piece = shell.read(1 << 18)
        if not piece:
            break
        head += piece
    line, _, first = head.partition(b"\n")
    return line, first


def _sizes(
    device: Device, probe: Probe, line: bytes, nonce: str
) -> tuple[bool, list[tuple[str, int]]]:
    """Take the first line apart: was the module loaded, and what comes, each with its size."""
    words = line.decode("ascii", "replace").split()
    names, numbers = words[3::2], words[2::2]
    sizes = [
        (name, int(n))
        for name, n in zip(names, numbers, strict=False)
        if re.fullmatch(r"\d{1,15}", n)
    ]
    if (
        len(line) > _LINE
        or words[:1] != [f"@{nonce}"]
        or len(sizes) != len(numbers)
        or not all(map(str.isprintable, names))
        or not (names and (names[0] in ARCHIVES or names[0].endswith("/kheaders.ko")))
        or any(size > _EXTRAS.get(name, -1) for name, size in sizes[1:])
    ):
        raise DeviceLostError(
            f"{device.name} answered {printable(line.decode('utf-8', 'replace'), 80)!r}"
            f" when asked for the archive of {probe.kernel}",
            f"{device.adb} shell",
        )
    return words[1] == "1", sizes


def _explained(device: Device, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except DeviceLostError as e:
        if type(e) is DeviceLostError and path in ARCHIVES:
            # Until "kheaders: Use array declaration instead of char" (6.3), FORTIFY_SOURCE saw
            # one byte there, and reading the file was a BUG.
            e.hint = (
                f"if {device.name} has just rebooted, its kernel may be one that does not survive"
                f" reading {path}: look for 'fortify' in `adb logcat -b kernel -d`"
            )
        raise


def _refusal(device: Device, probe: Probe, shell: ShellStream) -> DroidheadersError:
    reason = last_line(shell.stderr)
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
            f"{device.adb} shell dmesg | tail",
        )
    if shell.status == _NO_READ:
        archive = probe.archive.path if probe.archive else ARCHIVES[0]
        return HeadersError(
            f"{archive} on {name} ({kernel}) cannot be read",
            f"{device.adb} shell ls -lZ {archive}",
        )
    return HeadersError(
        f"{name} ({kernel}) ended the search for its archive with status {shell.status}: {reason}",
        f"{device.adb} shell",
    )


def _script(nonce: str, probe: Probe, load: bool) -> str:
    own = f"{shlex.quote(probe.kernel.release)}/kernel/kernel/"
    places = [f"{root}/{place}kheaders.ko" for root in MODULE_ROOTS for place in (own, "")]
    usual = " ".join([*places, *(f"{root}/*/kernel/kernel/kheaders.ko*" for root in MODULE_ROOTS)])
    # One that came since the probe is of a module that another has loaded, and will unload.
    archives = ARCHIVES if load or probe.archive else ()
    return (
        _SCRIPT.replace("@NONCE", "@" + nonce)
        .replace("@ARCHIVES", " ".join(archives))
        .replace("@EXTRAS", " ".join(_EXTRAS))
        .replace("@ROOTS", " ".join(MODULE_ROOTS))
        .replace("@LOAD", str(int(load)))
        .replace("@USUAL", usual)
    )
