"""Whether a module was built as the kernel was: the layout of structures, and the compiler."""

from __future__ import annotations

from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.asking import before, on
from droidheaders.preflight.module_file.insmod import EXEC_FORMAT
from droidheaders.preflight.target import Target
from droidheaders.ui import printable


def layout(module: Module, target: Target) -> Answer:
    """Answer whether both mean the same struct module, in which options of the kernel show.

    Since 6.4 the kernel compares sizes (elf_validity_cache_index_mod() of kernel/module/main.c);
    before, it copied the section over its own. On arm64, module_frob_arch_sections() of
    arch/arm64/kernel/module-plts.c needs the sections that module.lds makes.
    """
    name, ours = "layout", module.this_module
    if not ours:
        because = f"it has no .gnu.linkonce.this_module; {EXEC_FORMAT}"
        return Answer(name, "no", because, "link it with modpost's FILE.mod.o, as kbuild does")
    plts = on(target, "ARM64_MODULE_PLTS") or not before(target, 6, 5)
    if module.arch == "arm64" and plts and not {".plt", ".init.plt"} <= module.sections:
        because = (
            f"it lacks .plt or .init.plt; {EXEC_FORMAT}, and dmesg: module PLT section(s) missing"
        )
        return Answer(name, "no", because, "link it with this kernel's module.lds, as kbuild does")
    theirs = target.btf.size_of_struct("module") if target.btf else None
    if theirs is None:
        return _layout_by_crc(module, target)
    if ours == theirs:
        return Answer(name, "yes", f"its struct module has {ours} bytes, as in the kernel's BTF")
    because = f"its struct module has {ours} bytes, and the kernel's has {theirs}"
    because += f"; {EXEC_FORMAT}" if not before(target, 6, 4) else ", which would corrupt memory"
    return Answer(name, "no", because, "build it with this kernel's own configuration")


def _layout_by_crc(module: Module, target: Target) -> Answer:
    """Without BTF, the CRC of module_layout covers struct module."""
    exported = target.exports.symbols.get("module_layout") if target.exports else None
    ours = (module.versions or {}).get("module_layout")
    if exported and exported.crc is not None and exported.crc == ours:
        return Answer("layout", "yes", "the CRC of module_layout is the kernel's")
    because = f"its struct module has {module.this_module} bytes, and no BTF tells of the kernel's"
    return Answer("layout", "unknown", because)


def compiler(module: Module, target: Target) -> Answer:
    """Answer whether it was built by the compiler of the kernel, as far as that matters.

    With CFI the kernel calls functions of a module, its init first, only if the compiler marked
    them: until 6.0 by __cfi_check, since then by a hash before each, which on x86 has a symbol.
    """
    name, ours, theirs = "compiler", module.compiler, target.compiler
    cfi = bool(on(target, "CFI_CLANG") or on(target, "CFI")) and not on(target, "CFI_PERMISSIVE")
    seen = module.arch == "x86" or before(target, 6, 1)
    unmarked = not module.protections and (seen or bool(ours and ours.family == "gcc"))
    if cfi and unmarked:
        because = "the kernel checks calls (CFI), and the module was built without: it would panic"
        return Answer(name, "no", because, "build it with clang and the kernel's configuration")
    if ours is None or theirs is None or not ours.family or not theirs.family:
        which = "module" if ours is None else "kernel"
        return Answer(name, "unknown", f"which compiler built the {which} is not known")
    both = f"{printable(str(ours))} built it, and {printable(str(theirs))} the kernel"
    if ours.family != theirs.family:
        return Answer(name, "risky", both, f"build it with {theirs.family}")
    if ours.version[:2] == theirs.version[:2]:
        return Answer(name, "yes", f"{printable(str(ours))} built both")
    bound = {"LTO": "LTO_CLANG", "CFI": "CFI_CLANG", "SCS": "SHADOW_CALL_STACK"}
    matters = [what for what, option in bound.items() if on(target, option)]
    if ours.family == "clang" and (matters or target.config is None):
        with_ = f", with {' and '.join(matters)}" if matters else ""
        version = ".".join(map(str, theirs.version))
        return Answer(name, "risky", both + with_, f"build it with clang {version}")
    return Answer(name, "yes", both)
