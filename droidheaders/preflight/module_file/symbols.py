"""Whether a kernel has the symbols that a module asks for, and lets it have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from droidheaders.kernel.exports import Export
from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.asking import before, on
from droidheaders.preflight.licences import GPL_COMPATIBLE
from droidheaders.preflight.module_file.insmod import EXEC_FORMAT
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

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


def exported(target: Target) -> Mapping[str, Export]:
    """Return what the kernel is known to export, by name."""
    return target.exports.symbols if target.exports else {}


def named(names: Collection[str], most: int = 4) -> str:
    """Return names for a sentence, the first ones of many, safe for a terminal."""
    first = [printable(name, 64) for name in sorted(names)[:most]]
    more = len(names) - len(first)
    if more:
        return f"{', '.join(first)} and {more} more"
    return " and ".join([", ".join(first[:-1]), first[-1]]) if len(first) > 1 else "".join(first)


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
        because = f"it exports {named(twice)}, as vmlinux does; {EXEC_FORMAT}"
        return Answer(name, "no", because, "rename it, or leave its EXPORT_SYMBOL out")
    if not lacking:
        return _all_exported(module, target)
    owners = {e.module for e in exports.symbols.values()}
    unseen = [other for other in module.depends if other not in owners]
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
    theirs = exported(target)
    owners = {theirs[n].module for n in wanted(module)} - {None, "vmlinux", module.name}
    hint = f"load {named([o for o in owners if o])} first, if it is not" if owners else ""
    because = f"all {len(wanted(module))} symbols that it asks for are exported"
    return Answer("symbols", "yes", because, hint)


def namespaces(module: Module, target: Target) -> Answer:
    """Answer whether it imports the namespaces of what it uses: verify_namespace_is_imported()."""
    name, theirs = "namespaces", exported(target)
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
    if says in GPL_COMPATIBLE:
        return Answer(name, "yes", f"{says} is compatible with the GPL")
    shown = f"its licence {printable(says, 64)!r} is not compatible with the GPL"
    theirs = exported(target)
    used = {n: theirs[n].gpl for n in wanted(module) if n in theirs}
    reserved = [n for n, gpl in used.items() if gpl]
    if reserved:
        because = f"{shown}, and {named(reserved)} {'is' if len(reserved) == 1 else 'are'} for GPL"
        because += " modules only; insmod would say: No such file or directory"
        return Answer(name, "no", because, "leave such symbols out")
    if len(used) < len(wanted(module)) or None in used.values():
        return Answer(name, "unknown", f"{shown}, and it is not known which symbols are GPL-only")
    return Answer(name, "yes", f"{shown}, which only taints the kernel (P)")
