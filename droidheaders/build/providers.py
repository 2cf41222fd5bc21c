"""Where a kdir takes Makefiles and host tools from: what kheaders leave out.

They need not be of the same kernel, but of the same major.minor: what they do is told by the
configuration, and the headers are the bundle's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from droidheaders.debian.arch import DEBIAN_ARCH, host_arch
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Package, Packages, unpack
from droidheaders.debian.place import cache_dir, locked
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.ui import printable, ui

SUITES = {
    (5, 10): ("bullseye",),
    (6, 1): ("bookworm",),
    # The first is built for the older C library, which more hosts have.
    (6, 12): ("bookworm-backports", "trixie"),
}
"""The suites of Debian that have the packages, by the kernel's number."""

_INCLUDES = re.compile(r"^include\s+(/\S+)/Makefile\s*$", re.MULTILINE)
_TOOLS = ("scripts/basic/fixdep", "scripts/mod/modpost.real-lsb-64", "scripts/mod/modpost")
_OBJTOOL = ("tools/objtool/objtool.real-x86", "tools/objtool/objtool")
_SECONDS = 10


@dataclass(frozen=True)
class Provider:
    """Makefiles and host tools of one kernel version.

    `makefiles` holds Makefile and arch/*/Makefile, `scripts` and `tools` are its directories of
    those names, with programs that run on this host; `tools` need not be there. `key` stands for
    its content.
    """

    name: str
    number: tuple[int, int]
    makefiles: Path
    scripts: Path
    tools: Path
    key: str

    def fits(self, number: tuple[int, int], kernel: str, arch: str) -> None:
        """Raise DroidheadersError unless its Makefiles are that kernel's, for arch/NAME."""
        if self.number != number:
            raise UsageError(
                f"{kernel} is built with the Makefiles of {dotted(number)}, and {self.name} is"
                f" {dotted(self.number)}",
                f"give a tree of {dotted(number)}: --source TREE or --provider DIR",
            )
        if not (self.makefiles / "arch" / arch / "Makefile").is_file():
            raise DroidheadersError(
                f"{self.name} has no arch/{arch}/Makefile, which {kernel} is built with",
                "give a whole tree: --source TREE or --provider DIR",
            )

    def check(self, number: tuple[int, int], kernel: str, arch: str) -> None:
        """Raise DroidheadersError unless it serves that kernel, for arch/NAME, on this host."""
        self.fits(number, kernel, arch)
        for group in (_TOOLS[:1], _TOOLS[1:], *([_OBJTOOL] if arch == "x86" else [])):
            self._runs(group)

    def _runs(self, names: tuple[str, ...]) -> None:
        """Raise DroidheadersError unless the first of the programs that is there can be started."""
        for name in names:
            top, _, rest = name.partition("/")
            path = (self.scripts if top == "scripts" else self.tools) / rest
            if path.is_file():
                if why := why_not(path):
                    raise DroidheadersError(
                        f"{name} of {self.name} does not run on this host: {why}",
                        "give a tree whose tools do: --source TREE",
                    )
                return
        if names != _OBJTOOL:  # which only some configurations need
            raise DroidheadersError(
                f"{self.name} has no {names[-1]}, which modules are built with",
                "give a tree that is built, or one that can be: --source TREE",
            )


def why_not(program: Path) -> str:
    """Return why a host tool cannot be started, or ""."""
    try:
        done = subprocess.run(
            [str(program)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env=os.environ | {"LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return ""
    except OSError as e:
        return (e.strerror or str(e)).lower()
    said = done.stderr.decode("utf-8", "replace")
    if found := re.search(r"version `(\S+)' not found", said):
        return f"it needs {found[1]}, and the C library here is older"
    if found := re.search(r"loading shared libraries: (\S+):", said):
        return f"{found[1]} is not here"
    return ""


def of_directory(path: Path) -> Provider:
    """Return the provider that is at `path`: a kernel's build tree, /lib/modules/*/build, a kdir.

    Raises UsageError for what is none.
    """
    shown = printable(str(path), 500)
    build = path.resolve()
    makefiles = build
    try:
        if (build / "kernel.mk").is_file():  # a kdir
            makefiles = (build / "kernel.mk").resolve().parent
        elif found := _INCLUDES.search((build / "Makefile").read_text("utf-8", "replace")):
            makefiles = Path(found[1])
        number = version(makefiles / "Makefile")
    except OSError as e:
        raise UsageError(
            f"{shown} is no kernel tree: {printable(str(e.filename), 500)}: {e.strerror}",
            "give a directory with a kernel's Makefile: --provider /lib/modules/X/build",
        ) from e
    if number is None or not (build / "scripts/Makefile.build").is_file():
        raise UsageError(f"{shown} is no kernel tree", "give a directory with a kernel's Makefile")
    scripts, tools = build / "scripts", build / "tools"
    return Provider(shown, number, makefiles, scripts, tools, digest(makefiles, scripts, tools))


def version(makefile: Path) -> tuple[int, int] | None:
    """Return VERSION and PATCHLEVEL of a kernel's top Makefile."""
    text = makefile.read_text("utf-8", "replace")[:4096]
    values = dict(re.findall(r"^(VERSION|PATCHLEVEL) = (\d{1,4})$", text, re.MULTILINE))
    return (int(values["VERSION"]), int(values["PATCHLEVEL"])) if len(values) == 2 else None


def digest(makefiles: Path, scripts: Path, tools: Path) -> str:
    """Return what changes with the files that a module is built by, without reading them all."""
    files = [makefiles / "Makefile", scripts / "Makefile.build", scripts / "Makefile.modfinal"]
    files += [scripts / "mod/modpost", scripts / "basic/fixdep", tools / "objtool/objtool"]
    stated = [str(makefiles), str(scripts), str(tools)]
    for file in files:
        if file.is_file():
            info = file.stat()
            stated.append(f"{info.st_size} {info.st_mtime_ns}")
    return hashlib.sha256("\n".join(stated).encode()).hexdigest()[:16]


def of_debian(number: tuple[int, int], kernel: str, *, fetch: bool = True) -> Provider:
    """Return Debian's packages of that version, fetched on first use (10 MB) and kept.

    linux-headers-*-common has the Makefiles of every architecture, linux-kbuild-* the programs for
    this host's. Raises DroidheadersError where Debian has none, they cannot be had, or they are not
    here and may not be fetched.
    """
    if number not in SUITES:
        known = ", ".join(dotted(one) for one in SUITES)
        raise DroidheadersError(
            f"Debian has no Makefiles and host tools of {dotted(number)} for {kernel}: it has"
            f" {known}",
            "give a source tree of that version: droidheaders kdir --source TREE",
        )
    place = cache_dir() / "kbuild" / f"{dotted(number)}-{host_arch()}"
    if not place.is_dir():
        if not fetch:
            raise DroidheadersError(
                f"Makefiles and host tools of {dotted(number)} for {kernel} are not here yet",
                "droidheaders kdir, which fetches them from Debian",
            )
        with locked():
            if not place.is_dir():
                _fetch(number, place)
    common = next(iter(sorted(place.glob("usr/src/linux-headers-*-common"))), None)
    if common is None:
        raise DroidheadersError(f"{place} is damaged", f"rm -r {shlex.quote(str(place))}")
    scripts, tools = common / "scripts", common / "tools"
    name = f"Debian's {common.name} in {place}"
    return Provider(name, number, common, scripts, tools, digest(common, scripts, tools))


def _fetch(number: tuple[int, int], place: Path) -> None:
    host = host_arch()
    failed: DroidheadersError | None = None
    for suite in SUITES[number]:
        packages = Packages(cache_dir(), mirror(), [suite], host)
        ui.say(f"fetching Makefiles and host tools of {dotted(number)} from Debian {suite}")
        packages.update()
        try:
            wanted = _wanted(packages, number)
        except DroidheadersError as e:
            failed = failed or e
            continue
        new = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
        try:
            unpack(packages.fetch(wanted), new)
            new.rename(place)
        finally:
            rmtree(new, ignore_errors=True)
        return
    assert failed
    raise failed


def _wanted(packages: Packages, number: tuple[int, int]) -> list[Package]:
    """Return the newest common headers of that version, and the host tools that go with them."""
    start = dotted(number)
    pattern = re.compile(rf"linux-headers-({re.escape(start)}\.[\w.+~-]+)-common")
    found = [m for n in packages.names(f"linux-headers-{start}.") if (m := pattern.fullmatch(n))]
    if not found:
        raise DroidheadersError(
            f"Debian's suite has no linux-headers of {start}",
            "give a source tree of that version: droidheaders kdir --source TREE",
        )
    newest = max(found, key=lambda match: _natural(match[1]))
    tools = packages.names(f"linux-kbuild-{start}")
    kbuild = next((n for n in tools if n == f"linux-kbuild-{newest[1]}"), f"linux-kbuild-{start}")
    return packages.find([newest[0], kbuild], DEBIAN_ARCH[host_arch()])


def _natural(version: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", version)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def dotted(number: tuple[int, int]) -> str:
    """Return a version as people write it."""
    return f"{number[0]}.{number[1]}"
