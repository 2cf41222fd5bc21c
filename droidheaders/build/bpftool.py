"""What bpftool makes of BTF: C, and BTF with no more than an object needs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from droidheaders.build import tools
from droidheaders.errors import DroidheadersError, HeadersError, UsageError
from droidheaders.headers.bounded import Bounds, ProgramError, Ran, run
from droidheaders.kernel.btf import DECL_TAG, ENUM64, FLOAT, TYPE_TAG
from droidheaders.kernel.btf_sound import kinds_of_sound
from droidheaders.objects.bpf import read_bpf
from droidheaders.ui import printable

_BOUNDS = Bounds(seconds=60, memory=2 << 30, output=64 << 20)  # 0.5 s, 100 MB and 2 MB are usual
# The first bpftool that reads a kind of type. From 6.8 on its version is libbpf's and 6.
_SINCE = {
    FLOAT: ("FLOAT", (5, 13)),
    DECL_TAG: ("DECL_TAG", (5, 16)),
    TYPE_TAG: ("TYPE_TAG", (5, 17)),
    ENUM64: ("ENUM64", (7, 0)),
}


def write_c(bpftool: tools.Tool, btf: Path, directory: Path, whose: str) -> None:
    """Write the types of `btf` as C to vmlinux.h in `directory`.

    Raises HeadersError for BTF that is not sound, DroidheadersError when bpftool cannot read it;
    `whose` calls it in a sentence.
    """
    kinds = _sound(btf, whose)
    with tempfile.TemporaryDirectory(prefix="droidheaders-") as place:
        ran = _run(bpftool, ["btf", "dump", "file", btf, "format", "c"], Path(place))
    if ran.status or "__VMLINUX_H__" not in ran.out:
        raise _failure(bpftool, ran, kinds, f"read the BTF of {whose}")
    (directory / "vmlinux.h").write_text(ran.out)


def least(bpftool: tools.Tool, btf: Path, objects: Sequence[Path], whose: str) -> bytes:
    """Return BTF with no more of `btf` than the relocations of `objects` ask for.

    Raises UsageError for an object that has none or cannot be read, else as `write_c` does.
    """
    kinds = _sound(btf, whose)
    for file in objects:
        _refuse_useless(file)
    with tempfile.TemporaryDirectory(prefix="droidheaders-") as place:
        made = Path(place, "least.btf")
        files = [file.absolute() for file in objects]
        ran = _run(bpftool, ["gen", "min_core_btf", btf, made, *files], Path(place))
        if ran.status or not made.exists():
            raise _failure(bpftool, ran, kinds, f"cut the BTF of {whose}")
        return made.read_bytes()


def _sound(btf: Path, whose: str) -> set[int]:
    try:
        return kinds_of_sound(btf.read_bytes())
    except (OSError, ValueError) as e:
        message = f"the BTF of {whose} {printable(str(e), 200)}"
        raise HeadersError(
            message, "droidheaders cache verify --repair, or droidheaders pull --refresh"
        ) from e


def _run(bpftool: tools.Tool, arguments: Sequence[str | Path], place: Path) -> Ran:
    try:
        return run([bpftool.path, *arguments], place, _BOUNDS)
    except ProgramError as e:
        raise DroidheadersError(f"bpftool {e}", bpftool.install) from e


def _refuse_useless(file: Path) -> None:
    """Raise UsageError for a file that bpftool would refuse with a number."""
    name = printable(str(file), 300)
    try:
        found = read_bpf(file.read_bytes())
    except OSError as e:
        raise UsageError(f"{name} cannot be read: {e.strerror}", "give BPF objects") from e
    except ValueError as e:
        raise UsageError(f"{name} {printable(str(e), 200)}", "give BPF objects") from e
    if not (found.btf and found.ext):
        raise UsageError(f"{name} has no relocations to cut BTF for", "compile it with -g")


def _failure(bpftool: tools.Tool, ran: Ran, kinds: set[int], what: str) -> DroidheadersError:
    """Say what bpftool would need, by the kinds of types that it does not know, or what it said."""
    unknown = [_SINCE[k] for k in sorted(kinds & _SINCE.keys()) if bpftool.version < _SINCE[k][1]]
    if unknown:
        name, since = max(unknown, key=lambda one: one[1])
        return DroidheadersError(
            f"{bpftool} cannot {what}: it has types of kind {name}, which take"
            f" bpftool {tools.dotted(since)}",
            f"{bpftool.install}, of a newer release",
        )
    lines = [line for line in (ran.err + ran.out).splitlines() if line.strip()]
    said = printable(lines[-1], 300) if lines else f"ended with status {ran.status}"
    return DroidheadersError(f"{bpftool} cannot {what}: {said}", bpftool.install)
