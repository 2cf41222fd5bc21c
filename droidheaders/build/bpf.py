"""BPF programs, compiled by this host's clang for the kernel of a bundle.

With headers of the kernel's in two steps. The first goes as far as LLVM's IR, without optimising,
and with all of them for the kernel's own target, which understands their inline assembly; then
the same clang makes BPF of that IR, in which no header may have left work for the assembler. llc
does not do: what CO-RE needs is a pass of clang's for BPF (llvm.preserve.* cannot be selected), and
an optimiser that believes in another target leaves code that is not BPF's best.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from droidheaders.build import assembly, libbpf, sources
from droidheaders.build import clang as host
from droidheaders.build.flags import Flags
from droidheaders.build.saying import SGR, shown
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.cache import Bundle, Cache

_ERROR = re.compile(r": (?:fatal )?error: ")
_MISSING = re.compile(r"error: '([^'\n]+)' file not found")


@dataclass(frozen=True)
class Built:
    """What came of one source: the object at `output`, or `error`, and what clang `said` to it.

    `kind` is of sources.KERNEL, USER and CORE: the headers that it was compiled with. `said` is fit
    for a terminal, and has its colours where stderr takes them.
    """

    source: Path
    output: Path
    kind: str
    said: str
    error: DroidheadersError | None = None


@dataclass(frozen=True)
class _Ran:
    kind: str
    status: int
    said: str
    directive: str = ""

    @property
    def plain(self) -> str:
        return SGR.sub("", self.said)


@dataclass(frozen=True)
class Compiler:
    """Clang, turned towards the headers of one bundle.

    `vmlinux` is the directory that holds vmlinux.h, where one was made; `arguments` are the
    person's own, for clang.
    """

    clang: str
    bundle: Bundle
    flags: Flags
    vmlinux: Path | None
    arguments: tuple[str, ...]

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        cache: Cache,
        files: Sequence[Path],
        arguments: Sequence[str] = (),
    ) -> Compiler:
        """Return what compiles `files`, with all that they need beside the headers at hand.

        Raises UsageError when one of them cannot be read, DroidheadersError when there is no clang,
        or neither libbpf's headers nor a way to get them, UnsupportedError for a kernel whose
        architecture has no flags, and for vmlinux.h what `vmlinux_h` raises.
        """
        arguments = tuple(arguments)
        compiler = cls(host.find(), bundle, Flags.of(bundle), None, arguments)
        found = [compiler.includes(file) for file in files]
        if any(name.startswith("bpf/") for one in found for name in one.names):
            libbpf.link(cache, compiler.flags.arch, fetch=True)
        if any(one.vmlinux and not one.own_vmlinux for one in found):
            from droidheaders.build.btf import vmlinux_h

            return replace(compiler, vmlinux=vmlinux_h(bundle, cache))
        return compiler

    def includes(self, file: Path) -> sources.Includes:
        """Return what `file` includes; UsageError when it cannot be read."""
        return sources.read(file, _directories(self.arguments))

    def kinds(self, file: Path) -> list[str]:
        """Return which headers `file` may mean, the likeliest first."""
        return sources.kinds(self.includes(file), self.bundle.headers, self.flags.arch)

    def words(self, kind: str) -> list[str]:
        """Return clang's flags for a program of that kind; what it compiles to is IR for KERNEL."""
        if kind == sources.KERNEL:
            return [*self.flags.kernel(), *self._own()]
        if kind == sources.CORE:
            return [*self.flags.core(self.vmlinux), *self.arguments]
        return [*self.flags.uapi(), *self.arguments]

    def settle(self, file: Path) -> str:
        """Return the kind of a program, by compiling it where its includes do not tell."""
        kinds = self.kinds(file)
        for kind in kinds[:-1]:
            if not self._run([*self.words(kind), "-fsyntax-only", str(file)]).status:
                return kind
        return kinds[-1]

    def compile(self, file: Path, output: Path) -> Built:
        """Compile `file` to `output`, which appears when it is whole; no error is raised."""
        tried = []
        place = output.parent / f".build-{os.urandom(4).hex()}"
        place.mkdir(mode=0o700)
        try:
            for kind in self.kinds(file):
                ran = self._attempt(kind, file, place)
                if not ran.status:
                    (place / "o").replace(output)
                    return Built(file, output, kind, ran.said)
                tried.append(ran)
        finally:
            rmtree(place, ignore_errors=True)
        # Where both fail, the one with less to say has understood the program better.
        best = min(tried, key=lambda ran: len(_ERROR.findall(ran.plain)))
        return Built(file, output, best.kind, best.said, self._error(file, best))

    def _attempt(self, kind: str, file: Path, place: Path) -> _Ran:
        ir, made = place / "ll", str(place / "o")
        if kind == sources.CORE:  # vmlinux.h was looked at when it was made
            return self._run([*self.words(kind), "-c", str(file), "-o", made], kind)
        unoptimised = ["-emit-llvm", "-S", "-Xclang", "-disable-llvm-passes"]
        first = self._run([*self.words(kind), *unoptimised, str(file), "-o", str(ir)], kind)
        if first.status:
            return first
        if named := assembly.directive(ir.read_bytes()):
            return _Ran(kind, 1, first.said, named)
        bpf = ["--target=bpf", "-O2", "-g", *self._cpu(), "-Wno-override-module", "-x", "ir"]
        second = self._run([*bpf, "-c", str(ir), "-o", made], kind)
        return _Ran(kind, second.status, first.said + second.said)

    def _run(self, words: list[str], kind: str = "") -> _Ran:
        color = "-fcolor-diagnostics" if ui.takes_color() else "-fno-color-diagnostics"
        command = [self.clang, color, *words]
        ui.say(printable(shlex.join(command), 20_000), level=1)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
            )
        except OSError as e:
            return _Ran(kind, 127, f"{self.clang}: {e.strerror}\n")
        return _Ran(kind, done.returncode, shown(done.stderr.decode("utf-8", "replace")))

    def _cpu(self) -> list[str]:
        """Return which BPF instructions the person wants used; nothing for another target."""
        return [word for word in self.arguments if word.startswith("-mcpu=")]

    def _own(self) -> list[str]:
        return [word for word in self.arguments if not word.startswith("-mcpu=")]

    def _error(self, file: Path, ran: _Ran) -> DroidheadersError:
        if unfit := host.unfit(self.clang, ran.plain):
            return unfit
        name, kernel = printable(str(file), 500), self.bundle.kernel
        show = f"droidheaders cache show {shlex.quote(printable(self.bundle.name))}"
        if ran.directive:
            return DroidheadersError(
                f"{name} or the headers of {kernel} have the assembler do {ran.directive}, and a"
                " directive could put any file of this host into the object",
                "grep -rn 'asm' in what it includes; BPF programs need no directives",
            )
        if missing := _MISSING.search(ran.plain):
            header = printable(missing[1])
            if header.startswith("bpf/"):
                return DroidheadersError(
                    f"{name} includes {header}, which libbpf's headers here do not have",
                    "sudo apt-get install libbpf-dev, or a newer one",
                )
            return DroidheadersError(
                f"{name} does not compile: the headers of {kernel} have no {header}", show
            )
        if self.bundle.state == "partial":
            return DroidheadersError(
                f"{name} does not compile, and the headers of {kernel} are partial", show
            )
        return DroidheadersError(
            f"{name} does not compile for {kernel}",
            f"correct what clang names; droidheaders -v build bpf {shlex.quote(name)}"
            " prints its commands",
        )


def build(compiler: Compiler, jobs: Sequence[tuple[Path, Path]]) -> list[Built]:
    """Compile each (source, output), as many at once as there are cores; return them in order.

    Raises UsageError for a source that cannot be read or a directory that is none, and
    DroidheadersError from the disk.
    """
    from droidheaders.cache.disk import disk_errors

    for file, output in jobs:
        if not output.parent.is_dir():
            name = printable(str(output.parent), 500)
            raise UsageError(f"there is no directory {name}", f"mkdir -p {shlex.quote(name)}")
        if output.is_dir() or output.resolve() == file.resolve():
            raise UsageError(f"{printable(str(output), 500)} cannot be the object", "-o ANOTHER")

    def one(job: tuple[Path, Path]) -> Built:
        with disk_errors(job[1].parent, "the directory", "-o"):
            return compiler.compile(*job)

    return _spread(one, jobs)


def _spread(
    one: Callable[[tuple[Path, Path]], Built], jobs: Sequence[tuple[Path, Path]]
) -> list[Built]:
    if len(jobs) == 1:
        return [one(jobs[0])]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(one, jobs))


def outputs(files: Sequence[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Return each source with its object: in the current directory, named .o in place of .c.

    `output` is the object of the one source, or a directory for all. Raises UsageError when two
    sources would have one object.
    """
    if output is not None and not output.is_dir():
        if len(files) > 1:
            raise UsageError(
                f"{printable(str(output), 500)} is no directory for {len(files)} objects",
                "give -o a directory that is there",
            )
        return [(files[0], output)]
    directory = output or Path()
    jobs = [(file, directory / file.with_suffix(".o").name) for file in files]
    seen: dict[Path, Path] = {}
    for file, made in jobs:
        if (other := seen.setdefault(made, file)) != file:
            both = f"{printable(str(other), 500)} and {printable(str(file), 500)}"
            raise UsageError(f"{both} would both be {made.name}", "build them one by one, with -o")
    return jobs


def _directories(arguments: Sequence[str]) -> list[Path]:
    """Return where the person's -I and -iquote have clang look for headers."""
    found: list[Path] = []
    words = iter(arguments)
    for word in words:
        options = [option for option in ("-iquote", "-I") if word.startswith(option)]
        found += [Path(word.removeprefix(option) or next(words, ".")) for option in options]
    return found
