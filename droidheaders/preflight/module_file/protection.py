"""What GKI keeps from modules that are not signed with its key: CONFIG_MODULE_SIG_PROTECT.

kernel/module/gki_module.c of AOSP's kernel/common, from 6.1 on, looks names up in two lists, which
scripts/gen_gki_modules_headers.sh writes to include/generated, so that kheaders may have them.
"""

from __future__ import annotations

import re

from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.asking import before, on
from droidheaders.preflight.module_file.insmod import DENIED
from droidheaders.preflight.module_file.symbols import named, wanted
from droidheaders.preflight.target import Target

_LIST = 8 << 20  # bytes of a list; 10,000 names have 0.3 MB


def protection(module: Module, target: Target) -> Answer:
    """Answer whether the kernel lets the module use, and export, what it does."""
    name = "protection"
    protect = on(target, "MODULE_SIG_PROTECT")
    if protect is None:
        return Answer(name, "unknown", "the kernel's configuration is not known")
    if not protect:
        return Answer(name, "yes", "the kernel protects no symbols: it has no MODULE_SIG_PROTECT")
    if module.signature:
        because = "it is signed: by a key that this kernel knows, it may use any symbol"
        return Answer(name, "unknown", because)
    free = _list(target, "gki_module_unprotected.h")
    if free is None:
        because = "GKI protects symbols from modules that are not signed, and which is not known"
        return Answer(name, "unknown", because, "a full build has gki_module_unprotected.h")
    if not free:  # "no symbols in unprotected list", as gki_module.c has it: nothing is protected
        return Answer(name, "yes", "the kernel was built with an empty list of open symbols")
    return _unsigned(module, target, free)


def _unsigned(module: Module, target: Target, free: set[str]) -> Answer:
    """Answer by the lists; before 6.6 only what signed modules export is kept, since then all."""
    name = "protection"
    taken = module.exports.keys() & (_list(target, "gki_module_protected_exports.h") or set())
    if taken:
        because = f"it exports {named(taken)}, which is a signed module's to export; {DENIED}"
        return Answer(name, "no", because, "use that module instead")
    theirs = target.exports.symbols if target.exports else {}
    kernels = {n for n in wanted(module) - free if n in theirs and theirs[n].module == "vmlinux"}
    kept = wanted(module) - free - (kernels if before(target, 6, 6) else set())
    if not kept:
        return Answer(name, "yes", "all that it asks for is open to modules that are not signed")
    because = f"{named(kept)} {'is' if len(kept) == 1 else 'are'} not open to unsigned modules"
    if kept & kernels:
        return Answer(name, "no", f"{because}; {DENIED}", "keep to the KMI's symbol lists")
    return Answer(name, "risky", f"{because}, unless an unsigned module exports them")


def _list(target: Target, header: str) -> set[str] | None:
    """Return the names in one of the lists, or None when the headers do not have it."""
    if target.headers is None:
        return None
    try:
        with (target.headers / "include/generated" / header).open("rb") as file:
            text = file.read(_LIST).decode("utf-8", "replace")
    except OSError:
        return None
    return set(re.findall(r'^\s*"(\w+)",', text, re.MULTILINE))
