"""`make M=DIR`, with what it says and what came of it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from droidheaders.build.paths import is_split
from droidheaders.build.saying import shown
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.ui import printable

# What a make around us, or the environment of another kernel, would say to this one.
_FOREIGN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "O", "M", "MO", "KDIR")
_CHOOSING = ("ARCH", "SUBARCH", "CROSS_COMPILE", "LLVM", "LLVM_IAS", "CLANG_TRIPLE")
_PRODUCT = re.compile(
    r".*\.(o|ko|mod|mod\.c|a|cmd|symversions|lto\.o)|\..*\.cmd|\.tmp_.*"
    r"|Module\.symvers|modules\.order|\.git|\.hg|\.svn"
)
_UNDEFINED = re.compile(r'modpost: "([\w.$]{1,500})" \[(.{1,4000})\] undefined!')


@dataclass(frozen=True)
class Made:
    """What make did: the modules it built, and what `undefined` symbols each of them asks for.

    `status` is make's own.
    """

    status: int
    modules: tuple[Path, ...]
    undefined: Mapping[str, tuple[str, ...]]


def directory(path: Path) -> Path:
    """Return an external module's directory, absolute; UsageError when it is none that make takes.

    Kbuild has its files in words of make's, which a blank would split.
    """
    shown = printable(str(path), 500)
    here = Path(os.path.abspath(path))
    if not any((here / name).is_file() for name in ("Kbuild", "Makefile")):
        raise UsageError(
            f"{shown} has no Kbuild and no Makefile", "give a module's directory: obj-m := NAME.o"
        )
    fit(here)
    return here


def fit(path: Path) -> None:
    """Raise UsageError for a path with what make takes for something else, = for a variable."""
    if is_split(path) or "=" in str(path):
        shown = printable(str(path), 500)
        raise UsageError(
            f"make takes no blank, no colon and no = in a path, such as in {shown}",
            f"ln -s {shlex.quote(shown)} /tmp/module, and build that",
        )


def mirror(source: Path, build: Path) -> None:
    """Make `build` a directory of links to the files below `source`, without what was built there.

    So the source stays clean with every kernel; make has MO= since 6.13. What was removed from the
    source goes from there too. Raises UsageError where a file of somebody else's is in the way.
    """
    build.mkdir(parents=True, exist_ok=True)
    for path in sources(source, build):
        target = build / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(path, target)
    for place, inner, files in os.walk(build):
        for name in [*inner, *files]:
            path = Path(place, name)
            if path.is_symlink() and not path.exists():
                path.unlink()


def sources(directory: Path, build: Path | None = None) -> Iterator[Path]:
    """Yield the files below a module's directory that were not built there, nor are in `build`."""
    top = build.resolve() if build else None
    for place, inner, files in os.walk(directory, followlinks=True):
        inner[:] = [name for name in inner if _is_followed(Path(place, name), top)]
        for name in files:
            if not _PRODUCT.fullmatch(name) and Path(place, name).exists():
                yield Path(place, name)


def _is_followed(path: Path, top: Path | None) -> bool:
    """Tell whether a directory is mirrored: no product, not the mirror, no link to above itself."""
    found = path.resolve()
    return not (_PRODUCT.fullmatch(path.name) or found == top or found in path.absolute().parents)


def _link(source: Path, target: Path) -> None:
    if target.is_symlink():
        if target.readlink() == source:
            return
        target.unlink()
    elif target.exists():
        raise UsageError(
            f"{printable(str(target), 500)} is there and is no link to the source", "-o ANOTHER"
        )
    target.symlink_to(source)


def make(
    kdir: Path,
    build: Path,
    variables: Mapping[str, str],
    arguments: Sequence[str],
    tell: Callable[[str], None],
) -> Made:
    """Run make for the module in `build`, and return what came of it.

    `variables` are `Toolchain.variables`, `arguments` the person's own, which count for more. Each
    line that make or the compiler says is handed to `tell` as it comes, safe for a terminal.
    Raises DroidheadersError when there is no make.
    """
    goals = [word for word in arguments if not word.startswith("-") and "=" not in word]
    words = ["make", "-C", str(kdir), f"M={build}"]
    words += [f"{name}={value}" for name, value in variables.items()]
    if not any(word.startswith(("-j", "--jobs")) for word in arguments):
        words.append(f"-j{os.cpu_count() or 1}")
    words += [*arguments, *([] if goals else ["modules"])]
    undefined: dict[str, list[str]] = {}

    def hear(line: str) -> None:
        tell(shown(line.rstrip("\n")))
        if found := _UNDEFINED.search(line):
            names = undefined.setdefault(found[2], [])
            names += [found[1]] if found[1] not in names else []

    status = _run(words, hear)
    built = tuple(_modules(build)) if not status and not goals else ()
    return Made(status, built, {name: tuple(symbols) for name, symbols in undefined.items()})


def _run(words: list[str], hear: Callable[[str], None]) -> int:
    """Run make, hand on each line that it says, and return its status."""
    dropped = {*_FOREIGN, *_CHOOSING}
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={name: value for name, value in os.environ.items() if name not in dropped},
        )
    except OSError as e:
        raise DroidheadersError(
            f"make cannot be run: {e.strerror}", "sudo apt-get install make"
        ) from e
    with process:
        assert process.stdout
        try:
            for line in process.stdout:
                hear(line)
        except BaseException:
            process.terminate()  # make takes its half-made files away
            raise
    return process.returncode


def _modules(build: Path) -> list[Path]:
    """Return what modules.order names: objects since 6.2, and below the directory since 6.12."""
    try:
        lines = (build / "modules.order").read_text("utf-8", "replace").split("\n")
    except OSError:
        return []
    found = [build / re.sub(r"\.o$", ".ko", line) for line in lines if line]
    return [path for path in found if path.is_file()]
