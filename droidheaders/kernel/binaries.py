"""A device's kernel modules and boot image, as they come: what they are is told elsewhere.

Their names and sizes are the device's word, so each is bounded, and each file has to end where the
device said that it would.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.errors import DeviceLostError
from droidheaders.kernel.identity import build_id_of_notes
from droidheaders.kernel.probe import MODULE_ROOTS

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root
    from droidheaders.adb.shell import ShellStream

_FILES = 16384  # all of a distribution's are 4,500
_FILE = 64 << 20  # bytes
_ALL = 1 << 30
_LISTED = re.compile(rb"(\d{1,20}:\d{1,20}) (\d{1,12}) (/[\x21-\x7e]{1,4000}\.ko(?:\.\w{2,3})?)")
_NOTE = re.compile(rb"\x04\0\0\0[\x08-\x40]\0\0\0\x03\0\0\0GNU\0")
_BATCH = 48 << 10  # bytes of names in one script; adb takes 64 KiB

# One stat for many files: each process costs a slow device tens of milliseconds. The roots end in a
# slash, since on many devices one is a link to another.
_LIST = r"""
find @ROOTS -type f \( -name '*.ko' -o -name '*.ko.?z' -o -name '*.ko.zst' \) \
  -exec stat -c '%d:%i %s %n' {} + 2>/dev/null | head -n @MOST
:
"""
_SEND = """
for f in @FILES; do
  if [ -r "$f" ]; then echo @NONCE +; dd if="$f" bs=256k 2>/dev/null; else echo @NONCE -; fi
done
"""
# A boot partition's name has the slot's suffix where there are two: ro.boot.slot_suffix.
_BOOT = """
s=$(getprop ro.boot.slot_suffix 2>/dev/null)
[ "$s" ] || for w in $(cat /proc/cmdline 2>/dev/null); do
  case $w in androidboot.slot_suffix=*) s=${w#*=};; esac
done
case $s in _[a-z]) ;; *) s=;; esac
x=absent
for f in /dev/block/by-name/boot$s /dev/block/bootdevice/by-name/boot$s \\
  /dev/block/by-name/boot /dev/block/bootdevice/by-name/boot; do
  if [ -r $f ]; then echo @NONCE readable $f; exec dd if=$f bs=256k 2>/dev/null; fi
  [ -e $f ] && x=denied
done
echo @NONCE $x -
"""


@dataclass(frozen=True)
class Listed:
    """A module's file on a device, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class Modules:
    """The modules of a device that may be asked for.

    `left_out` counts those that are not, for a name that is none, their size or their number.
    """

    files: Sequence[Listed]
    left_out: int

    @property
    def size(self) -> int:
        """Return the bytes of all of them."""
        return sum(file.size for file in self.files)


def modules(user: Device | Root) -> Modules:
    """Return which modules lie where Android and distributions keep them; raises as `shell`."""
    roots = " ".join(f"{root}/" for root in MODULE_ROOTS)
    script = _LIST.replace("@ROOTS", roots).replace("@MOST", str(_FILES + 1))
    lines = user.shell(script).stdout.split(b"\n")[:-1]
    found: dict[bytes, Listed] = {}
    left_out = total = 0
    for line in lines:
        told = _LISTED.fullmatch(line)
        size = int(told[2]) if told else 0
        if told is None or ".." in told[3].decode() or size > _FILE or total + size > _ALL:
            left_out += 1
        elif told[1] not in found and len(found) < _FILES:
            found[told[1]] = Listed(told[3].decode(), size)
            total += size
    return Modules(tuple(found.values()), left_out)


def loaded(user: Device | Root) -> frozenset[str]:
    """Return the build-ids of the modules that are loaded, as far as they may be read.

    From their notes: add_notes_attrs() of kernel/module/sysfs.c.
    """
    notes = user.shell("cat /sys/module/*/notes/.note.gnu.build-id 2>/dev/null").stdout
    places = (note.start() for note in _NOTE.finditer(notes))
    return frozenset(build_id_of_notes(notes[at : at + 80]) for at in places) - {""}


def contents(user: Device | Root, files: Sequence[Listed]) -> Iterator[tuple[Listed, bytes | None]]:
    """Yield each file with its content, None for one that may not be read.

    Raises DeviceLostError when a file is not as long as it was, and what `stream` raises.
    """
    for batch in _batches(files):
        nonce = f"@{os.urandom(16).hex()}"
        names = " ".join(shlex.quote(file.path) for file in batch)
        script = _SEND.replace("@NONCE", nonce).replace("@FILES", names)
        with user.stream(script) as shell:
            reader = _Reader(shell)
            for file in batch:
                word = reader.line()
                if word == f"{nonce} -".encode():
                    yield file, None
                    continue
                data = reader.exactly(file.size) if word == f"{nonce} +".encode() else b""
                if len(data) < file.size or not word.startswith(nonce.encode()):
                    raise _changed(user, file)
                yield file, data


def _batches(files: Sequence[Listed]) -> Iterator[list[Listed]]:
    batch: list[Listed] = []
    room = _BATCH
    for file in files:
        room -= 2 * len(file.path) + 8  # as it may be quoted twice, for su
        if room < 0 and batch:
            yield batch
            batch, room = [], _BATCH - 2 * len(file.path) - 8
        batch.append(file)
    if batch:
        yield batch


@contextmanager
def boot_image(user: Device | Root) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Give the boot partition's path and content; leaving the block ends the transfer.

    The path is "" and nothing comes where there is none, "denied" where it may not be read.
    """
    nonce = f"@{os.urandom(16).hex()}"
    with user.stream(_BOOT.replace("@NONCE", nonce)) as shell:
        reader = _Reader(shell)
        words = reader.line().decode("ascii", "replace").split(" ")
        if len(words) != 3 or words[0] != nonce or not words[2].isprintable():
            raise DeviceLostError(
                f"{_name(user)} did not answer when asked for its boot image", "adb shell"
            )
        if words[1] == "readable":
            yield words[2], reader.rest()
        else:
            yield ("denied" if words[1] == "denied" else ""), iter(())


class _Reader:
    """A command's output by lines and by lengths."""

    def __init__(self, shell: ShellStream) -> None:
        self._shell = shell
        self._kept = bytearray()

    def line(self) -> bytes:
        """Return the next line, or what there is of it; none is longer than 8 KiB."""
        while b"\n" not in self._kept and len(self._kept) < 8192:
            if not self._more():
                break
        line, _, rest = bytes(self._kept).partition(b"\n")
        self._kept = bytearray(rest)
        return line

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes, fewer when the command ends before."""
        while len(self._kept) < size and self._more():
            pass
        data = bytes(self._kept[:size])
        del self._kept[:size]
        return data

    def rest(self) -> Iterator[bytes]:
        """Yield everything that is left, a page of it first."""
        yield self.exactly(4096)
        while self._kept or self._more():
            yield bytes(self._kept)
            self._kept.clear()

    def _more(self) -> bool:
        piece = self._shell.read(1 << 18)
        self._kept += piece
        return bool(piece)


def _name(user: Device | Root) -> str:
    from droidheaders.adb import Root

    return user.device.name if isinstance(user, Root) else user.name


def _changed(user: Device | Root, file: Listed) -> DeviceLostError:
    return DeviceLostError(
        f"{_name(user)} did not send {file.path} whole: it is not what it was when it was listed",
        "run the same command again",
    )
