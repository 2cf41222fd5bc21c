"""Whether a kernel loads any module, one for this machine, and one with such a signature."""

from __future__ import annotations

from droidheaders.objects.module import Module
from droidheaders.objects.signature import Signature
from droidheaders.preflight import signing
from droidheaders.preflight.answer import Answer, Verdict
from droidheaders.preflight.asking import on
from droidheaders.preflight.module_file.insmod import EXEC_FORMAT, KEY
from droidheaders.preflight.target import Target
from droidheaders.ui import printable


def architecture(module: Module, target: Target) -> Answer:
    """Answer whether it is for the kernel's machine, which elf_check_arch() asks."""
    name, kernel = "architecture", target.kernel
    if not kernel.machine:
        because = f"it is for {printable(module.arch)}, and the kernel's machine is not known"
        return Answer(name, "unknown", because)
    if module.arch != kernel.arch:
        because = f"it is for {printable(module.arch)}, and the kernel is {printable(kernel.arch)}"
        return Answer(name, "no", f"{because}; {EXEC_FORMAT}", "build it for that architecture")
    if kernel.machine.startswith("i") and module.arch == "x86":
        return Answer(name, "no", f"it is 64-bit, and the kernel is 32-bit; {EXEC_FORMAT}")
    return Answer(name, "yes", f"it is for {module.arch}, as the kernel is")


def loading(module: Module, target: Target) -> Answer:
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


def signature(module: Module, target: Target) -> Answer:
    """Answer what the kernel does about signatures: module_sig_check(), kernel/module/signing.c."""
    name, signed = "signature", module.signature
    checked, enforced = signing.checked(target), signing.enforced(target)
    if checked is False:
        return Answer(name, "yes", "the kernel looks at no signatures: it has no MODULE_SIG")
    if signed and signed.problem:
        verdict: Verdict = "no" if checked or enforced else "unknown"
        because = f"it {signed.problem}, for which a kernel refuses it; {KEY}"
        return Answer(name, verdict, because, "sign it anew with scripts/sign-file")
    if enforced and signed is None:
        hint = "sign it with scripts/sign-file and the kernel's key"
        return Answer(name, "no", f"it is not signed, and {enforced}; {KEY}", hint)
    if enforced:
        return Answer(name, "unknown", f"{enforced}, and which keys it knows is not told")
    if checked is None:
        return Answer(name, "unknown", "it is not known whether the kernel asks for signatures")
    return Answer(name, "yes", _not_enforced(signed, target))


def _not_enforced(signed: Signature | None, target: Target) -> str:
    if signed is None:
        taint = "" if on(target, "MODULE_SIG_PROTECT") else ", which only taints the kernel (E)"
        return f"it is not signed{taint}"
    return f"it is signed ({f'{signed.kind} {signed.digest}'.rstrip()}), and none is asked for"
