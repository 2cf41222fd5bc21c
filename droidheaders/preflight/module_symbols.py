"""Whether a kernel has the symbols that a module asks for, and lets it have them."""

from __future__ import annotations

from collections.abc import Mapping

from droidheaders.kernel.exports import Export
from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer, Verdict
from droidheaders.preflight.asking import before, modversions, named, on
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

# license_is_gpl_compatible() of include/linux/license.h.
_FREE = {
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
}
_IGNORED = {"x86": {"_GLOBAL_OFFSET_TABLE_"}}  # ignore_undef_symbol() of kernel/module/main.c
_UNKNOWN = "what the kernel exports is not known"


def wanted(module: Module) -> frozenset[str]:
    """Return the symbols that the module cannot be loaded without."""
    ignored = _IGNORED.get(module.arch)
    return module.undefined - ignored if ignored else module.undefined


def missing(module: Module, target: Target) -> list[str] | None:
    """Return those that are not known to be exported, in order; None when no export is known."""
    if target.exports is None or not target.exports.symbols:
        return None
    return sorted(name for name in wanted(module) if name not in target.exports.symbols)


def differing(module: Module, target: Target) -> dict[str, tuple[int, int]]:
    """Return the symbols whose CRC is not the kernel's: the module's, and the kernel's."""
    theirs = _exports(target)
    found = {}
    for name, crc in (module.versions or {}).items():
        export = theirs.get(name)
        if export and export.crc is not None and export.crc != crc:
            found[name] = (crc, export.crc)
    return dict(sorted(found.items()))


def _exports(target: Target) -> Mapping[str, Export]:
    return target.exports.symbols if target.exports else {}


def symbols(module: Module, target: Target) -> Answer:
    """Answer whether all that it asks for is exported: simplify_symbols() of kernel/module/main.c.

    And whether it exports nothing that the kernel does: verify_exported_symbols() there.
    """
    name, need = "symbols", wanted(module)
    exports, lacking = target.exports, missing(module, target)
    if exports is None or lacking is None:
        return Answer(name, "unknown", f"{_UNKNOWN}, of {len(need)} symbols that it asks for")
    twice = [n for n in module.exports if (e := exports.symbols.get(n)) and e.module == "vmlinux"]
    if twice:
        because = f"it exports {named(twice)}, as vmlinux does; insmod would say: Exec format error"
        return Answer(name, "no", because, "rename it, or leave its EXPORT_SYMBOL out")
    owners = {e.module for e in exports.symbols.values()}
    unseen = [other for other in module.depends if other not in owners]
    if not lacking:
        return _all_exported(module, target)
    says = f"{named(lacking)} {'is' if len(lacking) == 1 else 'are'} not among the exports"
    says += f" in {exports.source}"
    if unseen:
        hint = f"load {named(unseen)} first, and check again"
        return Answer(
            name, "unknown", f"{says}; {named(unseen)}, which it uses, may have them", hint
        )
    if not exports.complete:
        return Answer(name, "unknown", f"{says}, which has only a part of them")
    insmod = "insmod would say: No such file or directory, and dmesg: Unknown symbol (err -2)"
    return Answer(name, "no", f"{says}; {insmod}", "use symbols that this kernel exports")


def _all_exported(module: Module, target: Target) -> Answer:
    theirs = _exports(target)
    owners = {theirs[n].module for n in wanted(module)} - {None, "vmlinux", module.name}
    hint = f"load {named([o for o in owners if o])} first, if it is not" if owners else ""
    because = f"all {len(wanted(module))} symbols that it asks for are exported"
    return Answer("symbols", "yes", because, hint)


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
    theirs = _exports(target)
    told = sum(1 for n, crc in ours.items() if not crc or ((e := theirs.get(n)) and e.crc))
    if told < len(ours):
        source = f", by {target.exports.source}" if target.exports else ""
        return Answer(name, "unknown", f"{told} of {len(ours)} CRCs are known to be equal{source}")
    return Answer(name, "yes", f"all {len(ours)} CRCs are the kernel's")


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def versions(module: Module, target: Target) -> Answer:
    """Answer what the kernel does where the module has no CRC: check_version() again.

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
        says += ", which kernels before 4.9 refuse; insmod would say: Exec format error"
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
    return Answer(name, "no", f"{says}; insmod would say: Exec format error", hint)


def namespaces(module: Module, target: Target) -> Answer:
    """Answer whether it imports the namespaces of what it uses: verify_namespace_is_imported()."""
    name, theirs = "namespaces", _exports(target)
    imported = set(module.modinfo.get("import_ns", ()))
    used = {n: theirs[n].namespace for n in sorted(module.undefined | module.weak) if n in theirs}
    absent = {n: ns for n, ns in used.items() if ns and not _imports(module, ns, imported)}
    if not absent:
        asks = bool(module.undefined | module.weak) and not before(target, 5, 4)
        if asks and (None in used.values() or not used):
            return Answer(name, "unknown", "which namespaces the exports are in is not known")
        return Answer(name, "yes", "every namespace that it needs is imported")
    symbol, space = next(iter(absent.items()))
    because = f"{printable(symbol, 64)} is in the namespace {printable(str(space), 64)}"
    because += (
        f"{f' (and {len(absent) - 1} more)' if len(absent) > 1 else ''}, which it does not import"
    )
    if str(space).startswith("module:"):
        hint = "it is exported to those modules alone"
    else:
        hint = f'add MODULE_IMPORT_NS("{printable(str(space), 64)}"), without quotes before 6.13'
    if on(target, "MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS"):
        return Answer(name, "yes", f"{because}, and this kernel only warns", hint)
    return Answer(name, "no", f"{because}; insmod would say: Invalid argument", hint)


def _imports(module: Module, space: str, imported: set[str]) -> bool:
    """Tell whether it may use what is in a namespace: EXPORT_SYMBOL_FOR_MODULES names modules."""
    if not space.startswith("module:"):
        return space in imported
    for other in space.removeprefix("module:").replace("-", "_").split(","):
        if module.name == other or (other.endswith("*") and module.name.startswith(other[:-1])):
            return True
    return False


def licence(module: Module, target: Target) -> Answer:
    """Answer whether its licence lets it use what is exported to GPL modules only."""
    name, says = "licence", module.info("license") or "unspecified"
    if says in _FREE:
        return Answer(name, "yes", f"{says} is compatible with the GPL")
    shown = f"its licence {printable(says, 64)!r} is not compatible with the GPL"
    theirs = _exports(target)
    used = {n: theirs[n].gpl for n in wanted(module) if n in theirs}
    reserved = [n for n, gpl in used.items() if gpl]
    if reserved:
        because = f"{shown}, and {named(reserved)} {'is' if len(reserved) == 1 else 'are'} for GPL"
        because += " modules only; insmod would say: No such file or directory"
        return Answer(name, "no", because, "leave such symbols out")
    if len(used) < len(wanted(module)) or None in used.values():
        return Answer(name, "unknown", f"{shown}, and it is not known which symbols are GPL-only")
    return Answer(name, "yes", f"{shown}, which only taints the kernel (P)")
