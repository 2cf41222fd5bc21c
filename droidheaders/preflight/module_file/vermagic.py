"""Whether a module was built for this release and configuration, by what vermagic says."""

from __future__ import annotations

from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import shuffled
from droidheaders.objects.module import Module
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.asking import modversions, on
from droidheaders.preflight.module_file.insmod import EXEC_FORMAT
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_SHUFFLED = "RANDSTRUCT_"  # RANDSTRUCT_PLUGIN_ until 6.0, before a hash of the seed
_REBUILD = "build it again with this kernel's own headers and configuration"


def release(module: Module, target: Target) -> Answer:
    """Answer whether the release matters, which same_magic() skips where CRCs are compared.

    kernel/module/version.c; the module must have a section __versions for that, be it empty.
    """
    name, magic = "release", module.info("vermagic")
    built, kernel = magic.partition(" ")[0], target.kernel.release
    if not magic:
        return Answer(name, "unknown", "the module does not say for which release it was built")
    says = f"it was built for {printable(built)}"
    if not target.exact and _may_be(built, target.kernel):
        known = f"only the version {printable(kernel)}" if kernel else "nothing"
        says += f", and of the kernel's release {known} is known"
        if modversions(target) and module.basic_versions and module.versions:
            return Answer(name, "yes", f"{says}; CRCs are compared instead (MODVERSIONS)")
        return Answer(name, "unknown", says, "check it with the device attached")
    if built == kernel:
        return Answer(name, "yes", says)
    return _other(module, modversions(target), f"{says}, and the kernel is {printable(kernel)}")


def _other(module: Module, compared: bool | None, differ: str) -> Answer:
    """Answer what comes of another release, by whether the kernel compares CRCs."""
    name = "release"
    if not module.basic_versions or compared is False:
        why = "has no MODVERSIONS" if compared is False else "finds no __versions in it"
        return Answer(name, "no", f"{differ}, which {why}; {EXEC_FORMAT}", _REBUILD)
    if compared is None:
        return Answer(name, "unknown", f"{differ}; it is not known whether that compares CRCs")
    if not module.versions:
        return Answer(name, "risky", f"{differ}, and without CRCs nothing compares them", _REBUILD)
    return Answer(name, "yes", f"{differ}, which compares CRCs instead (MODVERSIONS)")


def _may_be(built: str, kernel: KernelIdentity) -> bool:
    """Tell whether a release may be that of a kernel whose configuration names a version.

    Distributions have a third number of their own: Debian's 6.1.0-50-cloud-arm64 is 6.1.176.
    """
    number = KernelIdentity(built, "", "", "").number
    return number is None or kernel.number is None or number == kernel.number


def vermagic(module: Module, target: Target) -> Answer:
    """Answer whether all that follows the release is the kernel's own, field by field."""
    name = "vermagic"
    fields = module.info("vermagic").split()[1:]
    if not module.info("vermagic"):
        return _without(target)
    if target.vermagic:
        wanted = target.vermagic.split()[1:]
        missing = [field for field in wanted if field not in fields]
        extra = [field for field in fields if field not in wanted]
        source = "a module of this kernel"
    elif target.config is not None:
        expected = _configured(target)
        missing = [field for field, there in expected.items() if there and field not in fields]
        extra = [field for field in fields if expected.get(field) is False]
        source = "its configuration"
    else:
        return Answer(name, "unknown", "neither a module of this kernel nor its config is known")
    if not missing and not extra:
        return Answer(name, "yes", f"{' '.join(map(printable, fields))}, as {source} has it")
    says = [f"lacks {printable(' '.join(missing))}"] if missing else []
    says += [f"has {printable(' '.join(extra))}"] if extra else []
    because = f"vermagic {' and '.join(says)}, unlike {source}; {EXEC_FORMAT}"
    return Answer(name, "no", because, _REBUILD)


def _without(target: Target) -> Answer:
    """A module without vermagic: check_modinfo() of kernel/module/main.c."""
    forced = on(target, "MODULE_FORCE_LOAD")
    if forced is None:
        return Answer("vermagic", "unknown", "the module has none, which few kernels take")
    if forced:
        because = "the module has none: the kernel loads it and is tainted (MODULE_FORCE_LOAD)"
        return Answer("vermagic", "risky", because)
    return Answer("vermagic", "no", f"the module has none; {EXEC_FORMAT}", _REBUILD)


def _configured(target: Target) -> dict[str, bool]:
    """Return the fields that the configuration decides about: include/linux/vermagic.h.

    preempt is PREEMPT_BUILD's since 5.16 (c597bfddc9e9), which PREEMPT_DYNAMIC sets while PREEMPT
    is what it begins with; before that, PREEMPT's.
    """
    preempt = bool(on(target, "PREEMPT_BUILD") or on(target, "PREEMPT"))
    return {
        "SMP": bool(on(target, "SMP")),
        "preempt": preempt,
        "preempt_rt": bool(on(target, "PREEMPT_RT")) and not preempt,
        "mod_unload": bool(on(target, "MODULE_UNLOAD")),
        "modversions": bool(on(target, "MODVERSIONS")),
        "aarch64": target.kernel.arch == "arm64",
    }


def randstruct(module: Module, target: Target) -> Answer:
    """Answer whether structures are shuffled: without the seed they cannot be built alike."""
    name = "randstruct"
    ours, theirs = _seed(module.info("vermagic")), _seed(target.vermagic)
    option = shuffled(target.config)
    if ours and theirs and ours != theirs:
        return Answer(name, "no", "its structures are shuffled by another seed than the kernel's")
    if ours and theirs:
        return Answer(name, "yes", "structures are shuffled by the same seed")
    if option or theirs:
        return _shuffled(f"the kernel shuffles structures ({option or theirs})", bool(ours))
    if ours:
        return Answer(name, "no", "its structures are shuffled, and the kernel's are not", _REBUILD)
    if target.config is None and not target.vermagic:
        return Answer(name, "unknown", "the kernel's configuration is not known")
    return Answer(name, "yes", "structures are not shuffled")


def _shuffled(says: str, alike: bool) -> Answer:
    if alike:
        return Answer("randstruct", "unknown", f"{says}, by a seed that is not told")
    hint = "only the kernel's own build has its seed"
    return Answer("randstruct", "no", f"{says}, and the module does not", hint)


def _seed(magic: str) -> str:
    return next((printable(f, 100) for f in magic.split() if f.startswith(_SHUFFLED)), "")
