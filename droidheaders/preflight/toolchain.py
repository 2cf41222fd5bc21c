"""Which compiler built a kernel, what of it is on this host, and what another one would break."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace

from droidheaders.build import toolchain
from droidheaders.build.compilers import dotted
from droidheaders.build.toolchain import Choice
from droidheaders.kernel.compiler import Compiler, disagreement
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.ui import printable


def judge(
    compilers: Mapping[str, Compiler], kernel: KernelIdentity, config: Kconfig | None
) -> Report:
    """Return what the compiler of `kernel` is, and whether this host can build modules with it.

    `compilers` are by the source that names them, such as /proc/version; where they disagree, the
    first counts. Asks at most four programs of this host for their version: 0.02 to 0.1 s.
    """
    choice = toolchain.look(compilers, kernel, config)
    built_by = choice.built_by
    use = " ".join(f"{name}={shlex.quote(value)}" for name, value in choice.variables.items())
    details = (_identity(built_by, compilers), _host(choice, use), _mismatch(choice, config))
    verdict = worst(details)
    answer = next(detail for detail in details if detail.verdict == verdict)
    if verdict == "yes":
        answer = Answer("compiler", "yes", f"{built_by}: {details[1].because}", details[1].hint)
    facts = {
        "family": built_by.family,
        "version": dotted(built_by.version),
        "linker": printable(built_by.linker),
        "sources": {source: printable(c.text or str(c)) for source, c in compilers.items()},
        "host": [
            {
                "name": printable(host.name),
                "path": printable(host.path),
                "version": dotted(host.compiler.version),
                "exact": host.exact,
            }
            for host in choice.hosts
        ],
        "use": printable(use, 500),
    }
    return Report(replace(answer, name="compiler"), details, facts)


def _identity(built_by: Compiler, compilers: Mapping[str, Compiler]) -> Answer:
    if not built_by.family:
        return Answer("identity", "unknown", "nothing names the compiler that built this kernel")
    if differ := disagreement(compilers):
        hint = "/proc/version is the running kernel's; a configuration may be of another build"
        return Answer("identity", "risky", f"the sources disagree: {printable(differ)}", hint)
    sources = " and ".join(source for source, c in compilers.items() if c.family)
    linker = f", linked by {built_by.linker}" if built_by.linker else ""
    return Answer("identity", "yes", f"{built_by}{linker}, by {printable(sources)}")


def _host(choice: Choice, use: str) -> Answer:
    """Say what is here."""
    if not choice.built_by.family:
        return Answer("host", "unknown", "no compiler to look for")
    if not choice.arch:
        return Answer("host", "unknown", "the kernel's architecture is not known")
    if not choice.linked:
        return Answer("host", "no", toolchain.lacking(choice), choice.install)
    best = choice.hosts[0]
    has = f"{printable(best.name)} is {dotted(best.compiler.version)}"
    if best.exact:
        return Answer("host", "yes", has, f"make {use}".rstrip())
    because = f"{has}, and nothing is nearer to {choice.built_by}"
    return Answer("host", "risky", because, choice.install)


def _mismatch(choice: Choice, config: Kconfig | None) -> Answer:
    if not choice.built_by.family or not choice.arch:
        what = "architecture" if choice.built_by.family else "compiler"
        return Answer("mismatch", "unknown", f"the kernel's {what} is not known")
    if not choice.hosts:
        return Answer("mismatch", "no", toolchain.other_family(choice))
    exact = choice.hosts[0].exact
    if config is None and not exact:
        return Answer("mismatch", "unknown", "no configuration tells what depends on the compiler")
    divergence = choice.divergence(config or {})
    if reasons := divergence.reasons:
        verdict: Verdict = "no" if divergence.refused else "risky"
        return Answer("mismatch", verdict, "; ".join(reasons))
    if exact:
        return Answer("mismatch", "yes", "the compiler here is of the same version")
    return Answer("mismatch", "yes", "no option ties modules to one version of the compiler")
