"""Which compiler built a kernel, what of it is on this host, and what another one would break."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from droidheaders.kernel.compiler import Compiler, disagreement
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig, shuffled
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.preflight.compilers import TRIPLES, HostCompiler, find, native, revision
from droidheaders.ui import printable

_PREBUILTS = "https://android.googlesource.com/platform/prebuilts/clang/host/linux-x86"

_OLD_CLANG = 11  # no Debian or Ubuntu of today has older ones
_LLVM = (5, 4)  # make LLVM=1: 5.7, and the stable 5.4
_LLVM_SUFFIX = (5, 18)  # make LLVM=-14, LLVM=/where/it/is/
_KCFI = (6, 1)  # -fsanitize=kcfi in place of jump tables: the top Makefile of 6.1
_KCFI_CLANG = 16  # LLVM's first release with it; Android's own have it from 14.0.7 on


def judge(
    compilers: Mapping[str, Compiler], kernel: KernelIdentity, config: Kconfig | None
) -> Report:
    """Return what the compiler of `kernel` is, and whether this host can build modules with it.

    `compilers` are by the source that names them, such as /proc/version; where they disagree, the
    first counts. Asks at most four programs of this host for their version: 0.02 to 0.1 s.
    """
    built_by = _the_one(compilers)
    arch = _arch(kernel, config)
    hosts = find(built_by, arch) if built_by.family and arch else ()
    links = bool(hosts) and _links(hosts[0], built_by, kernel.release)
    use = _make(hosts[0], built_by, kernel.release, arch) if links else ""
    details = (
        _identity(built_by, compilers),
        _host(built_by, arch, hosts, use if links else None),
        _mismatch(built_by, arch, kernel.release, config, hosts),
    )
    verdict = worst(details)
    answer = next(detail for detail in details if detail.verdict == verdict)
    if verdict == "yes":
        answer = Answer("compiler", "yes", f"{built_by}: {details[1].because}", details[1].hint)
    facts = {
        "family": built_by.family,
        "version": _dotted(built_by.version),
        "linker": printable(built_by.linker),
        "sources": {source: printable(c.text or str(c)) for source, c in compilers.items()},
        "host": [
            {
                "name": printable(host.name),
                "path": printable(host.path),
                "version": _dotted(host.compiler.version),
                "exact": host.exact,
            }
            for host in hosts
        ],
        "use": printable(use, 500),
    }
    return Report(replace(answer, name="compiler"), details, facts)


def _the_one(compilers: Mapping[str, Compiler]) -> Compiler:
    """Return the first that has a family and a version, with a linker from whoever names one."""
    known = [c for c in compilers.values() if c.family]
    known.sort(key=lambda c: not c.version)
    if not known:
        return Compiler("", (), "", "")
    linker = known[0].linker or next((c.linker for c in known if c.linker), "")
    return replace(known[0], linker=linker)


def _arch(kernel: KernelIdentity, config: Kconfig | None) -> str:
    """Return the kernel's architecture; a 32-bit shell of a 64-bit kernel is told armv8l."""
    if kernel.arch == "arm" and config and config.get("ARM64") == "y":
        return "arm64"
    return kernel.arch


def _identity(built_by: Compiler, compilers: Mapping[str, Compiler]) -> Answer:
    if not built_by.family:
        return Answer("identity", "unknown", "nothing names the compiler that built this kernel")
    if differ := disagreement(compilers):
        hint = "/proc/version is the running kernel's; a configuration may be of another build"
        return Answer("identity", "risky", f"the sources disagree: {printable(differ)}", hint)
    sources = " and ".join(source for source, c in compilers.items() if c.family)
    linker = f", linked by {built_by.linker}" if built_by.linker else ""
    return Answer("identity", "yes", f"{built_by}{linker}, by {printable(sources)}")


def _links(here: HostCompiler, built_by: Compiler, release: str) -> bool:
    """Tell whether the linker that this kernel wants is here: LLVM=1 takes no other than ld.lld."""
    lld = built_by.linker_family == "lld" or _numbers(release) >= _LLVM
    return here.compiler.family == "gcc" or bool(here.linker) or not lld


def _host(
    built_by: Compiler, arch: str, hosts: tuple[HostCompiler, ...], use: str | None
) -> Answer:
    """Say what is here; `use` is None when its linker is not."""
    if not built_by.family:
        return Answer("host", "unknown", "no compiler to look for")
    if not arch:
        return Answer("host", "unknown", "the kernel's architecture is not known")
    if not hosts:
        because = f"no {built_by.family} for {printable(arch)} is on PATH"
        return Answer("host", "no", because, _install(built_by, arch))
    best = hosts[0]
    has = f"{printable(best.name)} is {_dotted(best.compiler.version)}"
    if use is None:
        missing = best.compiler if best.exact else built_by
        return Answer("host", "no", f"{has}, without its ld.lld", _install(missing, arch))
    if best.exact:
        return Answer("host", "yes", has, f"make {use}".rstrip())
    because = f"{has}, and nothing is nearer to {built_by}"
    return Answer("host", "risky", because, _install(built_by, arch))


def _install(built_by: Compiler, arch: str) -> str:
    """Return how to get the compiler: Debian's and Ubuntu's names of packages."""
    major = built_by.version[0] if built_by.version else 0
    if built_by.family == "clang":
        version = f"-{major}" if major else ""
        android = revision(built_by)
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


def _mismatch(
    built_by: Compiler,
    arch: str,
    release: str,
    config: Kconfig | None,
    hosts: tuple[HostCompiler, ...],
) -> Answer:
    if not built_by.family or not arch:
        what = "architecture" if built_by.family else "compiler"
        return Answer("mismatch", "unknown", f"the kernel's {what} is not known")
    if not hosts:
        other = {"gcc": "clang", "clang": "gcc"}[built_by.family]
        because = f"{other} refuses flags that a kernel built by {built_by.family} is made with"
        return Answer("mismatch", "no", because)
    here = hosts[0]
    if config is None and not here.exact:
        return Answer("mismatch", "unknown", "no configuration tells what depends on the compiler")
    refused = [*_refused(built_by, here.compiler, release, config or {})]
    unsound = [] if here.exact else _unsound(built_by, here.compiler, release, config or {})
    if refused or unsound:
        verdict: Verdict = "no" if refused else "risky"
        return Answer("mismatch", verdict, "; ".join(refused + unsound))
    if here.exact:
        return Answer("mismatch", "yes", "the compiler here is of the same version")
    return Answer("mismatch", "yes", "no option ties modules to one version of the compiler")


def _refused(
    built_by: Compiler, here: Compiler, release: str, config: Mapping[str, str]
) -> Iterator[str]:
    """Yield what the compiler here will not do, which shows when a module is built."""
    if built_by.family == "gcc" and here.version[: len(built_by.version)] != built_by.version:
        plugins = [n.removeprefix("CONFIG_") for n in config if n.startswith("CONFIG_GCC_PLUGIN_")]
        if used := [name for name in plugins if config[name] == "y"]:
            # plugin_default_version_check in each of scripts/gcc-plugins.
            yield f"{' and '.join(used[:2])}: a plugin works in the one gcc it was made for"
    kcfi = _cfi(config) and _numbers(release) >= _KCFI
    if kcfi and here.family == "clang" and here.version[0] < _KCFI_CLANG and not revision(here):
        yield f"{_cfi(config)} takes -fsanitize=kcfi, which clang {here.version[0]} does not know"


def _unsound(
    built_by: Compiler, here: Compiler, release: str, config: Mapping[str, str]
) -> list[str]:
    """Return what a compiler of another version may do otherwise, and nothing checks."""
    reasons = []
    if here.version < built_by.version:
        reasons.append(f"{here} may refuse flags that Kconfig found {built_by} to take")
    kasan = config.get("CONFIG_KASAN_GENERIC", config.get("CONFIG_KASAN"))
    if built_by.family == "gcc" and kasan == "y":
        # KASAN_ABI_VERSION by version in include/linux/compiler-gcc.h, mm/kasan/kasan.h.
        reasons.append("KASAN: each gcc describes globals to it in its own way")
    if shuffled(config):
        reasons.append("RANDSTRUCT: the compiler shuffles structures, by that build's seed")
    if cfi := _cfi(config):
        what = "hash types" if _numbers(release) >= _KCFI else "number types for jump tables"
        reasons.append(f"{cfi}: both compilers must {what} alike, or calls panic")
    if config.get("CONFIG_LTO_CLANG") == "y":
        reasons.append("LTO_CLANG: ld.lld must be of the same LLVM as clang")
    if config.get("CONFIG_SHADOW_CALL_STACK") == "y":
        reasons.append("SHADOW_CALL_STACK: both must keep their hands off its register")
    return reasons


def _cfi(config: Mapping[str, str]) -> str:
    """Return the option's name where CFI is on: it lost its _CLANG in 2025."""
    return next((n for n in ("CFI_CLANG", "CFI") if config.get(f"CONFIG_{n}") == "y"), "")


def _make(here: HostCompiler, built_by: Compiler, release: str, arch: str) -> str:
    """Return the variables for make by which a kernel of `release` is built with this compiler."""
    version = _numbers(release)
    words = [] if native(arch) else [f"ARCH={arch}"]
    cross = f"CROSS_COMPILE={TRIPLES[arch][0]}" if arch in TRIPLES and not native(arch) else ""
    if here.compiler.family == "gcc":
        words += [f"CROSS_COMPILE={here.prefix}"] if here.prefix else []
        plain = f"{here.prefix}gcc"
        words += [f"CC={shlex.quote(here.name)}"] if here.name != plain else []
    elif version < _LLVM:  # Android's backports to 4.x took CLANG_TRIPLE besides CROSS_COMPILE
        words += [cross, cross and f"CLANG_TRIPLE={TRIPLES[arch][0]}"]
        words.append(f"CC={shlex.quote(here.name)}")
        if built_by.linker_family == "lld":
            words.append(f"LD={shlex.quote(here.linker)}")
    else:
        words.append(_llvm(here, version))
        # Since 5.15 clang's own assembler is the default, and ARCH tells its target.
        words += ["LLVM_IAS=1", cross] if version < (5, 15) else []
    return " ".join(word for word in words if word)


def _llvm(here: HostCompiler, version: tuple[int, ...]) -> str:
    """Return LLVM= for this clang (Documentation/kbuild/llvm.rst)."""
    directory, base = os.path.split(here.name)
    if here.name == "clang":
        return "LLVM=1"
    if version < _LLVM_SUFFIX:
        return f"LLVM=1 CC={shlex.quote(here.name)} LD={shlex.quote(here.linker)}"
    if directory and base == "clang":
        return f"LLVM={shlex.quote(directory)}/"
    if directory:
        return f"LLVM=1 CC={shlex.quote(here.name)} LD={shlex.quote(here.linker)}"
    return f"LLVM={base.removeprefix('clang')}"


def _numbers(release: str) -> tuple[int, ...]:
    """Return a release's first two numbers; one that fits no pattern counts as new."""
    match = re.match(r"(\d{1,3})\.(\d{1,3})", release)
    return (int(match[1]), int(match[2])) if match else (999, 0)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
