"""Why the kernel refused a module: insmod's words, and what the kernel's log has behind them.

insmod says what errno says, which for modules is misleading: ENOENT means that a symbol is missing,
EAGAIN that the module's own init said so. The kernel's log has the reason, most often.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_NAME = r"(\S{1,256})"
_REBUILD = "build it for this very kernel: droidheaders build module DIR"
_PROTECTED = "keep to the symbols of the KMI, or load the module that GKI has for it"
_KEY = "sign it with scripts/sign-file and a key that this kernel knows"


@dataclass(frozen=True)
class Refusal:
    """Why, as the end of a sentence, and what to do next.

    `cannot` means that this kernel takes no such module, whatever is done on the device; else the
    module, or what it was called with, is at fault.
    """

    because: str
    hint: str = ""
    cannot: bool = True


Say = Callable[[re.Match[str]], Refusal]

# By the kernel's log: kernel/module/{main,version,signing}.c, kernel/module.c before 5.19.
_LOGGED: Sequence[tuple[str, Say]] = (
    (
        rf"disagrees about version of symbol {_NAME}",
        lambda m: Refusal(f"its CRC of {m[1]} is not the kernel's (MODVERSIONS)", _REBUILD),
    ),
    (
        r"version magic '([^']{1,300})' should be '([^']{1,300})'",
        lambda m: Refusal(_magic(m[1], m[2]), _REBUILD),
    ),
    (
        r"\.gnu\.linkonce\.this_module section size must match",
        lambda _: Refusal(
            "its struct module has another size than the kernel's: it was built with another"
            " configuration",
            _REBUILD,
        ),
    ),
    (
        rf"exports protected symbol {_NAME}",
        lambda m: Refusal(
            f"it exports {m[1]}, which on GKI only modules signed by its build may", _PROTECTED
        ),
    ),
    (
        rf"[Pp]rotected symbol:? {_NAME}",
        lambda m: Refusal(
            f"it uses {m[1]}, which GKI keeps from modules that its build did not sign", _PROTECTED
        ),
    ),
    (
        r"uses symbol \(?([^\s()]{1,256})\)? from namespace (\S{1,256}), but does not import it",
        lambda m: Refusal(
            f"it uses {m[1]} of the namespace {m[2]} without importing it",
            f'add MODULE_IMPORT_NS("{m[2]}"), without quotes before 6.13',
        ),
    ),
    (
        rf"Unknown symbol {_NAME} \(err -2\)",
        lambda m: Refusal(
            f"it needs the symbol {m[1]}, which neither the kernel nor a loaded module exports",
            "give the module that exports it too, or use what this kernel exports",
        ),
    ),
    (
        rf"Unknown symbol {_NAME} \(err (-\d{{1,4}})\)",
        lambda m: Refusal(f"the kernel does not let it use {m[1]} (error {m[2]})"),
    ),
    (
        r"Loading of .{1,200} is rejected",
        lambda _: Refusal("the kernel takes only modules with a signature that it knows", _KEY),
    ),
    (
        r"[Uu]nsigned module loading is restricted|Lockdown: ",
        lambda _: Refusal("the kernel is locked down, and takes only signed modules", _KEY),
    ),
    (
        r"avc: +denied +\{ (module_load|sys_module) \}",
        lambda m: Refusal(
            f"SELinux denies it ({m[1]}): who runs here may not load modules from there",
            "use a su whose domain is permissive",
        ),
    ),
    (
        rf"`([^']{{1,200}})' (?:invalid|too large|not specified) for parameter `{_NAME}'",
        lambda m: Refusal(
            f"its parameter {m[2]} does not take {m[1]}", "modinfo -p FILE.ko", False
        ),
    ),
    (
        r"Invalid ELF|invalid ELF|\.modinfo|section header overflow|has no symbols",
        lambda _: Refusal("the file is damaged or cut off", _REBUILD),
    ),
)

# By errno, in strerror's words: include/uapi/asm-generic/errno*.h. glibc, musl and bionic differ in
# none of these but the first two.
_SAID: Sequence[tuple[str, Refusal]] = (
    (
        r"Try again|Resource temporarily unavailable",
        Refusal("its init returned -EAGAIN: nothing of the kernel's is short", "", False),
    ),
    (
        r"Required key not available|Key was rejected by service|Key has (?:expired|been revoked)"
        r"|error 129",
        Refusal("the kernel takes only modules with a signature that it knows", _KEY),
    ),
    (r"File exists", Refusal("a module of its name is loaded already", "", False)),
    (
        r"No such file or directory",
        Refusal("a symbol that it needs is not there, or its init returned -ENOENT", "", False),
    ),
    (
        r"Exec format error",
        Refusal("the kernel finds it to be for another kernel or machine, or damaged", _REBUILD),
    ),
    (
        r"Operation not permitted",
        Refusal(
            "the kernel loads no modules at all (kernel.modules_disabled), or is locked down",
            "reboot the device, if it was kernel.modules_disabled",
        ),
    ),
    (
        r"Permission denied",
        Refusal("SELinux or the kernel's protection of symbols denies it", "", True),
    ),
    (
        r"Cannot allocate memory|Out of memory",
        Refusal("there was no memory for it, or its init returned -ENOMEM", "", False),
    ),
    (r"Function not implemented", Refusal("the kernel has no CONFIG_MODULES")),
)
_TOYBOX = re.compile(
    r"insmod: (?:failed to load|can't insert|cannot load|ERROR:)?[^:]*: (.{1,200})"
)


def explain(said: str, log: Sequence[str]) -> Refusal:
    """Return why, by what insmod wrote and the lines that the kernel logged meanwhile."""
    for pattern, say in _LOGGED:
        for line in log:
            if found := re.search(pattern, line):
                return say(found)
    for words, refusal in _SAID:
        if re.search(words, said):
            return refusal
    found = _TOYBOX.search(said)
    errno = (found[1] if found else said).strip() or "no reason given"
    return Refusal(f"its init, or the kernel, said: {errno}", "look at the log above", False)


def note(log: Iterable[str]) -> str:
    """Return what is to be said of modules that were loaded, the end of a sentence, or "".

    That its verification failed reads like a refusal, and is none: it only taints the kernel.
    """
    if any("module verification failed" in line for line in log):
        return "; its signature is not one that the kernel knows, which only taints it (E)"
    return ""


def _magic(ours: str, theirs: str) -> str:
    """Return in which words of vermagic the module and the kernel differ."""
    mine, kernels = ours.split(), theirs.split()
    if mine[:1] != kernels[:1]:
        return f"it was built for {mine[0] if mine else 'nothing'}, and the kernel is {theirs}"
    lacks = [word for word in kernels if word not in mine]
    has = [word for word in mine if word not in kernels]
    differ = [f"lacks {' '.join(lacks)}"] if lacks else []
    differ += [f"has {' '.join(has)}"] if has else []
    return f"its vermagic {' and '.join(differ) or 'is in another order'}, unlike the kernel's"
