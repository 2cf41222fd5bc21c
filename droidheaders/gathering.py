"""What is known of a kernel: of a device's, of one in the cache, of one in a file.

Above the rooms rather than in one: it asks the device, looks into the cache and reads files; what
the answers mean is judged in preflight/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from droidheaders.errors import DroidheadersError
from droidheaders.kernel import compiler, ikconfig
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.inquiry import KALLSYMS, Inquiry, inquire
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.kernel.probe import BTF, CONFIG, answers, framed, understanding
from droidheaders.kernel.text import decode
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.cache import Bundle, Cache
    from droidheaders.examining import Examined
    from droidheaders.kernel.btf import Btf
    from droidheaders.kernel.compiler import Compiler

# `# Linux/arm64 6.1.99 Kernel Configuration`: conf_write_heading() of scripts/kconfig/confdata.c.
_HEADING = re.compile(r"^# Linux/\w+ (\d[\w.+~-]{0,63}) Kernel Configuration", re.MULTILINE)
_HEAD = 4096  # of a configuration, in bytes
_BY_OPTION = {"ARM64": "aarch64", "X86_64": "x86_64", "RISCV": "riscv64", "ARM": "armv7l"}
_VERMAGIC = re.compile(rb"\0vermagic=([ -~]{1,200})\0")
_COMMENT = re.compile(rb"(?<=\0)(?:GCC: |[ -~]{0,200}clang version )[ -~]{1,300}\0")


def of_device(device: Device, open_cache: Callable[[], Cache]) -> Facts:
    """Ask the device, in one round trip, and look for its kernel in the cache.

    Raises what `inquire` and `Cache.bundles` raise.
    """
    inquiry = inquire(device)
    cache, kernel = open_cache(), inquiry.probe.kernel
    bundle = cache.lookup(kernel)
    config, problem = _ikconfig(inquiry)
    path, disputed = CONFIG, tuple[str, ...]()
    cached = bundle.config() if bundle else None
    if config is None and cached is not None and bundle is not None:
        config, path, problem = cached, f"config of {bundle.name}", ""
    elif config is not None and cached is not None:
        disputed = tuple(n for n in {**config, **cached} if config.get(n) != cached.get(n))
    vermagic = _VERMAGIC.search(inquiry.module)
    target = Target(
        name=f"{kernel} on {device.name}",
        kernel=kernel,
        config=config,
        vermagic=vermagic[1].decode() if vermagic else _vermagic(bundle),
        headers=bundle.headers if bundle else None,
        switches=switches(inquiry.switches, config),
    )
    same = [b.name for b in cache.bundles() if b.kernel.release == kernel.release]
    relatives = tuple(name for name in same if bundle is None or name != bundle.name)
    facts = Facts(target, inquiry, bundle, relatives, path, problem, disputed)
    named = {
        "/proc/version": compiler.of_banner(inquiry.probe.proc_version),
        CONFIG: compiler.of_config(config) if config is not None else None,
        "the cached headers": _of_headers(bundle),
        inquiry.module_path: compiler.of_comment(b"".join(_COMMENT.findall(inquiry.module))),
    }
    return _with_compilers(facts, named)


def of_bundle(bundle: Bundle) -> Facts:
    """Return what the cache has of a kernel, without a device."""
    config = bundle.config()
    path = f"config of {bundle.name}"
    target = Target(
        name=f"{bundle.kernel}, {bundle.name} in the cache",
        kernel=bundle.kernel,
        config=config,
        vermagic=_vermagic(bundle),
        headers=bundle.headers,
    )
    problem = "" if config is not None else f"{bundle.name} has none"
    facts = Facts(target, None, bundle, config_path=path, config_problem=problem)
    named = {
        path: compiler.of_config(config) if config is not None else None,
        "the cached headers": _of_headers(bundle),
    }
    return _with_compilers(facts, named)


def switches(told: Mapping[str, str], config: Kconfig | None) -> dict[str, str]:
    """Return what the running kernel says of itself; its lockdown also without securityfs.

    That is how it was started then: nothing on Android raises it later.
    """
    found = dict(told)
    can = config is None or config.get("SECURITY_LOCKDOWN_LSM") == "y"
    if can and "lockdown" not in found and "cmdline" in found:
        wanted = re.search(r"\blockdown=(integrity|confidentiality)\b", found["cmdline"])
        levels = ("INTEGRITY", "CONFIDENTIALITY")
        forced = (
            level.lower()
            for level in levels
            if config and config.get(f"LOCK_DOWN_KERNEL_FORCE_{level}") == "y"
        )
        if level := wanted[1] if wanted else next(forced, ""):
            found["lockdown"] = f"[{level}]"
    return found


def _ikconfig(inquiry: Inquiry) -> tuple[Kconfig | None, str]:
    """Return the device's configuration, or None and why there is none."""
    state = inquiry.probe.config.state
    if not inquiry.config:
        may = "may not be read" if state == "denied" else "is not there (CONFIG_IKCONFIG_PROC)"
        return None, f"{CONFIG} {may}"
    try:
        return Kconfig.parse(ikconfig.decompress(inquiry.config)), ""
    except ValueError as e:
        return None, f"{CONFIG} {e}"


def _vermagic(bundle: Bundle | None) -> str:
    return printable(str(bundle.meta.get("vermagic", ""))) if bundle else ""


def _of_headers(bundle: Bundle | None) -> Compiler | None:
    return compiler.parse(bundle.meta["compiler"]) if bundle and bundle.meta["compiler"] else None


def _with_compilers(facts: Facts, named: dict[str, Compiler | None]) -> Facts:
    compilers = {source: one for source, one in named.items() if one is not None}
    first = next(iter(compilers.values()), None)
    return replace(facts, target=replace(facts.target, compiler=first), compilers=compilers)


def of_files(image: Examined | None, config: Examined | None) -> Facts:
    """Return what a kernel image and a configuration tell of a kernel; one of them is enough.

    Where both are given, the configuration is the one to go by.
    """
    telling = config or image
    assert telling is not None
    options = telling.config
    kernel = _identity(image, config, options)
    named = " and ".join(file.name for file in (image, config) if file)
    binary = image.image if image else None
    target = Target(
        name=f"{kernel}, in {named}" if kernel.release else f"the kernel of {named}",
        kernel=kernel,
        exact=image is not None,
        config=options,
        btf=_types(binary.btf or b"") if binary else None,
    )
    problem = "" if options is not None else f"{telling.name} has none in it (CONFIG_IKCONFIG)"
    facts = Facts(target, config_path=telling.name, config_problem=problem)
    banner = compiler.of_banner(binary.banner) if binary else None
    found = compiler.of_config(options) if options is not None else None
    return _with_compilers(facts, {"the image's banner": banner, telling.name: found})


def _identity(
    image: Examined | None, config: Examined | None, options: Kconfig | None
) -> KernelIdentity:
    """Return who the kernel is; a configuration's heading has a version, and nothing behind it."""
    if image is not None and image.image is not None:
        told = image.image
        machine = told.machine or _machine(options)
        return KernelIdentity(told.release, told.version, machine, told.build_id)
    text = decode(bytes(config.content[:_HEAD])) if config else ""
    heading = _HEADING.search(text)
    return KernelIdentity(heading[1] if heading else "", "", _machine(options), "")


def _machine(config: Kconfig | None) -> str:
    options: Mapping[str, str] = config or {}
    return next((m for o, m in _BY_OPTION.items() if options.get(f"CONFIG_{o}") == "y"), "")


_TYPES_AND_EXPORTS = """\
m btf; [ "@BTF" ] && dd if=@BTF bs=256k 2>/dev/null
m exports; [ "@KALLSYMS" ] && grep ' __ksymtab_' @KALLSYMS
m end
"""


def with_types(facts: Facts, device: Device | None, kinds: Collection[str]) -> Facts:
    """Add the kernel's types and exports, as far as files of `kinds` are judged by them.

    The cache is asked first; a device once, as root where su gives that.
    """
    from droidheaders.kernel.exports import of_kallsyms

    data = b""
    if not {"module", "bpf"} & set(kinds) or facts.target.btf is not None:
        return facts
    if facts.bundle is not None and "btf" in facts.bundle.parts:
        with suppress(OSError):
            data = (facts.bundle.path / "btf").read_bytes()
    if facts.inquiry is not None and device is not None:
        raw = _ask(device, facts.inquiry, types=not data, exports="module" in kinds)
        data = data or raw["btf"]
        exports = of_kallsyms(raw["exports"]) if raw["exports"] else None
        facts = replace(facts, target=replace(facts.target, exports=exports))
    return replace(facts, target=replace(facts.target, btf=_types(data)))


def with_symvers(facts: Facts, cache: Cache) -> Facts:
    """Add what was collected for the bundle of what its kernel exports, which goes before."""
    from droidheaders.build import symvers
    from droidheaders.kernel.exports import merge

    known = symvers.of(cache, facts.bundle).exports() if facts.bundle else None
    if known is None or not known.symbols:
        return facts
    others = [facts.target.exports] if facts.target.exports else []
    return replace(facts, target=replace(facts.target, exports=merge(known, *others)))


def with_made_types(facts: Facts, cache: Cache) -> Facts:
    """Add types that are made from the kernel's headers, where they are in the cache: 3 s, once.

    For a kernel whose own are not known; where none can be made, `unmade` says why.
    """
    from droidheaders.build.btf import kernel_btf

    if facts.target.btf is not None or facts.bundle is None:
        return facts
    try:
        made = kernel_btf(facts.bundle, cache)
        types = _types(made.path.read_bytes())
    except DroidheadersError as e:
        return replace(facts, target=replace(facts.target, unmade=e.message))
    return replace(facts, target=replace(facts.target, made_btf=types))


def _types(btf: bytes) -> Btf | None:
    """Return a kernel's types; half of a BTF is as good as none."""
    from droidheaders.kernel.btf import Btf

    try:
        return Btf(btf) if btf else None
    except ValueError:
        return None


def _ask(device: Device, inquiry: Inquiry, *, types: bool, exports: bool) -> dict[str, bytes]:
    """Return what the device says under "btf" and "exports", b"" for what it does not."""
    files = inquiry.files
    wanted = [
        path if asked and files.get(path) == "readable" else ""
        for path, asked in ((BTF, types), (KALLSYMS, exports))
    ]
    if not any(wanted):
        return {"btf": b"", "exports": b""}
    nonce = os.urandom(16).hex()
    questions = _TYPES_AND_EXPORTS.replace("@BTF", wanted[0]).replace("@KALLSYMS", wanted[1])
    script = framed(nonce, questions)
    if inquiry.user is inquiry.shell:
        result = device.shell(script)
    else:
        with device.privileged() as root:
            result = root.shell(script)
    with understanding(device):
        return answers(result.stdout, nonce, questions)
