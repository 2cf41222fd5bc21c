"""Modules that are put into a kernel and taken out again: one script on the device, and its words.

The kernel's log comes on the script's stdout, its own words on stderr, each after a nonce. It waits
for a line on stdin where the host decides. When nobody is there any more, stdin ends, and it takes
out what it put in.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from droidheaders.errors import DroidheadersError
from droidheaders.run.kmsg import Kmsg, Line
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Root, Session

_NO_LOG = 97
_LONGEST = 1 << 20  # bytes of a line of the script's; a listing has 10 KiB

# dd ends when the kernel has overwritten what it was to read next, and goes on with what there is.
# A trap is undone in what is started from here, unlike a signal that is ignored.
_SCRIPT = """\
trap : HUP PIPE
say() { echo "@NONCE $*" >&2; }
show() { say $1 /proc/[!0-9]* /proc/driver/* /proc/fs/* /dev/*; }
cd @PLACE && exec 3</dev/kmsg || exit @NO_LOG
echo "<5>droidheaders: @NONCE begins" >/dev/kmsg
(
  while ! (read p x </proc/self/stat; echo $p >.log; exec dd bs=8192 <&3 2>/dev/null); do :; done
) &
r=$!
show before
for m in @NAMES; do
  d=/sys/module/$m; [ ! -d $d ] || { i=; read i <$d/initstate; say present $m $i; }
done
say ready
put() { m=$1; shift; insmod "$@"; s=$?; say put $m $s; [ $s = 0 ] && in="$m $in"; }
take() {
  rmmod $1; s=$?; say took $1 $s; [ $s = 0 ] && return
  d=/sys/module/$1; read n <$d/refcnt; read i <$d/initstate; say stuck $1 $n $i $(ls $d/holders)
}
in=; read go; [ "$go" = go ] && { @PUTS; }
show live
say loaded
read go; [ "$go" = keep ] || for m in $in; do take $m; done
show after
read t </proc/sys/kernel/tainted; say tainted $t
echo "<5>droidheaders: @NONCE ends" >/dev/kmsg
say end
read go
read p <.log; kill $r $p
exit 0
"""


@dataclass(frozen=True)
class Insertion:
    """A module that is to be inserted: its name in the kernel, its file in the place, parameters.

    A parameter is NAME=VALUE, as the kernel takes it.
    """

    name: str
    file: str
    parameters: tuple[str, ...] = ()


@dataclass
class Stuck:
    """A module that could not be removed: what was said, who uses it and in what state it is."""

    said: str
    references: str = ""
    state: str = ""
    holders: tuple[str, ...] = ()

    def __str__(self) -> str:
        by = f" by {', '.join(self.holders)}" if self.holders else ""
        if self.state not in ("live", ""):
            return f"it is {'still in its init' if self.state == 'coming' else 'going'}"
        return f"in use{by}, {self.references} references" if self.references != "0" else self.said


@dataclass
class Told:
    """What the script has said so far.

    `present` are modules that were there before, with the state each is in; `refused` is one with
    insmod's status and words.
    """

    present: dict[str, str] = field(default_factory=dict)
    ready: bool = False
    inserted: list[str] = field(default_factory=list)
    refused: tuple[str, int, str] | None = None
    loaded: bool = False
    removed: list[str] = field(default_factory=list)
    stuck: dict[str, Stuck] = field(default_factory=dict)
    tainted: int | None = None
    ended: bool = False
    shown: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def left(self) -> list[str]:
        """What came with the modules below /proc and /dev, and did not go with them."""
        none: frozenset[str] = frozenset()
        before, live, after = (self.shown.get(key, none) for key in ("before", "live", "after"))
        return sorted(printable(path) for path in (live & after) - before)


class Inserter:
    """The script while it runs as root in `place`; a context manager, which hangs up on leaving.

    Reading raises what Session.read raises.
    """

    def __init__(self, root: Root, place: str, modules: Sequence[Insertion]) -> None:
        self.told = Told()
        self._nonce = os.urandom(8).hex()
        self._begin, self._end = (f"droidheaders: {self._nonce} {w}s" for w in ("begin", "end"))
        self.begun = self.drained = False
        self.kmsg = Kmsg()
        self._said = b""
        self._words: list[str] = []
        self._session: Session = root.session(_script(self._nonce, place, modules))

    def __enter__(self) -> Inserter:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @property
    def status(self) -> int | None:
        """The script's exit status, None while it runs."""
        return self._session.status

    def tell(self, word: str) -> None:
        """Answer the script: go, keep or remove."""
        self._session.write(f"{word}\n".encode())

    def read(self, timeout: float | None) -> list[Line]:
        """Return what the kernel logged since the modules' run began, and note what was told.

        Empty when nothing came in time, or the script has ended.
        """
        lines: list[Line] = []
        for piece in self._session.read(timeout):
            if piece.error:
                self._hear(piece.data)
            else:
                lines += self._since(self.kmsg.feed(piece.data))
        return lines

    @property
    def reason(self) -> str:
        """What the script's commands said last that is no word of its own, fit for a sentence."""
        return printable(" ".join(self._words[-2:])) or "no reason given"

    @property
    def has_log(self) -> bool:
        """Whether the kernel's log could be opened, as far as is known."""
        return self.status != _NO_LOG

    def _since(self, lines: list[Line]) -> list[Line]:
        found = []
        for line in lines:
            if self._begin in line.text:
                self.begun, self.kmsg.lost = True, 0
            elif self._end in line.text:
                self.drained = True
            elif self.begun and not self.drained:
                found.append(line)
        return found

    def _hear(self, data: bytes) -> None:
        *lines, self._said = (self._said + data).split(b"\n")
        self._said = self._said[:_LONGEST]
        for line in lines:
            nonce, _, rest = line.decode("utf-8", "replace").partition(" ")
            if nonce == self._nonce:
                self._note(*rest.split())
            elif line.strip():
                self._words = [*self._words[-8:], printable(f"{nonce} {rest}".strip())]

    def _note(self, word: str = "", *rest: str) -> None:
        told = self.told
        if word in ("before", "live", "after"):
            told.shown[word] = frozenset(rest)
        elif word == "present":
            told.present[rest[0] if rest else ""] = rest[1] if len(rest) > 1 else "built in"
        elif word == "ready":
            told.ready = True
            self._words.clear()
        elif word == "put":
            self._put(*rest)
        elif word == "loaded":
            told.loaded = True
        elif word == "took":
            self._took(*rest)
        elif word == "stuck":
            self._stuck(*rest)
        elif word == "tainted":
            told.tainted = int(rest[0]) if rest and rest[0].isdecimal() else None
        elif word == "end":
            told.ended = True

    def _put(self, name: str = "", status: str = "1") -> None:
        if status == "0":
            self.told.inserted.append(name)
        else:
            self.told.refused = name, int(status) if status.isdecimal() else 1, self.reason
        self._words.clear()

    def _took(self, name: str = "", status: str = "1") -> None:
        if status == "0":
            self.told.removed.append(name)
        else:
            self.told.stuck[name] = Stuck(self.reason)
        self._words.clear()

    def _stuck(self, name: str = "", count: str = "", state: str = "", *holders: str) -> None:
        if stuck := self.told.stuck.get(name):
            stuck.references, stuck.state = printable(count, 20), printable(state, 20)
            stuck.holders = tuple(printable(one, 64) for one in holders[:8])


def _script(nonce: str, place: str, modules: Sequence[Insertion]) -> str:
    puts = [
        " ".join(["put", one.name, one.file, *map(shlex.quote, one.parameters)]) for one in modules
    ]
    script = _SCRIPT
    for name, value in (  # what a person wrote comes last, and nothing in it is put in
        ("@NONCE", nonce),
        ("@PLACE", shlex.quote(place)),
        ("@NO_LOG", str(_NO_LOG)),
        ("@NAMES", " ".join(one.name for one in modules)),
        ("@PUTS", " && ".join(puts)),
    ):
        script = script.replace(name, value)
    return script


def parameter(text: str) -> str:
    """Return NAME=VALUE as the kernel takes it apart: a value with blanks is in double quotes.

    parse_args() of kernel/params.c; ValueError, the end of a sentence, for what it cannot be told.
    """
    name, equals, value = text.partition("=")
    if not name.replace("-", "_").isidentifier():
        raise ValueError("is no NAME=VALUE")
    if "\n" in value or "\0" in value or ('"' in value and (" " in value or "\t" in value)):
        raise ValueError("has a value that the kernel takes no module's parameter to have")
    blank = any(one in value for one in " \t")
    return f'{name}{equals}"{value}"' if blank else text


BEGUN = re.compile(r"droidheaders: [0-9a-f]{16} begins")
"""The line of the kernel's log, or of a console that shows notices, at which a run begins."""


def no_log(root: Root) -> DroidheadersError:
    """Return the error that the kernel's log cannot be followed."""
    return DroidheadersError(
        f"{root.device.name} does not let root read /dev/kmsg, by which a module is watched",
        f"{root.device.adb} shell su 0 ls -lZ /dev/kmsg",
    )
