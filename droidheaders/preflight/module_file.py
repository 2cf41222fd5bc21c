"""Whether a kernel takes a module, before it is pushed: each thing that insmod would fail at."""

from __future__ import annotations

from typing import Any

from droidheaders.objects.module import Module
from droidheaders.objects.signature import Signature
from droidheaders.preflight import module_symbols as symbols
from droidheaders.preflight import vermagic
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.preflight.asking import before, on
from droidheaders.preflight.protection import protection
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_EXEC = "insmod would say: Exec format error"
_KEY = "insmod would say: Required key not available, or: Key was rejected by service"


def judge(module: Module, target: Target) -> Report:
    """Return what is known of whether `target` takes `module`; docs/check.md has the answers."""
    details = tuple(
        ask(module, target)
        for ask in (
            _architecture,
            _loading,
            _signature,
            vermagic.release,
            vermagic.vermagic,
            vermagic.randstruct,
            _layout,
            _compiler,
            symbols.symbols,
            symbols.versions,
            symbols.crcs,
            symbols.namespaces,
            symbols.licence,
            protection,
        )
    )
    verdict = worst(details)
    decisive = [answer for answer in details if answer.verdict == verdict]
    if verdict == "yes":
        because = f"nothing speaks against it on {target.name}"
    else:
        more = f" (and {len(decisive) - 1} more)" if len(decisive) > 1 else ""
        because = f"{decisive[0].because}{more}"
    hint = decisive[0].hint if verdict != "yes" else ""
    return Report(Answer("module_file", verdict, because, hint), details, facts(module, target))


def facts(module: Module, target: Target) -> dict[str, Any]:
    """Return what a program may use: the module's own words, and what differs."""
    signature = module.signature
    differ = symbols.differing(module, target)
    missing = symbols.missing(module, target)
    return {
        "name": printable(module.name),
        "machine": module.arch,
        "size": module.size,
        "compression": module.compression,
        "build_id": module.build_id,
        "vermagic": printable(module.info("vermagic"), 300),
        "licence": printable(module.info("license")),
        "depends": [printable(name) for name in module.depends],
        "namespaces": [printable(name) for name in module.modinfo.get("import_ns", ())],
        "intree": module.info("intree") == "Y",
        "scmversion": printable(module.info("scmversion")),
        "signed": signature is not None,
        "signature": {"kind": signature.kind, "digest": signature.digest} if signature else None,
        "compilers": [printable(text) for text in module.compilers],
        "protections": sorted(module.protections),
        "this_module_size": module.this_module or None,
        "undefined": len(module.undefined),
        "weak": len(module.weak),
        "exports": len(module.exports),
        "versions": None if module.versions is None else len(module.versions),
        "missing": None if missing is None else [printable(name) for name in missing],
        "crc_differs": [
            {"name": printable(name), "module": f"{ours:#010x}", "kernel": f"{theirs:#010x}"}
            for name, (ours, theirs) in differ.items()
        ],
    }


def _architecture(module: Module, target: Target) -> Answer:
    name, kernel = "architecture", target.kernel
    if module.arch != kernel.arch:
        because = f"it is for {printable(module.arch)}, and the kernel is {printable(kernel.arch)}"
        return Answer(name, "no", f"{because}; {_EXEC}", "build it for that architecture")
    if kernel.machine.startswith("i") and module.arch == "x86":
        return Answer(name, "no", f"it is 64-bit, and the kernel is 32-bit; {_EXEC}")
    return Answer(name, "yes", f"it is for {module.arch}, as the kernel is")


def _loading(module: Module, target: Target) -> Answer:
    """Answer whether any module is loaded: may_init_module() of kernel/module/main.c."""
    name = "loading"
    hint = ""
    if module.compression:
        hint = f"decompress it before insmod: it is compressed with {module.compression}"
    if target.switches.get("modules_disabled", "").strip() == "1":
        because = "modules are switched off until the next boot (kernel.modules_disabled=1)"
        return Answer(name, "no", f"{because}; insmod would say: Operation not permitted", "reboot")
    modules = on(target, "MODULES")
    if modules is False:
        because = "the kernel has no CONFIG_MODULES; insmod would say: Function not implemented"
        return Answer(name, "no", because, "build what it does into the kernel")
    if modules is None and not target.switches.get("modules_disabled") and not target.vermagic:
        return Answer(name, "unknown", "it is not known whether the kernel loads modules", hint)
    return Answer(name, "yes", "the kernel loads modules", hint)


def _signature(module: Module, target: Target) -> Answer:
    """Answer what the kernel does about signatures: module_sig_check(), kernel/module/signing.c."""
    name, signature = "signature", module.signature
    checked = True if "sig_enforce" in target.switches else on(target, "MODULE_SIG")
    enforced = _enforced(target)
    if checked is False:
        return Answer(name, "yes", "the kernel looks at no signatures: it has no MODULE_SIG")
    if signature and signature.problem:
        verdict: Verdict = "no" if checked or enforced else "unknown"
        because = f"it {signature.problem}, for which a kernel refuses it; {_KEY}"
        return Answer(name, verdict, because, "sign it anew with scripts/sign-file")
    if enforced and signature is None:
        hint = "sign it with scripts/sign-file and the kernel's key"
        return Answer(name, "no", f"it is not signed, and {enforced}; {_KEY}", hint)
    if enforced:
        return Answer(name, "unknown", f"{enforced}, and which keys it knows is not told")
    if checked is None:
        return Answer(name, "unknown", "it is not known whether the kernel asks for signatures")
    return Answer(name, "yes", _not_enforced(signature, target))


def _not_enforced(signature: Signature | None, target: Target) -> str:
    if signature is None:
        taint = "" if on(target, "MODULE_SIG_PROTECT") else ", which only taints the kernel (E)"
        return f"it is not signed{taint}"
    return (
        f"it is signed ({f'{signature.kind} {signature.digest}'.rstrip()}), and none is asked for"
    )


def _enforced(target: Target) -> str:
    """Return why unsigned modules are refused, as a clause, or ""; MODULE_SIG_PROTECT is AOSP's."""
    if on(target, "MODULE_SIG_PROTECT"):
        return ""
    if on(target, "MODULE_SIG_FORCE"):
        return "the kernel takes only signed ones (MODULE_SIG_FORCE)"
    if target.switches.get("sig_enforce", "").strip() == "Y":
        return "the kernel was told to take only signed ones (sig_enforce)"
    lockdown = target.switches.get("lockdown", "")
    for level in ("integrity", "confidentiality"):
        by_config = on(target, f"LOCK_DOWN_KERNEL_FORCE_{level.upper()}") and not lockdown
        if f"[{level}]" in lockdown or by_config:
            return f"the kernel is locked down ({level})"
    return ""


def _layout(module: Module, target: Target) -> Answer:
    """Answer whether both mean the same struct module, in which options of the kernel show.

    Since 6.4 the kernel compares sizes (elf_validity_cache_index_mod() of kernel/module/main.c);
    before, it copied the section over its own. On arm64, module_frob_arch_sections() of
    arch/arm64/kernel/module-plts.c needs the sections that module.lds makes.
    """
    name, ours = "layout", module.this_module
    if not ours:
        because = f"it has no .gnu.linkonce.this_module; {_EXEC}"
        return Answer(name, "no", because, "link it with modpost's FILE.mod.o, as kbuild does")
    plts = on(target, "ARM64_MODULE_PLTS") or not before(target, 6, 5)
    if module.arch == "arm64" and plts and not {".plt", ".init.plt"} <= module.sections:
        because = f"it lacks .plt or .init.plt; {_EXEC}, and dmesg: module PLT section(s) missing"
        return Answer(name, "no", because, "link it with this kernel's module.lds, as kbuild does")
    theirs = target.btf.size_of_struct("module") if target.btf else None
    if theirs is None:
        return _layout_by_crc(module, target)
    if ours == theirs:
        return Answer(name, "yes", f"its struct module has {ours} bytes, as in the kernel's BTF")
    because = f"its struct module has {ours} bytes, and the kernel's has {theirs}"
    because += f"; {_EXEC}" if not before(target, 6, 4) else ", which would corrupt memory"
    return Answer(name, "no", because, "build it with this kernel's own configuration")


def _layout_by_crc(module: Module, target: Target) -> Answer:
    """Without BTF, the CRC of module_layout covers struct module."""
    exported = target.exports.symbols.get("module_layout") if target.exports else None
    ours = (module.versions or {}).get("module_layout")
    if exported and exported.crc is not None and exported.crc == ours:
        return Answer("layout", "yes", "the CRC of module_layout is the kernel's")
    because = f"its struct module has {module.this_module} bytes, and no BTF tells of the kernel's"
    return Answer("layout", "unknown", because)


def _compiler(module: Module, target: Target) -> Answer:
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
