"""Whether the CRCs of the symbols that a module asks for are the kernel's."""

from __future__ import annotations

from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer, Verdict
from droidheaders.preflight.asking import before, modversions, on
from droidheaders.preflight.module_file.insmod import EXEC_FORMAT
from droidheaders.preflight.module_file.symbols import exported, named, wanted
from droidheaders.preflight.target import Target
from droidheaders.ui import printable


def differing(module: Module, target: Target) -> dict[str, tuple[int, int]]:
    """Return the symbols whose CRC is not the kernel's: the module's, and the kernel's."""
    theirs = exported(target)
    found = {}
    for name, crc in (module.versions or {}).items():
        export = theirs.get(name)
        if export and export.crc is not None and export.crc != crc:
            found[name] = (crc, export.crc)
    return dict(sorted(found.items()))


def versions(module: Module, target: Target) -> Answer:
    """Answer what the kernel does where the module has no CRC: kernel/module/version.c.

    An empty section: it warns once and goes on, since 4.9 (faaae2a58143; before, it refused). No
    section: try_to_force_load().
    """
    name, ours = "versions", module.versions
    compared = modversions(target)
    hint = "build it with this kernel's Module.symvers"
    if compared is False:
        return Answer(name, "yes", "the kernel has no MODVERSIONS, so it needs none")
    if ours is None:
        return _without_section(compared, on(target, "MODULE_FORCE_LOAD"), hint)
    lacking = wanted(module) - ours.keys()
    if not lacking:
        return Answer(name, "yes", f"it has a CRC for each of {len(wanted(module))} symbols")
    says = f"it has no CRC for {named(lacking)}" if ours else "its __versions is empty"
    if before(target, 4, 9):
        says += f", which kernels before 4.9 refuse; {EXEC_FORMAT}"
        return Answer(name, "no", says, hint)
    says += ": the kernel warns once (no symbol version for …) and loads it unchecked"
    return Answer(name, "risky", says, hint)


def _without_section(compared: bool | None, forced: bool | None, hint: str) -> Answer:
    name, says = "versions", "it has no __versions"
    if compared is None or forced is None:
        return Answer(name, "unknown", f"{says}, which the kernel may refuse", hint)
    if forced:
        because = f"{says}: the kernel loads it unchecked, tainted (MODULE_FORCE_LOAD)"
        return Answer(name, "risky", because, hint)
    return Answer(name, "no", f"{says}; {EXEC_FORMAT}", hint)


def crcs(module: Module, target: Target) -> Answer:
    """Answer whether its CRCs are the kernel's: check_version() of kernel/module/version.c."""
    name, ours = "crcs", module.versions or {}
    if modversions(target) is False:
        return Answer(name, "yes", "the kernel compares no CRCs: it has no MODVERSIONS")
    if not ours:
        verdict: Verdict = "risky" if modversions(target) else "unknown"
        return Answer(name, verdict, "it has no CRCs, so nothing tells that interfaces are alike")
    differ = differing(module, target)
    if differ:
        shown = [f"{n} ({a:#010x}, kernel {b:#010x})" for n, (a, b) in list(differ.items())[:2]]
        more = f" and {len(differ) - 2} more" if len(differ) > 2 else ""
        insmod = "insmod would say: Exec format error or Invalid argument, and dmesg: disagrees"
        because = f"{_plural(len(differ), 'CRC')} of {len(ours)} differ: "
        because += f"{', '.join(map(printable, shown))}{more}; {insmod} about version of symbol"
        if modversions(target):
            return Answer(name, "no", because, "build it again with this kernel's Module.symvers")
        return Answer(name, "unknown", f"{because}, if the kernel has MODVERSIONS")
    theirs = exported(target)
    told = sum(1 for n, crc in ours.items() if not crc or ((e := theirs.get(n)) and e.crc))
    if told < len(ours):
        source = f", by {target.exports.source}" if target.exports else ""
        return Answer(name, "unknown", f"{told} of {len(ours)} CRCs are known to be equal{source}")
    return Answer(name, "yes", f"all {len(ours)} CRCs are the kernel's")


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
