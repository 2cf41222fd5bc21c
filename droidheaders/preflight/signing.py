"""What a kernel makes of a module's signature: module_sig_check() of kernel/module/signing.c."""

from __future__ import annotations

from droidheaders.preflight.asking import on
from droidheaders.preflight.target import Target


def checked(target: Target) -> bool | None:
    """Tell whether the kernel looks at signatures at all, None when nothing tells."""
    return True if "sig_enforce" in target.switches else on(target, "MODULE_SIG")


def enforced(target: Target) -> str:
    """Return why modules without a good signature are refused, as a clause, or "".

    MODULE_SIG_PROTECT is AOSP's, whose kernel/common asks for no signature when it is locked down.
    Until 5.4, lockdown was a patch of distributions.
    """
    enforce = target.switches.get("sig_enforce", "").strip()
    if on(target, "MODULE_SIG_FORCE") and enforce != "N":
        return "the kernel takes only signed ones (MODULE_SIG_FORCE)"
    if enforce == "Y":
        return "the kernel was told to take only signed ones (sig_enforce)"
    if on(target, "MODULE_SIG_PROTECT"):
        return ""
    lockdown = target.switches.get("lockdown", "")
    for level in ("integrity", "confidentiality"):
        by_config = on(target, f"LOCK_DOWN_KERNEL_FORCE_{level.upper()}") and not lockdown
        if f"[{level}]" in lockdown or by_config:
            return f"the kernel is locked down ({level})"
    return ""
