"""Headers in a directory of a device: put there whole, checked there, and taken away again.

They are unpacked beside the directory and renamed. What an interruption leaves is a scratch
directory, which the journal knows.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from droidheaders.adb.shell import ShellResult, ShellStream, last_line
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.run.parcel import LARGEST_MARK, OWN, Mark, Parcel
from droidheaders.run.scratch import scratch
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.adb.root import Root

    User = Device | Root

# sha256sum and sort of thousands of files say nothing until they are done.
_PATIENCE = 300.0

# A path that needs no quotes, and names one directory only.
_PLAIN = re.compile(r"(/(?!\.\.?(/|$))[\w.+~%-]+)+", re.ASCII)

_LOOK = f"""\
if [ -d {{parent}} ]; then [ -w {{parent}} ] && echo writable || echo denied; else echo none; fi
if [ ! -e {{path}} ] && [ ! -L {{path}} ]; then echo absent
elif [ ! -L {{path}} ] && [ -f {{path}}/{OWN}/bundle.json ]; then echo ours
else echo foreign; fi
df -k {{parent}} 2>/dev/null | tail -n 1
head -c {LARGEST_MARK} {{path}}/{OWN}/bundle.json 2>/dev/null
exit 0
"""
# Every file as it was sent, and no other.
_CHECK = f"""\
cd {{path}} || exit 1
echo '{{sums}}  {OWN}/sums' | sha256sum -c >/dev/null || exit 1
sha256sum -c {OWN}/sums || exit 1
[ -z "$({{{{ cat {OWN}/files; find . ! -type d | cut -c3-; }}}} | sort | uniq -u)" ]
"""
# Without owners and times, which take toybox half of its time.
_UNPACK = """\
umask 022
cd {place} && mkdir case headers && [ ! -d CASE ] || {{ echo @case >&2; exit 1; }}
exec tar -xzom -C headers
"""


@dataclass(frozen=True)
class Spot:
    """A directory of a device as somebody saw it.

    `parent` is writable, denied or none; `state` is absent, ours or foreign. `free` is in bytes,
    None when not told.
    """

    path: str
    parent: str
    state: str
    free: int | None
    mark: Mark | None


def check_path(path: str) -> str:
    """Return the path of a directory without a slash at its end; UsageError for what is none."""
    plain = path.rstrip("/")
    if not _PLAIN.fullmatch(plain):
        raise UsageError(
            f"{printable(path)!r} is no full path of letters, digits and ._+~%- on a device",
            "droidheaders push headers --to /data/local/tmp/headers",
        )
    return plain


def look(user: User, path: str) -> Spot:
    """Return what `user` sees at `path`, in one round trip."""
    parent = _parent(path)
    lines = user.shell(_LOOK.format(path=path, parent=parent)).stdout.split(b"\n", 3)
    words = [line.decode("utf-8", "replace").strip() for line in lines]
    words += [""] * (4 - len(words))
    free = re.search(r"\s(\d{1,15})\s+\d+%", words[2])
    mark = Mark.from_json(lines[3]) if words[1] == "ours" and len(lines) == 4 else None
    return Spot(path, words[0], words[1], int(free[1]) * 1024 if free else None, mark)


def is_whole(device: Device, user: User, path: str, mark: Mark, files: int) -> bool:
    """Tell whether everything at `path` is as it was sent: every file is read there."""
    script = _CHECK.format(path=path, sums=mark.sums)
    what = f"{printable(device.serial)}: checking"
    with closing(user.stream(script, idle_timeout=_PATIENCE)) as stream:
        _follow(stream, what, files)
        return stream.status == 0


def put(device: Device, user: User, spot: Spot, parcel: Parcel) -> None:
    """Put the headers to the directory, in place of older ones of ours; raises DroidheadersError.

    They are there whole and checked, or what was there before is. An interruption between two
    renames leaves the directory absent.
    """
    _check_space(device, spot, parcel)
    parent = _parent(spot.path)
    with scratch(device, parent=parent, user=user) as place:
        sent = _send(device, user, parcel, _UNPACK.format(place=place))
        if sent.status:
            raise _refused(device, spot.path, sent.stderr)
        if not is_whole(device, user, f"{place}/headers", parcel.mark, parcel.files):
            raise _refused(device, spot.path, b"what was unpacked is not what was sent")
        old = f"mv {spot.path} {place}/old && " if spot.state == "ours" else ""
        moved = user.shell(f"{old}[ ! -e {spot.path} ] && mv {place}/headers {spot.path}")
        if moved.status:
            raise _refused(device, spot.path, moved.stderr)


def take(device: Device, user: User, path: str) -> None:
    """Remove the directory, which is ours; DroidheadersError when something else is in it."""
    others = user.shell(
        f"cd {path} && {{ cat {OWN}/files {OWN}/files; find . ! -type d | cut -c3-; }}"
        " | sort | uniq -u | head -n 1",
        timeout=_PATIENCE,
    )
    found = printable(others.stdout.decode("utf-8", "replace").strip())
    if others.status or found:
        raise DroidheadersError(
            f"{device.name}: {path} holds {found or 'what cannot be listed'}, which was not pushed"
            " with the headers",
            f"{device.adb} shell ls -R {path}",
        )
    with scratch(device, parent=_parent(path), user=user) as place:
        moved = user.shell(f"mv {path} {place}/old")
        if moved.status:
            raise DroidheadersError(
                f"{device.name} could not remove {path}: {last_line(moved.stderr)}",
                f"{device.adb} shell ls -ldZ {path}",
            )


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _send(device: Device, user: User, parcel: Parcel, script: str) -> ShellResult:
    """Pack the headers, and send them to `script` as fast as it unpacks."""
    name = printable(device.serial)
    with tempfile.TemporaryFile() as file:
        archive = cast(BinaryIO, file)
        parcel.pack(archive)
        size = archive.tell()
        archive.seek(0)
        with (
            ui.bar(name, size) as bar,
            user.stream(script, idle_timeout=_PATIENCE, fed=True) as stream,
        ):
            stream.write(archive, bar.update)
            return stream.result()


def _follow(stream: ShellStream, what: str, files: int) -> None:
    """Read what a command says, one line a file, to its end."""
    with ui.bar(what, files, unit="file") as bar:
        for chunk in stream:
            bar.update(chunk.count(b"\n"))


def _check_space(device: Device, spot: Spot, parcel: Parcel) -> None:
    if spot.free is not None and spot.free < parcel.needs:
        raise DroidheadersError(
            f"{device.name} has {spot.free >> 20} MiB free at {_parent(spot.path)}, and the headers"
            f" take {-(-parcel.needs >> 20)}",
            f"{device.adb} shell df -h, then choose a place: --to DIR",
        )


def _refused(device: Device, path: str, stderr: bytes) -> DroidheadersError:
    # tar's last words are that it had errors
    reason = last_line(stderr.strip().partition(b"\n")[0])
    if reason == "@case":
        return UsageError(
            f"{device.name}: {path} is on a file system that takes upper and lower case for the"
            " same, where headers such as xt_MARK.h and xt_mark.h would overwrite each other",
            "droidheaders push headers, without --to",
        )
    return DroidheadersError(
        f"{device.name} has no headers at {path}: {reason}",
        f"{device.adb} shell df -h {_parent(path)}",
    )
