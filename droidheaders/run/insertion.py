"""What inserts modules on a device and removes them again: the script, and what it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

NO_LOG = 97
"""The script's exit status where the kernel's log cannot be opened."""

NO_PLACE = 96
"""The script's exit status where the place is not there."""

# The number of the process that reads the log is in a file, which outlives its name.
# dd ends when the kernel has overwritten what it was to read next, and goes on with what there is.
# A trap is undone in what is started from here, unlike a signal that is ignored.
_SCRIPT = """\
trap : HUP PIPE
cd @PLACE || exit @NO_PLACE
say() { echo "@NONCE $*" >&2; }
show() { say $1 /proc/[!0-9]* /proc/driver/* /proc/fs/* /dev/*; }
exec 3</dev/kmsg || exit @NO_LOG
exec 5>.log
l=/proc/self/fd/5
echo "<5>droidheaders: @NONCE begins" >/dev/kmsg
(
  while ! (read p x </proc/self/stat; echo $p >$l; exec dd bs=8192 <&3 2>/dev/null); do :; done
) &
r=$!
{ @QUESTIONS } 4>&2 2>/dev/null >&4 4>&-
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
read go
cd /; rm -rf @PLACE & g=$!
[ "$go" = keep ] || for m in $in; do take $m; done
show after
read t </proc/sys/kernel/tainted; say tainted $t
echo "<5>droidheaders: @NONCE ends" >/dev/kmsg
wait $g && say gone
say end
read go
read p <$l; kill $r $p
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


def script_of(nonce: str, place: str, modules: Sequence[Insertion], questions: str) -> str:
    """Return what inserts `modules`, whose files are in `place`, in this order; sh, for root.

    `questions` are a script of their own. Its words are said after `nonce`; run/inserting.py has
    what they mean.
    """
    puts = [
        " ".join(["put", one.name, one.file, *map(shlex.quote, one.parameters)]) for one in modules
    ]
    script = _SCRIPT
    for name, value in (  # what a person wrote comes last, and nothing in it is put in
        ("@NONCE", nonce),
        ("@PLACE", shlex.quote(place)),
        ("@NO_PLACE", str(NO_PLACE)),
        ("@NO_LOG", str(NO_LOG)),
        ("@NAMES", " ".join(one.name for one in modules)),
        ("@QUESTIONS", questions),
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
