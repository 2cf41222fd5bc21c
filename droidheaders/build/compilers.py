"""The compilers on this host that could take the place of the one that built a kernel."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from droidheaders.kernel.compiler import Compiler, parse
from droidheaders.kernel.identity import KernelIdentity

_SECONDS = 5.0  # for all of them; each answers in 0.02 to 0.05
_ASKED = 4

_PREBUILTS = "https://android.googlesource.com/platform/prebuilts/clang/host/linux-x86"
_OLD_CLANG = 11  # no Debian or Ubuntu of today has older ones

# CROSS_COMPILE by the kernel's architecture, Debian's first: scripts/Makefile.clang has the same
# for clang. The others are of Android's prebuilt gcc and of Arm's own toolchain.
TRIPLES = {
    "arm64": ("aarch64-linux-gnu-", "aarch64-none-linux-gnu-", "aarch64-linux-android-"),
    "arm": (
        "arm-linux-gnueabi-",
        "arm-linux-gnueabihf-",
        "arm-none-linux-gnueabihf-",
        "arm-linux-androideabi-",
    ),
    "riscv": ("riscv64-linux-gnu-", "riscv64-unknown-linux-gnu-"),
    "x86": ("x86_64-linux-gnu-",),
}


@dataclass(frozen=True)
class HostCompiler:
    """A compiler on this host: where it is, what it says of itself.

    `name` is what to type: the path, when PATH finds another by that name. `prefix` is
    CROSS_COMPILE, "" for clang and for a host's own gcc. `linker` is the ld.lld that belongs to a
    clang, named as `name` is, or "". `exact` says that it has the wanted major and minor version.
    """

    name: str
    path: str
    compiler: Compiler
    exact: bool
    prefix: str = ""
    linker: str = ""


@dataclass(frozen=True)
class _Candidate:
    name: str
    path: str
    prefix: str
    version: tuple[int, ...]  # as its name tells, or ()


def native(arch: str) -> bool:
    """Tell whether `arch`, a name below arch/, is this host's own."""
    return KernelIdentity("", "", os.uname().machine, "").arch == arch


def revision(compiler: Compiler) -> str:
    """Return Android's name of a clang, such as r450784e, or "" when it is none of Android's."""
    match = re.search(r"\bbased on (r\d+[a-z]?\d*)\b", compiler.text)
    return match[1] if match else ""


def install(wanted: Compiler, arch: str) -> str:
    """Return how to get a compiler for `arch`: Debian's and Ubuntu's names of packages."""
    major = wanted.version[0] if wanted.version else 0
    if wanted.family == "clang":
        version = f"-{major}" if major else ""
        android = revision(wanted)
        name = f"clang-{android}" if android else f"a clang {major}"
        prebuilt = f"put {name} of {_PREBUILTS} on PATH"
        if 0 < major < _OLD_CLANG:
            return prebuilt
        install = f"sudo apt-get install clang{version} lld{version} llvm{version}"
        return f"{install}, or {prebuilt}" if android else install
    if 0 < major < 5:  # Android's own, which ended in 2020
        return "take Android's gcc 4.9: LineageOS has it as android_prebuilts_gcc_linux-x86"
    gcc = f"gcc-{major}" if major else "gcc"
    if native(arch) or arch not in TRIPLES:
        return f"sudo apt-get install {gcc}"
    triple = TRIPLES[arch][0].rstrip("-").replace("_", "-")
    return f"sudo apt-get install {gcc}-{triple}"


def find(wanted: Compiler, arch: str) -> tuple[HostCompiler, ...]:
    """Return the compilers on PATH of the family of `wanted` for `arch`, the nearest first.

    At most four are asked for their version, all at once: those whose names promise most. A
    compiler that does not answer in time is not there.
    """

    def promise(candidate: _Candidate) -> int:
        return _distance(candidate.version, wanted.version)

    candidates = sorted(_candidates(wanted.family, arch), key=promise)[:_ASKED]
    found = []
    for candidate, said in zip(candidates, _ask([c.path for c in candidates]), strict=True):
        compiler = parse(said)
        if compiler.family == wanted.family and compiler.version:
            found.append(_host_compiler(candidate, compiler, wanted))
    return tuple(sorted(found, key=lambda host: _rank(host, wanted)))


def _host_compiler(candidate: _Candidate, compiler: Compiler, wanted: Compiler) -> HostCompiler:
    return HostCompiler(
        name=candidate.name,
        path=candidate.path,
        compiler=compiler,
        exact=compiler.version[:2] == (*wanted.version, 0)[:2],
        prefix=candidate.prefix,
        linker=_linker(candidate) if compiler.family == "clang" else "",
    )


def _linker(candidate: _Candidate) -> str:
    directory, base = os.path.split(candidate.path)
    beside = base.replace("clang", "ld.lld")
    if not os.access(os.path.join(directory, beside), os.X_OK):
        return ""
    return os.path.join(os.path.dirname(candidate.name), beside)


def _rank(host: HostCompiler, wanted: Compiler) -> tuple[int, bool, bool, bool]:
    """Return a key that sorts the nearest version first, then Android's same build."""
    return (
        _distance(host.compiler.version, wanted.version),
        revision(host.compiler) != revision(wanted),
        wanted.family == "clang" and not host.linker,
        "/" in host.name,
    )


def _distance(version: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    """Return how far a version is; one that is not known is worth asking for."""
    if not version or not wanted:
        return 0
    minors = abs((*version, 0)[1] - (*wanted, 0)[1]) if len(version) > 1 else 0
    return abs(version[0] - wanted[0]) * 1000 + min(minors, 999)


def _candidates(family: str, arch: str) -> list[_Candidate]:
    """Return the compilers on PATH, each file once: by the name that has its linker, or the first.

    Debian's lld-14 comes without the ld.lld that LLVM=1 would take, so there it is clang-14.
    """
    best: dict[str, _Candidate] = {}
    for candidate in _named(family, arch):
        real = os.path.realpath(candidate.path)
        # ccache stands in front of compilers that come later on PATH.
        if os.path.basename(real) == "ccache":
            continue
        other = best.setdefault(real, candidate)
        if family == "clang" and _linker(candidate) and not _linker(other):
            best[real] = candidate
    return list(best.values())


def _named(family: str, arch: str) -> Iterator[_Candidate]:
    """Yield every name on PATH that is one of a compiler of `family` for `arch`."""
    prefixes = list(TRIPLES.get(arch, ())) if family == "gcc" else []
    if family == "clang" or (family == "gcc" and native(arch)):
        prefixes.append("")
    if not prefixes:
        return
    pattern = re.compile(rf"({'|'.join(prefixes)}){family}(?:-(\d{{1,9}}(?:\.\d{{1,9}})*))?")
    names: set[str] = set()
    for directory in dict.fromkeys(os.environ.get("PATH", os.defpath).split(os.pathsep)):
        for name in _listed(directory):
            path = os.path.join(directory, name)
            if (match := pattern.fullmatch(name)) and os.access(path, os.X_OK):
                version = tuple(map(int, match[2].split("."))) if match[2] else ()
                yield _Candidate(path if name in names else name, path, match[1], version)
                names.add(name)


def _listed(directory: str) -> list[str]:
    """Return a directory's names: the shortest first, which are the ones to type."""
    if os.path.isabs(directory):
        with suppress(OSError):
            return sorted(os.listdir(directory), key=lambda name: (len(name), name))
    return []


def _ask(paths: list[str]) -> list[str]:
    """Return the first line of what each says to --version, or ""."""
    running = [_start(path) for path in paths]
    until = time.monotonic() + _SECONDS
    return [_answer(process, until) if process else "" for process in running]


def _start(path: str) -> subprocess.Popen[bytes] | None:
    with suppress(OSError):
        return subprocess.Popen(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    return None


def _answer(process: subprocess.Popen[bytes], until: float) -> str:
    with process:
        try:
            out, _ = process.communicate(timeout=max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            return ""
    return out.partition(b"\n")[0].decode("utf-8", "replace")


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
