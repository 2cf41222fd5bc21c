"""Will this kernel load a module that was built for it, and what must it be built with."""

from __future__ import annotations

from typing import Any

from droidheaders.kernel.inquiry import User
from droidheaders.kernel.kconfig import RANDSTRUCT, shuffled
from droidheaders.preflight.answer import Answer, Report, worst
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.privilege import ROOT_HINT, actor, confined, lacking, who
from droidheaders.preflight.signing import checked, enforced

_PAGES = {"ARM64_4K_PAGES": 4096, "ARM64_16K_PAGES": 16384, "ARM64_64K_PAGES": 65536}
_SIGNING_HINT = "sign it with the kernel's own key: scripts/sign-file, certs/signing_key.pem"
# What a module must be built with as the kernel was, and what comes of it otherwise.
_FEATURES = (
    ("cfi", ("CFI_CLANG", "CFI"), "indirect calls are checked: clang, -fsanitize=kcfi or cfi"),
    ("lto", ("LTO_CLANG_FULL", "LTO_CLANG_THIN", "LTO_CLANG"), "clang and lld of its version"),
    ("scs", ("SHADOW_CALL_STACK",), "x18 is the shadow call stack: -ffixed-x18"),
    ("kasan", ("KASAN",), "build with its KASAN options"),
)


def judge(facts: Facts) -> Report:
    """Say whether a module can be loaded, by whom, and what it must be built with."""
    answers = [_supported(facts)]
    if answers[0].verdict != "no":
        if facts.inquiry is not None:
            answers.append(_permitted(facts))
        answers += [_signature(facts), _versions(facts), _vermagic(facts), _layout(facts)]
        answers += _features(facts)
        answers.append(_page_size(facts))
    deciding = [a for a in answers if a.name in ("modules", "loading", "signature", "layout")]
    verdict = worst(deciding)
    first = next((a for a in deciding if a.verdict == verdict), answers[0])
    if verdict == "yes":
        loaders = [a.because for a in answers if a.name == "loading"]
        because = loaders[0] if loaders else answers[0].because
        return Report(Answer("modules", "yes", because), tuple(answers), _describe(facts))
    summary = Answer("modules", verdict, first.because, first.hint)
    return Report(summary, tuple(answers), _describe(facts))


def _supported(facts: Facts) -> Answer:
    value = facts.option("MODULES")
    if value is None and "modules_disabled" in facts.target.switches:
        return Answer("modules", "yes", "/proc/sys/kernel/modules_disabled is there")
    if value is None:
        return Answer("modules", "unknown", f"the configuration is unknown: {facts.config_problem}")
    if value == "n":
        return Answer("modules", "no", "CONFIG_MODULES is not set: this kernel loads none")
    return Answer("modules", "yes", "CONFIG_MODULES=y")


def _permitted(facts: Facts) -> Answer:
    """Say who may load one; CAP_SYS_MODULE decides, then the switch that is never put back."""
    inquiry = facts.inquiry
    assert inquiry is not None
    user = actor(inquiry)
    if facts.target.switches.get("modules_disabled") == "1":
        return Answer(
            "loading", "no", "kernel.modules_disabled is 1 until the next boot", "reboot the device"
        )
    if confined(inquiry, user) or lacking(user, ["CAP_SYS_MODULE"]):
        no_su = f"and {inquiry.su} gives no root" if inquiry.su else "and there is no su"
        why = f"{who(user)} has no CAP_SYS_MODULE{_domain(user)}"
        return Answer("loading", "no", why if user.uid == 0 else f"{why}, {no_su}", ROOT_HINT)
    return Answer("loading", "yes", f"{who(user)} may load them (CAP_SYS_MODULE{_domain(user)})")


def _domain(user: User) -> str:
    return f", {user.context}" if user.context else ""


def _signature(facts: Facts) -> Answer:
    """Say whether a module without a signature is taken."""
    if checked(facts.target) is False:
        return Answer("signature", "yes", "none is asked for (CONFIG_MODULE_SIG is not set)")
    if why := enforced(facts.target):
        return Answer("signature", "no", f"unsigned modules are refused: {why}", _SIGNING_HINT)
    if checked(facts.target) is None:
        return Answer("signature", "unknown", "nothing tells whether modules must be signed")
    if facts.option("MODULE_SIG_PROTECT") == "y":
        return Answer(
            "signature",
            "yes",
            "unsigned ones load, without access to protected symbols (CONFIG_MODULE_SIG_PROTECT=y)",
        )
    return Answer("signature", "yes", "unsigned ones load, and taint the kernel")


def _versions(facts: Facts) -> Answer:
    value = facts.option("MODVERSIONS")
    if value is None:
        return Answer("modversions", "unknown", "the configuration is unknown")
    if value == "y":
        return Answer(
            "modversions",
            "yes",
            "symbols are compared by CRC (CONFIG_MODVERSIONS=y): build with its Module.symvers",
        )
    return Answer("modversions", "yes", "no CRCs (CONFIG_MODVERSIONS is not set)")


def _vermagic(facts: Facts) -> Answer:
    if not facts.target.vermagic:
        return Answer("vermagic", "unknown", "no module of this kernel could be looked at")
    source = (
        facts.inquiry.module_path if facts.inquiry and facts.inquiry.module_path else "its module"
    )
    return Answer("vermagic", "yes", f"'{facts.target.vermagic}', as {source} has it")


def _layout(facts: Facts) -> Answer:
    random = shuffled(facts.target.config)
    if not random:
        return Answer("layout", "yes", "structures are not randomised")
    return Answer(
        "layout",
        "no",
        f"structures are laid out by a secret seed (CONFIG_{random}=y)",
        "build it in the tree that this kernel was built in: it has the seed",
    )


def _features(facts: Facts) -> list[Answer]:
    return [
        Answer(name, "yes", f"CONFIG_{on}=y: {need}")
        for name, options, need in _FEATURES
        if (on := next((o for o in options if facts.option(o) == "y"), None))
    ]


def _page_size(facts: Facts) -> Answer:
    size = _bytes_of_page(facts)
    return Answer("page_size", "yes" if size else "unknown", f"{size} bytes" if size else "unknown")


def _bytes_of_page(facts: Facts) -> int:
    if facts.inquiry is not None and facts.inquiry.probe.page_size:
        return facts.inquiry.probe.page_size
    cached = facts.bundle.meta.get("page_size") if facts.bundle is not None else None
    if isinstance(cached, int) and cached > 0:
        return cached
    if facts.target.kernel.arch == "x86":
        return 4096
    return next((size for name, size in _PAGES.items() if facts.option(name) == "y"), 0)


def _describe(facts: Facts) -> dict[str, Any]:
    names = ("MODULES", "MODVERSIONS", "MODULE_SIG", "MODULE_SIG_FORCE", "MODULE_SIG_PROTECT")
    features = [option for _, options, _ in _FEATURES for option in options]
    user = actor(facts.inquiry) if facts.inquiry else None
    return {
        "options": {f"CONFIG_{o}": facts.option(o) for o in (*names, *features, *RANDSTRUCT)},
        "switches": {
            name: facts.target.switches.get(name)
            for name in ("sig_enforce", "lockdown", "modules_disabled", "tainted")
        },
        "as": user.how if user else None,
        "vermagic": facts.target.vermagic or None,
        "page_size": _bytes_of_page(facts) or None,
    }
