"""The report on a module's file."""

from __future__ import annotations

from typing import Any

from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer, Report, worst
from droidheaders.preflight.module_file import build, loading, symbols, vermagic, versions
from droidheaders.preflight.module_file.protection import protection
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_QUESTIONS = (
    loading.architecture,
    loading.loading,
    loading.signature,
    vermagic.release,
    vermagic.vermagic,
    vermagic.randstruct,
    build.layout,
    build.compiler,
    symbols.symbols,
    versions.versions,
    versions.crcs,
    symbols.namespaces,
    symbols.licence,
    protection,
)


def judge(module: Module, target: Target) -> Report:
    """Return what is known of whether `target` takes `module`; docs/check.md has the answers."""
    details = tuple(ask(module, target) for ask in _QUESTIONS)
    verdict = worst(details)
    decisive = [answer for answer in details if answer.verdict == verdict]
    if verdict == "yes":
        because = f"nothing speaks against it on {target.name}"
    else:
        more = f" (and {len(decisive) - 1} more)" if len(decisive) > 1 else ""
        because = f"{decisive[0].because}{more}"
    hint = decisive[0].hint if verdict != "yes" else ""
    return Report(Answer("module_file", verdict, because, hint), details, _facts(module, target))


def _facts(module: Module, target: Target) -> dict[str, Any]:
    """Return what a program may use: the module's own words, and what differs."""
    signature = module.signature
    differ = versions.differing(module, target)
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
